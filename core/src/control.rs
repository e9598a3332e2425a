//! What the planes say to each other in a cluster: the JSON of the activators' control port.
//!
//! The controller asks, an activator answers, over TLS, as HTTP/1.1. Each path begins with [`VERSION`]: a field is added
//! without a new one, and whoever reads passes over what it does not know, as an activator may be one release older
//! than the controller.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/ports?after=REVISION` | | [`PortsReport`]: at once if its revision is another one, else when it is, after [`LONG_POLL`] at the latest |
//! | `GET /v1/activity` | | [`AllActivity`], for people to see; an activator of before has no such path: 404 |
//! | `GET /v1/apps/NAMESPACE/NAME/activity` | | [`ActivityReport`] |
//! | `POST /v1/apps/NAMESPACE/NAME/shut` | [`Shut`] | [`ActivityReport`] as of that instant |
//! | `POST /v1/apps/NAMESPACE/NAME/open` | [`Open`] | 204 |
//!
//! A request that is refused is answered by an [`api::ProblemBody`](crate::api::ProblemBody): 401 or 403 without the
//! controller's token, 404 for an app that the activator does not know (yet), 409 for an epoch that is over, 503 if the
//! activator cannot ask the API server what it has to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{activity::Activity, app::AppId};

/// The first segment of each path.
pub const VERSION: &str = "v1";

/// The audience of the token that the controller shows.
pub const AUDIENCE: &str = "reveille-activator";

/// The name that the activators' certificate is for: they are called by their pods' addresses.
pub const SERVER_NAME: &str = "reveille-activator";

/// How long a request for [`PortsReport`] is kept if nothing changes.
pub const LONG_POLL: Duration = Duration::from_secs(10);

/// One run of one activator: another one after each restart, whose counts begin anew.
pub type Boot = String;

/// Where an activator listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortsReport {
    /// Which run of the activator says so.
    pub boot: Boot,
    /// Another one with each change of this report.
    pub revision: u64,
    /// Whether it takes new work: not any more once it drains.
    pub draining: bool,
    /// The ports that are open.
    pub open: Vec<AppPort>,
    /// The ports that could not be opened, each with the reason.
    #[serde(default)]
    pub refused: Vec<RefusedPort>,
}

/// A port on which an activator listens for an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppPort {
    /// The app.
    #[serde(flatten)]
    pub app: AppId,
    /// The port's number.
    pub port: u16,
}

/// A port on which an activator should listen for an app and cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPort {
    /// Which.
    #[serde(flatten)]
    pub port: AppPort,
    /// What the system said.
    pub reason: String,
}

/// What is under way at an activator, of all apps that have any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllActivity {
    /// One for each app with work or probes in flight.
    pub busy: Vec<Busy>,
}

/// What is under way for an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Busy {
    /// The app.
    #[serde(flatten)]
    pub app: AppId,
    /// Work and probes in flight, held requests included.
    pub in_flight: u64,
    /// Requests that wait in the hold.
    pub held: u64,
}

/// What an activator counted of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityReport {
    /// Which run of the activator says so.
    pub boot: Boot,
    /// Work ever counted in.
    pub started: u64,
    /// Work and probes in flight, held requests included.
    pub in_flight: u64,
    /// Requests that wait in the hold.
    pub held: u64,
    /// How long ago the last work ended, in milliseconds, rounded down; 0 while work is in flight.
    pub quiet_ms: u64,
}

impl ActivityReport {
    /// What that run counted.
    pub fn new(boot: Boot, activity: Activity) -> Self {
        let Activity { started, in_flight, held, quiet } = activity;
        let quiet_ms = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
        Self { boot, started, in_flight, held, quiet_ms }
    }

    /// The counts.
    pub fn activity(&self) -> Activity {
        let Self { started, in_flight, held, quiet_ms, boot: _ } = *self;
        Activity { started, in_flight, held, quiet: Duration::from_millis(quiet_ms) }
    }
}

/// Shuts the gate of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shut {
    /// Which time of falling asleep this is. One that is older than another that the activator knows, or whose lease
    /// has ended with it, is refused; the same again renews the lease.
    pub epoch: u64,
    /// For how long at most, in milliseconds, 1 to 60,000. Then the activator finds out itself how it ended.
    pub lease_ms: u64,
}

/// Ends the lease of a shut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// Which shut.
    pub epoch: u64,
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
}

/// How an attempt to put an app to sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptOutcome {
    /// Nothing was committed, for certain: the app is as awake as it was.
    Awake,
    /// Its replicas are committed to 0: none of those that there are may be sent a request any more.
    Asleep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_are_written_and_with_fields_of_a_later_release() {
        let port = AppPort { app: AppId::new("team", "web"), port: 20_001 };
        let report = PortsReport {
            boot: "b".into(),
            revision: 3,
            draining: false,
            open: vec![port.clone()],
            refused: vec![RefusedPort { port, reason: "in use".into() }],
        };
        let mut json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["open"][0], serde_json::json!({"namespace": "team", "name": "web", "port": 20_001}));
        json["later"] = true.into();
        assert_eq!(serde_json::from_value::<PortsReport>(json).unwrap(), report);

        let activity = Activity { started: 9, in_flight: 2, held: 1, quiet: Duration::from_millis(7) };
        let report = ActivityReport::new("b".into(), activity);
        let mut json = serde_json::to_value(&report).unwrap();
        json["later"] = 1.into();
        let read: ActivityReport = serde_json::from_value(json).unwrap();
        assert_eq!((read.activity(), read.boot.as_str()), (activity, "b"));

        let open = Open { epoch: 4, outcome: AttemptOutcome::Asleep };
        assert_eq!(serde_json::to_string(&open).unwrap(), r#"{"epoch":4,"outcome":"asleep"}"#);
        let shut = r#"{"epoch": 4, "leaseMs": 5000, "later": 1}"#;
        assert_eq!(serde_json::from_str::<Shut>(shut).unwrap(), Shut { epoch: 4, lease_ms: 5000 });
    }
}
