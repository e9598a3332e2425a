//! The idle loop: one for each app, around the pure decision of [`reveille_core::decide`].
//!
//! It sleeps exactly as long as the decision says that nothing can change by time alone, and looks again at
//! once when the app's phase or policy changes. Reports are fetched right before deciding, so that they are
//! fresh and the counts in them are those that the sleep protocol compares with.

use std::{sync::Arc, time::Duration, time::Instant};

use reveille_core::{
    app::AppId,
    decide::{Decision, MIN_RECHECK, Observed, Report, Stay, decide},
    phase::Phase,
    policy::Policy,
};
use tokio::sync::watch;

use crate::{
    clock::now,
    sleep::{Abort, Occasion},
    store::View,
    traits::{BoxFuture, Fleet},
};

/// The pause after an attempt that failed for a reason that time alone may not change.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Puts apps to sleep, and logs and counts how that went.
pub trait Sleeper: Send + Sync {
    /// Runs the sleep protocol once.
    ///
    /// # Errors
    /// Why the app is still awake.
    fn sleep<'a>(&'a self, app: &'a AppId, occasion: Occasion) -> BoxFuture<'a, Result<(), Abort>>;
}

/// Puts the app to sleep whenever it is idle, until the app is gone.
pub async fn run(mut views: watch::Receiver<Arc<View>>, fleet: Arc<dyn Fleet>, sleeper: Arc<dyn Sleeper>) {
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        let app = &view.entry.id;
        let reports = match view.entry.phase {
            Phase::Awake => fleet.reports(app).await,
            Phase::Asleep | Phase::Waking | Phase::FallingAsleep => Vec::new(),
        };
        let observed = Observed {
            phase: view.entry.phase,
            since: view.since.at,
            pinned_until: view.pin.map(|pin| pin.at),
            reports,
        };
        let recheck_after = match decide(now(), &observed, &view.entry.policy) {
            Decision::Stay { recheck_after, .. } => recheck_after,
            Decision::Sleep => {
                let reports = observed.reports.iter().filter_map(|report| match report {
                    Report::Said { activity, .. } => Some(*activity),
                    Report::Silent => None,
                });
                let occasion = Occasion::Idle { reports: reports.collect() };
                match sleeper.sleep(app, occasion).await {
                    Ok(()) => None,
                    Err(abort) => {
                        // The attempt itself changed the phase and back: that is no reason to hurry.
                        tokio::time::sleep(pause_after(&abort)).await;
                        Some(Duration::ZERO)
                    }
                }
            }
        };
        let recheck_at = recheck_after.map(|after| now() + after);
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            () = crate::clock::until(recheck_at) => {}
        }
    }
}

fn pause_after(abort: &Abort) -> Duration {
    match abort {
        // The next decision sees the call.
        Abort::Called | Abort::InUse { .. } | Abort::NotAwake(_) => MIN_RECHECK,
        Abort::Conflict | Abort::Fleet(_) | Abort::Gone => AFTER_FAILURE,
    }
}

/// When the app falls asleep if nobody calls; `None` unless it is awake and idle.
pub fn sleeps_in(now: Instant, observed: &Observed, policy: &Policy) -> Option<Duration> {
    let awake_for = now.saturating_duration_since(observed.since);
    let pinned_for =
        observed.pinned_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
    let at_least = policy.idle.min_awake.saturating_sub(awake_for).max(pinned_for);
    let mut ttl_alone = policy.clone();
    ttl_alone.idle.min_awake = Duration::ZERO;
    match decide(now, &Observed { pinned_until: None, ..observed.clone() }, &ttl_alone) {
        Decision::Sleep => Some(at_least),
        Decision::Stay { why: Stay::Recent, recheck_after: Some(left) } => Some(left.max(at_least)),
        Decision::Stay { .. } => None,
    }
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod tests;
