//! The JSON of the Scale API: `/health`, `/ready` and `/api/v1/deployments/…`.
//!
//! Clients of it exist, so names and values are fixed; fields may be added. Unlike the rest of the API it speaks
//! snake_case, and its bodies may hold fields that nobody knows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::phase::Phase;

/// The longest reason, in characters; the shortest has 1.
pub const REASON_MAX: usize = 500;

/// The answer to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `healthy`.
    #[schema(example = "healthy")]
    pub status: String,
    /// When this was so.
    pub time: Timestamp,
}

/// The answer to `GET /ready` when it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Always `ready`.
    #[schema(example = "ready")]
    pub status: String,
    /// `connected`; of local mode, which has no Kubernetes, `not used`.
    #[schema(example = "not used")]
    pub kubernetes: String,
    /// When this was so.
    pub time: Timestamp,
}

/// The answer to `GET /ready` when it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotReady {
    /// Always `not ready`.
    #[schema(example = "not ready")]
    pub status: String,
    /// Why.
    pub error: String,
    /// When this was so.
    pub time: Timestamp,
}

/// The body of `POST …/scale-to-zero`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScaleToZero {
    /// Why.
    #[schema(min_length = 1, max_length = 500, example = "night")]
    pub reason: String,
    /// When it is scaled up again, RFC 3339; from now to a year ahead.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub scheduled_scale_up: Option<Timestamp>,
    /// Whether the next request wakes it: `true` unless given.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub wake_on_request: bool,
}

fn yes() -> bool {
    true
}

/// The body of `POST …/scale-up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScaleUp {
    /// How many replicas it is to have. In local mode an app has one.
    #[schema(minimum = 1, example = 1)]
    pub replicas: u32,
    /// Why.
    #[schema(min_length = 1, max_length = 500, example = "demo at noon")]
    pub reason: String,
}

/// What every call about a Deployment that succeeded answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Success<T> {
    /// Always `success`.
    #[schema(example = "success")]
    pub status: String,
    /// What was done.
    pub message: String,
    /// The Deployment as the call left it.
    pub deployment: T,
    /// When.
    pub timestamp: Timestamp,
}

/// What every call about a Deployment that failed answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failed {
    /// Always `error`.
    #[schema(example = "error")]
    pub status: String,
    /// The kind of failure in words.
    pub message: String,
    /// What happened, to which Deployment, and what to do.
    pub error: String,
    /// When.
    pub timestamp: Timestamp,
}

/// A Deployment that was scaled to zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScaledToZero {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The replicas that it had.
    pub previous_replicas: u32,
    /// Always 0: that is committed, though the last one may still be stopping.
    pub current_replicas: u32,
    /// Always 0.
    pub target_replicas: u32,
    /// Always `scaled-to-zero`.
    pub target_status: String,
    /// The reason as it was given.
    pub scaling_reason: String,
    /// When it is scaled up again, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_scale_up: Option<Timestamp>,
    /// Where the app stands, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// A Deployment that is being scaled up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScaledUp {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The replicas that it had.
    pub previous_replicas: u32,
    /// The replicas that it has.
    pub current_replicas: u32,
    /// The replicas that it will have.
    pub target_replicas: u32,
    /// Always `scaling-up`.
    pub target_status: String,
    /// The reason as it was given.
    pub scaling_reason: String,
    /// Where the app stands, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// A Deployment as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name once more.
    pub deployment: String,
    /// The replicas that it has. In local mode: 1 once the app can answer, until its process is gone.
    pub current_replicas: u32,
    /// The replicas that it is to have.
    pub desired_replicas: u32,
    /// The replicas that can answer.
    pub available_replicas: u32,
    /// How these stand to each other.
    pub status: ScaleState,
    /// When it was last scaled: with an app, when that last began to wake or fell asleep; null if that has not happened.
    pub last_scale_time: Option<Timestamp>,
    /// When it is scaled up again, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_scale_up: Option<Timestamp>,
    /// Where the app stands, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// How a Deployment's replicas stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScaleState {
    /// None are wanted.
    Inactive,
    /// Others are wanted than there are.
    Scaling,
    /// There are as many as are wanted.
    Active,
    /// Nobody can tell.
    Unknown,
}

impl ScaleState {
    /// The state of a Deployment with these replicas.
    pub fn of(current: u32, desired: u32) -> Self {
        match (current, desired) {
            (_, 0) => Self::Inactive,
            (current, desired) if current != desired => Self::Scaling,
            _ => Self::Active,
        }
    }
}
