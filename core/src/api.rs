//! The JSON that the admin port speaks: the controller writes it, the command line reads it.
//!
//! Field names are in camelCase, times in RFC 3339 (UTC), durations in milliseconds (`…Ms`).

use std::{ops::RangeInclusive, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::AppId,
    cost::Saved,
    phase::Phase,
    quantity::HumanDuration,
    wake::{Outcome, StepAt, WakeId},
};

/// The longest reason of a wake or sleep by hand, in characters: it ends up in a log line.
pub const REASON_MAX: usize = 200;

/// For how long a wake may keep an app awake.
pub const KEEP: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// `Err` with what to write if `keep` is not within [`KEEP`].
///
/// # Errors
/// The range, and what it was.
pub fn check_keep(keep: HumanDuration) -> Result<HumanDuration, String> {
    if KEEP.contains(&keep.0) {
        return Ok(keep);
    }
    let (least, most) = (HumanDuration(*KEEP.start()), HumanDuration(*KEEP.end()));
    Err(format!("it is from {least} to {most}, this is {keep}"))
}

/// `Err` with what to do if the reason is longer than [`REASON_MAX`].
///
/// # Errors
/// How long it may be.
pub fn check_reason(reason: &str) -> Result<(), String> {
    match reason.chars().nth(REASON_MAX) {
        None => Ok(()),
        Some(_) => Err(format!("the reason may have at most {REASON_MAX} characters; shorten it")),
    }
}

/// The answer to `GET /api/v1/apps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppList {
    /// When this was true.
    pub time: Timestamp,
    /// Every app, sorted by name.
    pub apps: Vec<AppStatus>,
}

/// The data of an event of `GET /api/v1/events`, but for `apps` ([`AppList`]) and `gone` ([`AppGone`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppEvent {
    /// When it happened; what is counted from now is counted from then.
    pub time: Timestamp,
    /// The app as it stands after it.
    pub app: AppStatus,
}

/// The data of the event `gone` of `GET /api/v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppGone {
    /// When it happened.
    pub time: Timestamp,
    /// The app that is no longer there.
    #[serde(flatten)]
    pub app: AppId,
}

/// One app as users see it: an element of [`AppList`], and the answer to `GET /api/v1/apps/{namespace}/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// Namespace and name.
    #[serde(flatten)]
    pub id: AppId,
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// Replicas that exist.
    pub replicas: u32,
    /// Requests in flight, held ones included.
    pub in_flight: u64,
    /// Requests held.
    pub held: u64,
    /// When it falls asleep if nobody calls: milliseconds from now. Absent unless it is awake and idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleeps_in_ms: Option<u64>,
    /// `idle.ttl`, as it is written.
    pub ttl: String,
    /// Where clients reach it.
    pub listen: Vec<String>,
    /// The hosts by which the gateway knows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The wake in progress, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<WakeStatus>,
    /// Whether a request wakes it.
    pub wake_on_request: bool,
    /// A failed app is not woken again before: milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// It is not put to sleep before then, as a wake with `for` asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awake_until: Option<Timestamp>,
    /// When it is woken, as a call of the Scale API asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How long it was asleep in all, this sleep included, as long as Reveille knows it: milliseconds.
    #[serde(default)]
    pub asleep_ms: u64,
    /// What that saved, if its `cost` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// What is not as it should be, and what to do about it: of a cluster, the message of the condition `Ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What a changed configuration has not changed yet, such as a command that applies at the next wake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
}

/// The answer to `GET /api/v1/apps/{namespace}/{name}/history`: since Reveille, in a cluster its leader, has started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppHistory {
    /// The last wakes that ended, the newest first, at most 10.
    pub wakes: Vec<WakeStatus>,
    /// What went wrong lately, the newest first, at most 10.
    pub errors: Vec<AppError>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppError {
    /// When that was known.
    pub time: Timestamp,
    /// What happened, for people.
    #[schema(example = "a wake failed: it exited with code 1 before it could answer")]
    pub what: String,
}

/// A wake that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When.
    pub at: Timestamp,
    /// Why, as whoever asked for it said.
    pub reason: String,
}

/// A wake as users see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WakeStatus {
    /// Which.
    pub id: WakeId,
    /// Who or what asked for it.
    pub trigger: String,
    /// When it was requested.
    pub started: Timestamp,
    /// The steps it has reached.
    pub steps: Vec<StepAt>,
    /// How it ended; absent while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it will be ready, going by earlier wakes: milliseconds from now. Absent when it ended or is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
}

/// The body of `POST /api/v1/apps/{namespace}/{name}/sleep`. May be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct SleepRequest {
    /// Why, for the log. At most 200 characters.
    #[schema(max_length = 200, example = "GPU needed elsewhere")]
    pub reason: Option<String>,
    /// Whether the next request wakes it again.
    pub wake_on_request: bool,
}

impl Default for SleepRequest {
    fn default() -> Self {
        Self { reason: None, wake_on_request: true }
    }
}

/// The body of `POST /api/v1/apps/{namespace}/{name}/wake`. May be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct WakeRequest {
    /// Why, for the log. At most 200 characters.
    #[schema(max_length = 200, example = "demo at noon")]
    pub reason: Option<String>,
    /// Stays awake for so long, whether it is called or not: `1s` to `30d`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2h", pattern = "^([0-9]+(ms|s|m|h|d))+$")]
    pub keep: Option<HumanDuration>,
}

/// A refusal of the admin port (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, to which app, and what to do.
    pub detail: String,
}
