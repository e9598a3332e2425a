//! What the control plane tells the data plane: the apps, how they are reached, and where their wakes stand.
//!
//! The data plane consumes a stream of [`Change`]s. A change carries one app whole, so that a lost
//! intermediate state does no harm and one app's change costs nothing to the others.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::AppId,
    phase::Phase,
    policy::Policy,
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

/// How a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1, HTTP/2 and gRPC, told from the first bytes; TLS and whatever else comes passes as TCP.
    Http,
    /// Bytes, passed on as they are.
    Tcp,
}

/// How an app wants to be spoken to on a port for [`Protocol::Http`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

/// A replica of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Names this replica among all that the app ever had: a replica that comes back is another one.
    pub generation: u64,
    /// Its addresses, one for each of the app's [`ports`](AppEntry::ports), in the same order.
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
