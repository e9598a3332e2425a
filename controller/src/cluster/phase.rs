//! Which phase follows from what is seen, and how a wake begins and ends: pure. Falling asleep is not decided here: its
//! phases are announced by the protocol.
//!
//! ```text
//! no replicas                                  Asleep
//! replicas, and none serves                    Waking: a wake begins, or goes on, or fails
//! replicas, one serves, all at rest            Awake: the wake ends
//! ```

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use reveille_core::{
    cost::Cost,
    phase::Phase,
    quantity::HumanDuration,
    resource::{LastWake, Reason, ScaledAppStatus, StepStatus, WakeBlocked, WakeInProgress, WakeResult},
    wake::{Failure, FailureKind, Outcome, Step, WakeId},
};

use super::wake::{Hopeless, Progress};

/// For how long replicas and pods must not have changed before an app is called awake: the protocol's condition for a
/// wake that others began.
pub(crate) const REST: Duration = Duration::from_secs(1);

/// The pause after a wake that failed: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is seen of an app.
pub(crate) struct Seen<'a> {
    /// Replicas that are asked for.
    pub(crate) asked: u32,
    /// Pods that can answer.
    pub(crate) serving: u32,
    /// How long neither has changed.
    pub(crate) unchanged_for: Duration,
    /// Where a wake stands.
    pub(crate) progress: Progress,
    /// Why it cannot succeed.
    pub(crate) hopeless: Option<Hopeless>,
    pub(crate) name: &'a str,
    pub(crate) generation: i64,
    /// How long a wake may take; none if it is left alone.
    pub(crate) deadline: Option<Duration>,
    /// What a replica costs.
    pub(crate) cost: Option<&'a Cost>,
}

/// What a step of the phases asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// The wake failed: the app has to go back to 0.
    GiveUp(Hopeless),
}

/// Brings the phase and what belongs to it up to date.
pub(crate) fn advance(now: Timestamp, status: &mut ScaledAppStatus, seen: &Seen<'_>) -> Then {
    status.replicas = Some(seen.asked);
    status.ready_replicas = Some(seen.serving);
    if seen.asked == 0 {
        if let Some(wake) = status.wake.take() {
            let why = "its replicas were set to 0 meanwhile".to_owned();
            let message = Some(why);
            status.last_wake = Some(LastWake { message, ..ended(now, wake, WakeResult::Cancelled) });
        }
        enter(now, status, Phase::Asleep);
        return Then::Nothing;
    }
    status.wake_on_request = None;
    add_up(now, status, seen.cost);
    // One that was asleep is waking first, however quick it was.
    let may_be_awake = match status.phase {
        Some(Phase::Awake) => true,
        Some(Phase::Asleep) => false,
        Some(Phase::Waking | Phase::FallingAsleep) | None => seen.unchanged_for >= REST,
    };
    if seen.serving > 0 && may_be_awake {
        if let Some(mut wake) = status.wake.take() {
            reach(now, &mut wake, Step::Ready);
            status.last_wake = Some(ended(now, wake, WakeResult::Ready));
        }
        status.wake_blocked = None;
        enter(now, status, Phase::Awake);
        return Then::Nothing;
    }
    // One that was asleep and serves at once had a wake, too; one that is seen for the first time may just be awake.
    let is_new = status.phase.is_none() && seen.serving > 0;
    let from_blocked = status.wake.is_none()
        && seen.serving == 0
        && status.phase == Some(Phase::Waking)
        && status.wake_blocked.as_ref().is_some_and(|blocked| blocked.holds(now, seen.generation));
    if let Some(blocked) = status.wake_blocked.as_ref().filter(|_| from_blocked && seen.deadline.is_some()) {
        // It failed, and was not brought back to 0 yet.
        let reason = Reason::of(&blocked.reason).unwrap_or(Reason::DeadlineExceeded);
        return Then::GiveUp(Hopeless { reason, happened: blocked.message.clone() });
    }
    if is_new {
        return Then::Nothing;
    }
    enter(now, status, Phase::Waking);
    let wake = status.wake.get_or_insert_with(|| begun(now, seen.name));
    reach(now, wake, if seen.serving > 0 { Step::Ready } else { seen.progress.step });
    wake.message.clone_from(&seen.progress.reason);
    let since = wake.since.0;
    let Some(deadline) = seen.deadline.filter(|_| seen.serving == 0) else { return Then::Nothing };
    let late = (between(since, now) > deadline).then(|| Hopeless {
        reason: Reason::DeadlineExceeded,
        happened: late_words(deadline, &seen.progress),
    });
    match seen.hopeless.clone().or(late) {
        Some(why) => fail(now, status, why, seen.generation),
        None => Then::Nothing,
    }
}

fn late_words(deadline: Duration, progress: &Progress) -> String {
    let reason = progress.reason.as_ref().map_or(String::new(), |reason| format!(", {reason}"));
    format!(
        "no replica was ready within {} (it stands at {}{reason})",
        HumanDuration(deadline),
        progress.step
    )
}

fn fail(now: Timestamp, status: &mut ScaledAppStatus, why: Hopeless, generation: i64) -> Then {
    let pause = next_pause(status);
    if let Some(wake) = status.wake.take() {
        let (reason, message) = (Some(why.reason.to_string()), Some(why.happened.clone()));
        status.last_wake = Some(LastWake { reason, message, ..ended(now, wake, WakeResult::Failed) });
    }
    let until = MicroTime(now.saturating_add(pause).unwrap_or(Timestamp::MAX));
    let (reason, message) = (why.reason.to_string(), why.happened.clone());
    status.wake_blocked = Some(WakeBlocked { until, generation, reason, message });
    Then::GiveUp(why)
}

/// Twice the pause after the failure before this one, which stays in the status until a wake succeeds.
fn next_pause(status: &ScaledAppStatus) -> Duration {
    let (Some(blocked), Some(last)) = (&status.wake_blocked, &status.last_wake) else { return FIRST_PAUSE };
    let failed_at = last.started_at.0.saturating_add(last.took.0).unwrap_or(Timestamp::MAX);
    // A cancelled wake in between makes the difference odd, never out of bounds. The second of slack is for rounding.
    let before = between(failed_at, blocked.until.0).saturating_add(Duration::from_millis(500));
    Duration::from_secs(before.as_secs()).saturating_mul(2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
}

/// Why the last wake failed, if it did.
pub(crate) fn failure(status: &ScaledAppStatus) -> Option<(Reason, &str)> {
    let last = status.last_wake.as_ref().filter(|last| last.outcome == WakeResult::Failed)?;
    let reason = last.reason.as_deref().and_then(Reason::of).unwrap_or(Reason::DeadlineExceeded);
    Some((reason, last.message.as_deref().unwrap_or_default()))
}

/// How a wake ended, as metrics and the API have it.
pub(crate) fn outcome(last: &LastWake) -> Outcome {
    let kind = match last.outcome {
        WakeResult::Ready => return Outcome::Ready,
        WakeResult::Failed => {
            last.reason.as_deref().and_then(Reason::of).map_or(FailureKind::Deadline, failure_kind)
        }
        WakeResult::Cancelled => FailureKind::Cancelled,
    };
    Outcome::Failed(Failure { kind, reason: last.why(), output: Vec::new() })
}

/// Adds the sleep that ends to what was saved.
pub(crate) fn add_up(now: Timestamp, status: &mut ScaledAppStatus, cost: Option<&Cost>) {
    if status.phase != Some(Phase::Asleep) {
        return;
    }
    let slept = status.since.as_ref().map_or(Duration::ZERO, |since| between(since.0, now));
    let replicas = status.former_replicas.unwrap_or(1);
    status.savings.get_or_insert_default().add(slept, replicas, cost);
}

fn failure_kind(reason: Reason) -> FailureKind {
    match reason {
        Reason::KeepsCrashing => FailureKind::ExitedEarly,
        Reason::ImageNotPulled | Reason::NoNode | Reason::PodsRefused => FailureKind::CannotStart,
        _ => FailureKind::Deadline,
    }
}

/// A phase that goes on keeps its beginning.
pub(crate) fn enter(now: Timestamp, status: &mut ScaledAppStatus, phase: Phase) {
    if status.phase != Some(phase) {
        status.phase = Some(phase);
        status.since = Some(MicroTime(now));
    }
}

/// A wake by hand begins, before its replicas are seen.
pub(crate) fn begin_by_hand(
    now: Timestamp,
    status: &mut ScaledAppStatus,
    cost: Option<&Cost>,
    name: &str,
    trigger: String,
) {
    add_up(now, status, cost);
    enter(now, status, Phase::Waking);
    status.wake.get_or_insert_with(|| WakeInProgress { trigger: Some(trigger), ..begun(now, name) });
}

fn begun(now: Timestamp, name: &str) -> WakeInProgress {
    // The time makes it unique over restarts of the controller.
    let number = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let first = StepStatus { step: Step::Requested, at: MicroTime(now) };
    WakeInProgress {
        id: WakeId::new(name, number),
        since: MicroTime(now),
        step: Step::Requested,
        steps: vec![first],
        message: None,
        trigger: None,
    }
}

/// Steps only go forward.
fn reach(now: Timestamp, wake: &mut WakeInProgress, step: Step) {
    if step > wake.step {
        wake.step = step;
        wake.steps.push(StepStatus { step, at: MicroTime(now) });
    }
}

fn ended(now: Timestamp, wake: WakeInProgress, outcome: WakeResult) -> LastWake {
    let took = between(wake.since.0, now);
    // Whole milliseconds are what a duration is written in.
    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let WakeInProgress { id, since: started_at, steps, trigger, .. } = wake;
    LastWake {
        id,
        started_at,
        took: HumanDuration(took),
        steps,
        outcome,
        reason: None,
        message: None,
        trigger,
    }
}

/// From one time to another; nothing if the clock went back.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
#[path = "phase_tests.rs"]
mod tests;
