//! `ScaledApp`: how a cluster is told about an app, and where it says how the app stands.
//!
//! The policy is that of local mode: [`ScaledAppSpec`] lists the same fields, of the same types, and
//! [`ScaledApp::resolve`] checks them by the same [`PolicySpec::resolve`](crate::policy::PolicySpec::resolve).
//! What can be said in a schema or in CEL is refused by the API server already, with a message that says what to
//! write instead; the rest ends as the condition [`Ready`](ConditionType::Ready), reason
//! [`InvalidSpec`](Reason::InvalidSpec).
//!
//! The schema may be newer than a program that reads it, while a cluster is being upgraded. So unknown fields are
//! passed over, and whoever watches wraps the type into `kube::core::DeserializeGuard`: one app that cannot be read
//! must not hide the others.
//!
//! | module | holds |
//! |---|---|
//! | `spec` | what the user writes |
//! | `scrape` | where activity is seen that does not pass Reveille |
//! | `status` | what the controller answers |
//! | `condition`, `reason` | conditions, and why they are as they are, each with its remedy |
//! | `rules` | what fields may be, in CEL |
//! | `resolve` | from the spec to what holds |
//! | `crd` | the resource's definition, as the API server takes it |
//! | [`names`] | labels, names and field managers of what Reveille makes |

mod condition;
mod crd;
pub mod names;
mod reason;
mod resolve;
mod rules;
mod scrape;
mod spec;
mod status;
#[cfg(test)]
mod tests;

pub use condition::{ConditionType, set_condition};
pub use crd::crd;
pub use reason::Reason;
pub use resolve::ClusterApp;
pub use scrape::{NginxScrapeSpec, PrometheusScrapeSpec, Scrape, ScrapeFormat, ScrapeSpec};
pub use spec::{ClusterIdleSpec, ClusterWakeSpec, ScaledApp, ScaledAppSpec, TargetSpec, TrafficSpec};
pub use status::{
    LastWake, PortStatus, ScaledAppStatus, ScheduledWake, StepStatus, TrafficMode, WakeBlocked,
    WakeInProgress, WakeResult,
};
