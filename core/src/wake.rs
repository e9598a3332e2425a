//! A wake: one passage from asleep to awake, with its steps, its outcome and, if it failed, the reason.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Names one wake of one app, in logs, in answers and in the API. Unique within a run of Reveille.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct WakeId(String);

impl WakeId {
    /// Makes an id from the app's name and a number that is used once.
    pub fn new(app: &str, number: u64) -> Self {
        Self(format!("{app}-{number:06x}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WakeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WakeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a wake stands. A wake passes them in this order and may skip some: a local process needs no node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema,
)]
pub enum Step {
    /// Somebody asked for the app.
    Requested,
    /// A node is being brought up.
    NodeProvisioning,
    /// The replica waits for a place on a node.
    Scheduling,
    /// Its image is being pulled.
    Pulling,
    /// Its process is starting.
    Starting,
    /// The process runs and is asked whether it can answer.
    Probing,
    /// It can answer.
    Ready,
}

impl Step {
    /// Every step in order.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::NodeProvisioning,
        Self::Scheduling,
        Self::Pulling,
        Self::Starting,
        Self::Probing,
        Self::Ready,
    ];

    /// The name as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "Requested",
            Self::NodeProvisioning => "NodeProvisioning",
            Self::Scheduling => "Scheduling",
            Self::Pulling => "Pulling",
            Self::Starting => "Starting",
            Self::Probing => "Probing",
            Self::Ready => "Ready",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a wake failed, in kinds that a program can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The program could not be started at all.
    CannotStart,
    /// The address it should listen on is taken by something else.
    PortTaken,
    /// It ended before it could answer.
    ExitedEarly,
    /// It was not ready within `wake.deadline`.
    Deadline,
    /// It was awake and died, and it keeps doing so.
    Crashed,
    /// It was told to sleep, or Reveille to stop, before it was ready.
    Cancelled,
}

impl FailureKind {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CannotStart => "cannot_start",
            Self::PortTaken => "port_taken",
            Self::ExitedEarly => "exited_early",
            Self::Deadline => "deadline",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a wake failed: the kind for programs, the reason for people.
///
/// The reason goes to clients, so it never holds the app's own output; [`output`](Self::output) does and
/// goes to the API and the command line only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// One sentence, without a full stop.
    pub reason: String,
    /// The last lines that the app printed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// How a wake ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum Outcome {
    /// The app can answer.
    Ready,
    /// It cannot, and this is why.
    Failed(Failure),
}

impl Outcome {
    /// The value of the metric label `outcome`: `ready`, or the kind of failure.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed(failure) => failure.kind.as_str(),
        }
    }
}

/// When a wake reached a step, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepAt {
    /// The step.
    pub step: Step,
    /// Milliseconds since the wake was requested.
    pub after_ms: u64,
}

/// The steps of one wake as they happen. Steps only go forward; one that comes late is left out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Steps(Vec<StepAt>);

impl Steps {
    /// Notes that `step` was reached `after` the wake's start. Returns whether it is news.
    pub fn reach(&mut self, step: Step, after: Duration) -> bool {
        if self.0.last().is_some_and(|last| last.step >= step) {
            return false;
        }
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let not_before = self.0.last().map_or(0, |last| last.after_ms);
        self.0.push(StepAt { step, after_ms: after_ms.max(not_before) });
        true
    }

    /// The step that the wake stands at.
    pub fn current(&self) -> Option<Step> {
        self.0.last().map(|at| at.step)
    }

    /// All steps reached so far, in order.
    pub fn as_slice(&self) -> &[StepAt] {
        &self.0
    }

    /// How long each finished step took: (step, time until the next one).
    pub fn durations(&self) -> impl Iterator<Item = (Step, Duration)> + '_ {
        self.0
            .windows(2)
            .map(|pair| (pair[0].step, Duration::from_millis(pair[1].after_ms - pair[0].after_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_only_go_forward() {
        let mut steps = Steps::default();
        assert!(steps.reach(Step::Requested, Duration::ZERO));
        assert!(steps.reach(Step::Starting, Duration::from_millis(5)));
        assert!(!steps.reach(Step::Scheduling, Duration::from_millis(6)), "a late step is left out");
        assert!(!steps.reach(Step::Starting, Duration::from_millis(7)));
        assert!(
            steps.reach(Step::Ready, Duration::from_millis(3)),
            "a clock that went back changes no order"
        );
        assert_eq!(steps.current(), Some(Step::Ready));
        let took: Vec<_> = steps.durations().collect();
        assert_eq!(took, [(Step::Requested, Duration::from_millis(5)), (Step::Starting, Duration::ZERO)]);
    }
}
