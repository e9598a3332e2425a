//! The conditions of an app: what people read when something is not as it should be. Pure.

use jiff::Timestamp;
use reveille_core::resource::{ConditionType, Reason, ScaledAppStatus, set_condition};

use super::{
    observe::{Observed, Problem},
    phase,
    plan::{self, Traffic},
};

/// Sets all of them. Of several problems the first one is named as the reason, as its remedy comes first.
pub(super) fn set(
    now: Timestamp,
    status: &mut ScaledAppStatus,
    seen: &Observed,
    problems: &[Problem],
    traffic: &Traffic,
) {
    let generation = seen.app.metadata.generation;
    let (holds, reason, happened) = programmed(status, seen, problems, traffic);
    let mut conditions = std::mem::take(&mut status.conditions);
    let mut write = |about, holds, reason, happened: &str| {
        set_condition(&mut conditions, (about, holds), reason, happened, generation, now);
    };
    match problems {
        [] => write(ConditionType::Ready, true, Reason::AsDeclared, ""),
        [first, others @ ..] => {
            let others = others.iter().filter(|other| *other != first);
            let also = others.map(|other| format!(" (also {}: {})", other.reason, other.happened));
            let happened = [first.happened.clone()].into_iter().chain(also).collect::<String>();
            write(ConditionType::Ready, false, first.reason, &happened);
        }
    }
    write(ConditionType::TrafficProgrammed, holds, reason, &happened);
    match phase::failure(status) {
        None => write(ConditionType::WakeFailed, false, Reason::AsDeclared, ""),
        Some((reason, happened)) => write(ConditionType::WakeFailed, true, reason, happened),
    }
    status.conditions = conditions;
}

fn programmed(
    status: &ScaledAppStatus,
    seen: &Observed,
    problems: &[Problem],
    traffic: &Traffic,
) -> (bool, Reason, String) {
    let about_traffic = |reason| {
        matches!(
            reason,
            Reason::TargetConflict
                | Reason::ServiceNotFound
                | Reason::UnsupportedService
                | Reason::PortConflict
        )
    };
    if let Some(problem) = problems.iter().find(|problem| about_traffic(problem.reason)) {
        return (false, problem.reason, problem.happened.clone());
    }
    // Without it there is nothing to lead traffic to, whoever would take it.
    if let Some(problem) = problems.iter().find(|problem| problem.reason == Reason::TargetNotFound) {
        return (false, problem.reason, problem.happened.clone());
    }
    if traffic.takers == 0 {
        let happened = "no activator takes its traffic";
        return (false, Reason::NoActivator, happened.to_owned());
    }
    let had = status.conditions.iter().any(|condition| condition.reason == Reason::NoReadinessGate.as_str());
    match plan::lacks_gate(seen).unwrap_or(had) {
        false => (true, Reason::AsDeclared, String::new()),
        true => {
            let happened = "requests may be cut when it falls asleep, as its pods have no readiness gate";
            (true, Reason::NoReadinessGate, happened.to_owned())
        }
    }
}
