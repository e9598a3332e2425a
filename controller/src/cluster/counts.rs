//! What of a cluster's apps is counted, by the metrics that local mode has too.

use std::sync::Arc;

use reveille_core::{
    app::AppId,
    resource::{LastWake, ScaledAppStatus, WakeResult},
    wake::{Step, Steps},
};

use super::phase::{self, between};
use crate::{metrics::Metrics, wakes::Record};

/// Counts a wake that ended between two statuses.
pub(crate) fn wake_ended(
    metrics: &Arc<Metrics>,
    app: &AppId,
    before: &ScaledAppStatus,
    after: &ScaledAppStatus,
) {
    let id = |last: &LastWake| (last.id.clone(), last.outcome);
    let Some(last) = after.last_wake.as_ref() else { return };
    if before.last_wake.as_ref().map(id) == Some(id(last)) {
        return;
    }
    let mut steps = Steps::default();
    for step in &last.steps {
        steps.reach(step.step, between(last.started_at.0, step.at.0));
    }
    if last.outcome == WakeResult::Ready {
        steps.reach(Step::Ready, last.took.0);
    }
    let now = crate::clock::now();
    let record = Record {
        id: last.id.clone(),
        trigger: last.trigger.clone().unwrap_or_else(|| "request".to_owned()),
        started: last.started_at.0,
        since: now.checked_sub(last.took.0).unwrap_or(now),
        steps,
        outcome: Some(phase::outcome(last)),
    };
    metrics.wake_ended(app, &record, last.took.0);
}
