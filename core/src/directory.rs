//! What the control plane tells the data plane: the apps, how they are reached, and where their wakes stand.
//!
//! The data plane consumes a stream of [`Change`]s. A change carries one app whole, so that a lost
//! intermediate state does no harm and one app's change costs nothing to the others.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    app::AppId,
    phase::Phase,
    policy::{Policy, PortRef},
    wake::{Failure, Step, WakeId},
};

/// One change of the directory.
#[derive(Clone, Debug)]
pub enum Change {
    /// The app is new, or something about it is.
    App(Arc<AppEntry>),
    /// The app was taken out of Reveille's hands.
    Gone(AppId),
}

/// Everything that the data plane has to know about one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppEntry {
    /// Its name.
    pub id: AppId,
    /// What the user set, with defaults filled in.
    pub policy: Arc<Policy>,
    /// The ports on which clients reach it, in the user's order.
    pub ports: Arc<[Port]>,
    /// The hosts by which the gateway port knows it, in lower case.
    pub hosts: Arc<[String]>,
    /// Where it stands.
    pub phase: Phase,
    /// Its replicas that exist.
    pub endpoints: Vec<Endpoint>,
    /// Where its wake stands.
    pub wake: WakeState,
    /// Whether a request may wake it. False after a sleep by hand that said so.
    pub wake_on_request: bool,
}

impl AppEntry {
    /// The port that the gateway passes requests on to: the first that speaks HTTP. None if none does.
    pub fn gateway_port(&self) -> Option<usize> {
        first_http(self.ports.iter().map(|port| port.protocol))
    }

    /// The port that `policy.wake.readiness` asks, in this app and of this endpoint: by name, by the number
    /// that the app listens on, or else the first that can be asked so. None if there is no such port.
    pub fn readiness_port(&self, endpoint: &[SocketAddr]) -> Option<usize> {
        let readiness = &self.policy.wake.readiness;
        let index = match readiness.port() {
            Some(PortRef::Number(number)) => endpoint.iter().position(|a| a.port() == *number)?,
            Some(PortRef::Name(name)) => {
                self.ports.iter().position(|port| port.name.as_ref() == Some(name))?
            }
            None if readiness.needs_http() => self.gateway_port()?,
            None => 0,
        };
        (index < endpoint.len()).then_some(index)
    }
}

/// The first of an app's ports that speaks HTTP.
pub fn first_http(ports: impl IntoIterator<Item = Protocol>) -> Option<usize> {
    ports.into_iter().position(|protocol| protocol == Protocol::Http)
}

/// How a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, HTTP/2 and gRPC, told from the first bytes; TLS and whatever else comes passes as TCP.
    Http,
    /// Bytes, passed on as they are.
    Tcp,
}

/// How an app wants to be spoken to on a port for [`Protocol::Http`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = crate::schema::undescribed)]
pub enum UpstreamProtocol {
    /// gRPC over HTTP/2, all else over HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    H1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// A port on which clients reach an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The port's name, if it has one.
    pub name: Option<String>,
    /// Where the activator listens for it.
    pub listen: SocketAddr,
    /// How clients speak to it.
    pub protocol: Protocol,
    /// How the app is spoken to; without meaning for [`Protocol::Tcp`].
    pub upstream: UpstreamProtocol,
}

/// The number of a port that an endpoint has not: nobody can listen there.
pub const NO_PORT: u16 = 0;

/// A replica of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Names this replica among all that the app ever had: a replica that comes back is another one.
    pub generation: u64,
    /// Its addresses, one for each of the app's [`ports`](AppEntry::ports), in the same order; [`NO_PORT`] for one that it
    /// has not.
    pub addresses: Arc<[SocketAddr]>,
    /// Whether the control plane calls it ready. If not, the activator asks it itself.
    pub ready: bool,
}

/// Where an app's wake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeState {
    /// None is in progress, and none is known to be hopeless.
    None,
    /// One is in progress.
    InProgress {
        /// Which.
        id: WakeId,
        /// When it was requested.
        since: Instant,
        /// Where it stands.
        step: Step,
        /// How long a wake of this app took before, if that is known.
        usual: Option<Duration>,
    },
    /// The last one failed. Until then, another one would be pointless.
    Failed {
        /// Which.
        id: WakeId,
        /// Why.
        failure: Arc<Failure>,
        /// When another attempt may be made.
        retry_at: Instant,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, PolicySpec};

    /// An app with ports of these names and protocols.
    fn app(ports: &[(&str, Protocol)], readiness: &str) -> AppEntry {
        let spec: PolicySpec =
            serde_json::from_str(&format!(r#"{{"wake": {{"readiness": {readiness}}}}}"#)).unwrap();
        let port = |(name, protocol): &(&str, Protocol)| Port {
            name: Some((*name).to_owned()),
            listen: ([127, 0, 0, 1], 8080).into(),
            protocol: *protocol,
            upstream: UpstreamProtocol::Auto,
        };
        AppEntry {
            id: AppId::local("web"),
            policy: Arc::new(spec.resolve(Mode::Local).unwrap()),
            ports: ports.iter().map(port).collect(),
            hosts: Arc::from([]),
            phase: Phase::Asleep,
            endpoints: Vec::new(),
            wake: WakeState::None,
            wake_on_request: true,
        }
    }

    #[test]
    fn the_gateway_takes_the_first_http_port() {
        let (http, tcp) = (("a", Protocol::Http), ("b", Protocol::Tcp));
        for (ports, expected) in
            [(vec![http], Some(0)), (vec![tcp, http, http], Some(1)), (vec![tcp], None), (vec![], None)]
        {
            assert_eq!(app(&ports, r#"{"tcp": {}}"#).gateway_port(), expected, "{ports:?}");
        }
    }

    #[test]
    fn readiness_asks_the_port_that_can_be_asked() {
        let addresses: Vec<SocketAddr> = [9001, 9002, 9003].map(|port| ([127, 0, 0, 1], port).into()).into();
        let ports = [("db", Protocol::Tcp), ("web", Protocol::Http), ("admin", Protocol::Tcp)];
        for (readiness, expected) in [
            (r#"{"tcp": {}}"#, Some(0)),
            (r#"{"tcp": {"port": "web"}}"#, Some(1)),
            (r#"{"tcp": {"port": 9003}}"#, Some(2)),
            (r#"{"tcp": {"port": 9004}}"#, None),
            (r#"{"tcp": {"port": "pg"}}"#, None),
            (r#"{"http": {"path": "/"}}"#, Some(1)),
            (r#"{"grpc": {}}"#, Some(1)),
            (r#"{"http": {"path": "/", "port": "admin"}}"#, Some(2)),
        ] {
            assert_eq!(app(&ports, readiness).readiness_port(&addresses), expected, "{readiness}");
        }
        let tcp_only = app(&ports[..1], r#"{"grpc": {}}"#);
        assert_eq!(tcp_only.readiness_port(&addresses[..1]), None);
        assert_eq!(app(&ports, r#"{"tcp": {}}"#).readiness_port(&[]), None, "no address, no port");
    }
}
