//! Pods that the target's selector matches and that are not the target's. Pure.
//!
//! The slices by which activators find replicas show them, too. So the app is not put to sleep; and if it is asleep, nobody may
//! wake it, as an activator first waits until no slice shows a replica of before (`StopBeforeWake` of the protocol). To wake it
//! all the same would be of no use: the gates would open for what the slices show, which is a pod that is not the app. So
//! requests are refused at once, with the reason, as after a wake that failed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use reveille_core::{
    phase::Phase,
    resource::{Reason, ScaledAppStatus, WakeBlocked},
};

use super::observe::{Observed, Problem};

/// How the words begin by which this block is told from one after a wake that failed.
const MARK: &str = "its selector matches ";
/// How long requests are refused by one write.
const BLOCK: Duration = Duration::from_secs(300);
/// It is written again when less than this is left: more than lies between two looks.
const LEFT: Duration = Duration::from_secs(150);

/// What is said of them.
pub(super) fn problem(seen: &Observed) -> Option<Problem> {
    (!seen.foreign.is_empty())
        .then(|| Problem::new(Reason::ForeignPods, format!("{MARK}{}", seen.foreign.join(", "))))
}

/// Has requests refused while they keep a sleeping app from being woken, and no longer.
pub(super) fn block_wake(now: Timestamp, status: &mut ScaledAppStatus, seen: &Observed) {
    let is_ours = |blocked: &WakeBlocked| blocked.reason.starts_with(MARK);
    let problem = problem(seen).filter(|_| status.phase == Some(Phase::Asleep));
    let Some(problem) = problem else {
        status.wake_blocked.take_if(|blocked| is_ours(blocked));
        return;
    };
    let generation = seen.app.metadata.generation.unwrap_or_default();
    let soon = now.saturating_add(LEFT).unwrap_or(Timestamp::MAX);
    let reason = format!("{}: {}", problem.happened, problem.reason.remedy());
    let stands = |blocked: &WakeBlocked| {
        blocked.holds(soon, generation) && (!is_ours(blocked) || blocked.reason == reason)
    };
    if !status.wake_blocked.as_ref().is_some_and(stands) {
        let until = MicroTime(now.saturating_add(BLOCK).unwrap_or(Timestamp::MAX));
        status.wake_blocked = Some(WakeBlocked { until, generation, reason });
    }
}
