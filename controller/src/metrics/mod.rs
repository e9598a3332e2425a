//! The control plane's metrics, each with the labels `namespace` and `app` besides those named.
//!
//! An app's series are there with 0 from the moment it is known (so that a first event shows as an
//! increase) and are removed with it. What happened is kept as plain numbers, 200 bytes an app, and put into words when
//! somebody asks: as counters of the `prometheus` crate the same series take 12 kB, as each keeps its name and its help.

mod families;
mod series;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reveille_core::{
    app::AppId,
    cost::{Cost, Saved, Savings},
    phase::Phase,
    wake::{FailureKind, Outcome},
};

use self::{families::Families, series::Series};
use crate::{clock::now, sleep::SleepOutcome, wakes::Record};

/// The kinds of failure that end a wake. [`FailureKind::Crashed`] is none: that wake was counted as ready.
const WAKE_FAILURES: [FailureKind; 5] = [
    FailureKind::CannotStart,
    FailureKind::PortTaken,
    FailureKind::ExitedEarly,
    FailureKind::Deadline,
    FailureKind::Cancelled,
];

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Metrics {
    /// A plain lock, held for arithmetic, and while somebody who asks is told.
    apps: Mutex<BTreeMap<AppId, Series>>,
    /// What apps saved before this process that are not added yet.
    before: Mutex<BTreeMap<AppId, Savings>>,
}

impl Metrics {
    /// Makes them and registers them.
    ///
    /// # Errors
    /// If the registry holds one of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let metrics = Arc::new(Self::default());
        metrics.register_in(registry)?;
        Ok(metrics)
    }

    /// Registers them.
    ///
    /// # Errors
    /// If the registry holds one of these names already.
    pub fn register_in(self: &Arc<Self>, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(Told { metrics: Arc::clone(self), families: Families::new()? }))
    }

    /// Makes a new app's series.
    pub(crate) fn add(&self, app: &AppId) {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
        let mut apps = self.lock();
        let series = apps.entry(app.clone()).or_default();
        if let Some(savings) = before {
            series.restore(savings);
        }
    }

    /// Removes an app's series.
    pub(crate) fn remove(&self, app: &AppId) {
        self.lock().remove(app);
    }

    /// This is the app's `wake.deadline` from now on. Whoever looks at holds and wakes can tell by it what is long.
    pub(crate) fn deadline(&self, app: &AppId, deadline: Duration) {
        self.note(app, |series| series.deadline = Some(deadline));
    }

    /// What the app costs from now on, and how many replicas of it sleep.
    pub(crate) fn costs(&self, app: &AppId, cost: Option<Cost>, replicas: u32) {
        self.note(app, |series| series.costs(cost, replicas, now()));
    }

    /// What apps saved before this process; to be said before they are added.
    pub(crate) fn restore(&self, savings: BTreeMap<AppId, Savings>) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = savings;
    }

    /// How long the app was asleep in milliseconds, and what that saved.
    pub(crate) fn saved(&self, app: &AppId) -> (u64, Option<Saved>) {
        self.lock().get(app).map(|series| series.told(now())).unwrap_or_default()
    }

    /// The same of every app, to be kept.
    pub(crate) fn all_savings(&self) -> BTreeMap<AppId, Savings> {
        let now = now();
        let apps = self.lock();
        let all = apps.iter().map(|(app, series)| (app.clone(), series.savings(now)));
        all.filter(|(_, savings)| *savings != Savings::default()).collect()
    }

    /// Removes every app's series: somebody else knows better by now.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The app is in this phase from now on.
    pub(crate) fn phase(&self, app: &AppId, phase: Phase) {
        self.note(app, |series| series.phase(phase, now()));
    }

    /// A wake ended, `took` after it was requested.
    pub(crate) fn wake_ended(&self, app: &AppId, wake: &Record, took: Duration) {
        let Some(outcome) = &wake.outcome else { return };
        self.note(app, |series| {
            series.wake_ended(outcome.as_str());
            if *outcome == Outcome::Ready {
                series.woke(took, wake.steps.durations());
            }
        });
    }

    /// An attempt to put the app to sleep ended.
    pub(crate) fn sleep_ended(&self, app: &AppId, outcome: SleepOutcome) {
        self.note(app, |series| series.sleep_ended(outcome));
    }

    /// What is said of an app that is gone, or not there yet, is not kept.
    fn note(&self, app: &AppId, change: impl FnOnce(&mut Series)) {
        if let Some(series) = self.lock().get_mut(app) {
            change(series);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppId, Series>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of the label `outcome` of wakes.
fn wake_outcomes() -> impl Iterator<Item = &'static str> {
    std::iter::once(Outcome::Ready.as_str()).chain(WAKE_FAILURES.iter().map(|kind| kind.as_str()))
}

/// What the registry asks.
struct Told {
    metrics: Arc<Metrics>,
    families: Families,
}

impl Collector for Told {
    fn desc(&self) -> Vec<&Desc> {
        self.families.descs()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families.of(&self.metrics.lock(), now())
    }
}

#[cfg(test)]
mod tests {
    use reveille_core::wake::Step;

    use super::*;

    fn text(registry: &Registry) -> String {
        prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn asleep_time_grows_while_nothing_happens_and_series_go_with_the_app() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let web = AppId::local("web");
        metrics.add(&web);
        metrics.deadline(&web, Duration::from_secs(60));
        metrics.phase(&web, Phase::Asleep);
        tokio::time::advance(Duration::from_secs(3)).await;
        let grown = text(&registry);
        assert!(grown.contains(r#"reveille_asleep_seconds_total{app="web",namespace="local"} 3"#), "{grown}");
        assert!(
            grown.contains(r#"reveille_app_phase{app="web",namespace="local",phase="Asleep"} 1"#),
            "{grown}"
        );
        assert!(
            grown.contains(r#"reveille_wake_deadline_seconds{app="web",namespace="local"} 60"#),
            "{grown}"
        );
        metrics.phase(&web, Phase::Waking);
        tokio::time::advance(Duration::from_secs(9)).await;
        metrics.phase(&web, Phase::Awake);
        let awake = text(&registry);
        assert!(awake.contains(r#"reveille_asleep_seconds_total{app="web",namespace="local"} 3"#), "{awake}");
        assert!(
            awake.contains(r#"reveille_wakes_total{app="web",namespace="local",outcome="ready"} 0"#),
            "{awake}"
        );
        let mut wake = Record::new(crate::wakes::Ids::default().next(&web), "request".into(), now());
        wake.reach(Step::Ready, now() + Duration::from_secs(2));
        wake.outcome = Some(Outcome::Ready);
        metrics.wake_ended(&web, &wake, Duration::from_secs(2));
        metrics.sleep_ended(&web, SleepOutcome::Slept);
        let counted = text(&registry);
        assert!(
            counted.contains(
                r#"reveille_wake_step_seconds_sum{app="web",namespace="local",step="Requested"} 2"#
            ),
            "{counted}"
        );
        assert!(
            counted.contains(
                r#"reveille_wake_duration_seconds_bucket{app="web",namespace="local",le="1800"} 1"#
            ),
            "{counted}"
        );
        metrics.remove(&web);
        assert_eq!(text(&registry), "");
    }
}
