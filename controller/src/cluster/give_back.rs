//! Giving an app back when its `ScaledApp` is deleted: woken, ready (or its deadline has passed), on the direct path, and
//! only then without our slices, its ports and its private Service. A finalizer keeps the object until then.
//!
//! Pods go onto the direct path before our slices leave it, so that traffic has somewhere to go at any time. Nothing waits
//! in a namespace that ends, for a target or Service that is gone, or for an app that was left alone.

use std::time::Duration;

use jiff::Timestamp;
use reveille_core::{
    phase::Phase,
    resource::{ScaledApp, TrafficMode, names},
};

use super::{observe::Observed, phase::between, pods::Gate};

/// How long a wake may take of an app whose spec is wrong.
const DEADLINE: Duration = Duration::from_secs(300);

/// How far the giving back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has to be woken, to so many replicas.
    Wake(u32),
    /// It is waking, or on its way to the direct path.
    Wait,
    /// Everything of ours may go.
    Leave,
}

/// How far the giving back of an app is, whose phase is that by now.
pub(crate) fn stage(now: Timestamp, seen: &Observed, phase: Option<Phase>, ends: bool) -> Stage {
    let since = seen.app.metadata.deletion_timestamp.as_ref().map_or(now, |time| time.0);
    let resolved = seen.resolved.as_ref().ok();
    let deadline = resolved.map_or(DEADLINE, |app| app.policy.wake.deadline);
    let (Ok(scale), Ok(service)) = (&seen.scale, &seen.service) else { return Stage::Leave };
    let is_left_alone = seen.app.spec.suspend;
    if ends || is_left_alone || seen.conflict.is_some() || between(since, now) > deadline {
        return Stage::Leave;
    }
    if scale.replicas == 0 {
        let former = seen.app.status.as_ref().and_then(|status| status.former_replicas);
        return Stage::Wake(resolved.map_or(former.unwrap_or(1).max(1), |app| app.replicas(former)));
    }
    let off = seen.pods.iter().any(|pod| pod.serves() && pod.gate == Gate::Off);
    let on_its_way = service.mode == TrafficMode::Bypass && (off || (!seen.slices.is_empty() && !seen.shown));
    match phase {
        Some(Phase::Awake) if !on_its_way => Stage::Leave,
        _ => Stage::Wait,
    }
}

/// The finalizers with ours; none if it is there.
pub(crate) fn with_ours(app: &ScaledApp) -> Option<Vec<String>> {
    let mut all = app.metadata.finalizers.clone().unwrap_or_default();
    if all.iter().any(|one| one == names::FINALIZER) {
        return None;
    }
    all.push(names::FINALIZER.to_owned());
    Some(all)
}

/// The finalizers without ours; none if it is not there.
pub(crate) fn without_ours(app: &ScaledApp) -> Option<Vec<String>> {
    let mut all = app.metadata.finalizers.clone().unwrap_or_default();
    let before = all.len();
    all.retain(|one| one != names::FINALIZER);
    (all.len() < before).then_some(all)
}

#[cfg(test)]
#[path = "give_back_tests.rs"]
mod tests;
