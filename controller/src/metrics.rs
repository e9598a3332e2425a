//! The control plane's metrics, each with the labels `namespace` and `app` besides those named.
//!
//! An app's series are there with 0 from the moment it is known (so that a first event shows as an
//! increase) and are removed with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reveille_core::{
    app::AppId,
    phase::Phase,
    wake::{FailureKind, Outcome, Step},
};

use crate::{clock::now, sleep::SleepOutcome, wakes::Record};

/// Seconds; from a local process that is there at once to a GPU node that has to be bought first.
const BUCKETS: [f64; 18] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0,
    1800.0,
];

/// The kinds of failure that end a wake. [`FailureKind::Crashed`] is none: that wake was counted as ready.
const WAKE_FAILURES: [FailureKind; 5] = [
    FailureKind::CannotStart,
    FailureKind::PortTaken,
    FailureKind::ExitedEarly,
    FailureKind::Deadline,
    FailureKind::Cancelled,
];

/// See the [module](self).
#[derive(Debug)]
pub struct Metrics {
    wakes: IntCounterVec,
    wake_duration: HistogramVec,
    wake_step: HistogramVec,
    wake_deadline: GaugeVec,
    app_phase: IntGaugeVec,
    sleeps: IntCounterVec,
    asleep: AsleepSeconds,
}

impl Metrics {
    /// Makes them and registers them.
    ///
    /// # Errors
    /// If the registry holds one of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let app = ["namespace", "app"];
        let outcome = ["namespace", "app", "outcome"];
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let metrics = Self {
            wakes: IntCounterVec::new(
                Opts::new("reveille_wakes_total", "Wakes that ended, by outcome."),
                &outcome,
            )?,
            wake_duration: HistogramVec::new(
                histogram(
                    "reveille_wake_duration_seconds",
                    "From the request for a wake to the app's readiness, of wakes that succeeded.",
                ),
                &app,
            )?,
            wake_step: HistogramVec::new(
                histogram("reveille_wake_step_seconds", "What each step of a wake that succeeded took."),
                &["namespace", "app", "step"],
            )?,
            wake_deadline: GaugeVec::new(
                Opts::new(
                    "reveille_wake_deadline_seconds",
                    "How long a wake may take, and a request wait for it.",
                ),
                &app,
            )?,
            app_phase: IntGaugeVec::new(
                Opts::new("reveille_app_phase", "1 for the phase that the app is in, 0 for the others."),
                &["namespace", "app", "phase"],
            )?,
            sleeps: IntCounterVec::new(
                Opts::new("reveille_sleeps_total", "Attempts to put an app to sleep, by outcome."),
                &outcome,
            )?,
            asleep: AsleepSeconds::new(&app)?,
        };
        registry.register(Box::new(metrics.wakes.clone()))?;
        registry.register(Box::new(metrics.wake_duration.clone()))?;
        registry.register(Box::new(metrics.wake_step.clone()))?;
        registry.register(Box::new(metrics.wake_deadline.clone()))?;
        registry.register(Box::new(metrics.app_phase.clone()))?;
        registry.register(Box::new(metrics.sleeps.clone()))?;
        registry.register(Box::new(metrics.asleep.clone()))?;
        Ok(Arc::new(metrics))
    }

    /// Makes a new app's series.
    pub(crate) fn add(&self, app: &AppId) {
        for outcome in wake_outcomes() {
            self.wakes.with_label_values(&labels(app, outcome));
        }
        for outcome in SleepOutcome::ALL {
            self.sleeps.with_label_values(&labels(app, outcome.as_str()));
        }
        self.wake_duration.with_label_values(&[&*app.namespace, &*app.name]);
    }

    /// Removes an app's series.
    pub(crate) fn remove(&self, app: &AppId) {
        // A series that never was is no error worth a word.
        for outcome in wake_outcomes() {
            let _ = self.wakes.remove_label_values(&labels(app, outcome));
        }
        for outcome in SleepOutcome::ALL {
            let _ = self.sleeps.remove_label_values(&labels(app, outcome.as_str()));
        }
        for step in Step::ALL {
            let _ = self.wake_step.remove_label_values(&labels(app, step.as_str()));
        }
        for phase in Phase::ALL {
            let _ = self.app_phase.remove_label_values(&labels(app, phase.as_str()));
        }
        let _ = self.wake_duration.remove_label_values(&[&*app.namespace, &*app.name]);
        let _ = self.wake_deadline.remove_label_values(&[&*app.namespace, &*app.name]);
        self.asleep.remove(app);
    }

    /// This is the app's `wake.deadline` from now on. Whoever looks at holds and wakes can tell by it what is long.
    pub(crate) fn deadline(&self, app: &AppId, deadline: Duration) {
        self.wake_deadline.with_label_values(&[&*app.namespace, &*app.name]).set(deadline.as_secs_f64());
    }

    /// Removes every app's series: somebody else knows better by now.
    pub(crate) fn clear(&self) {
        self.wakes.reset();
        self.wake_duration.reset();
        self.wake_step.reset();
        self.app_phase.reset();
        self.sleeps.reset();
        self.wake_deadline.reset();
        self.asleep.clear();
    }

    /// The app is in this phase from now on.
    pub(crate) fn phase(&self, app: &AppId, phase: Phase) {
        for one in Phase::ALL {
            self.app_phase.with_label_values(&labels(app, one.as_str())).set((one == phase).into());
        }
        self.asleep.set(app, phase == Phase::Asleep, now());
    }

    /// A wake ended, `took` after it was requested.
    pub(crate) fn wake_ended(&self, app: &AppId, wake: &Record, took: Duration) {
        let Some(outcome) = &wake.outcome else { return };
        self.wakes.with_label_values(&labels(app, outcome.as_str())).inc();
        if *outcome == Outcome::Ready {
            self.wake_duration.with_label_values(&[&*app.namespace, &*app.name]).observe(took.as_secs_f64());
            for (step, took) in wake.steps.durations() {
                self.wake_step.with_label_values(&labels(app, step.as_str())).observe(took.as_secs_f64());
            }
        }
    }

    /// An attempt to put the app to sleep ended.
    pub(crate) fn sleep_ended(&self, app: &AppId, outcome: SleepOutcome) {
        self.sleeps.with_label_values(&labels(app, outcome.as_str())).inc();
    }
}

/// The values of the label `outcome` of wakes.
fn wake_outcomes() -> impl Iterator<Item = &'static str> {
    std::iter::once(Outcome::Ready.as_str()).chain(WAKE_FAILURES.iter().map(|kind| kind.as_str()))
}

fn labels<'a>(app: &'a AppId, third: &'a str) -> [&'a str; 3] {
    [&app.namespace, &app.name, third]
}

/// `reveille_asleep_seconds_total`, brought up to date whenever it is read: it grows while nothing happens.
#[derive(Clone, Debug)]
struct AsleepSeconds {
    seconds: CounterVec,
    /// Since when each sleeping app's time is not yet counted. A plain lock, held for arithmetic only.
    since: Arc<Mutex<HashMap<AppId, Instant>>>,
}

impl AsleepSeconds {
    fn new(labels: &[&str]) -> prometheus::Result<Self> {
        let opts = Opts::new("reveille_asleep_seconds_total", "Time that the app has been asleep.");
        Ok(Self { seconds: CounterVec::new(opts, labels)?, since: Arc::default() })
    }

    fn set(&self, app: &AppId, asleep: bool, now: Instant) {
        let mut since = self.lock();
        self.count(app, since.remove(app).map_or(Duration::ZERO, |then| now.saturating_duration_since(then)));
        if asleep {
            since.insert(app.clone(), now);
        }
    }

    fn remove(&self, app: &AppId) {
        self.lock().remove(app);
        let _ = self.seconds.remove_label_values(&[&*app.namespace, &*app.name]);
    }

    fn clear(&self) {
        self.lock().clear();
        self.seconds.reset();
    }

    fn count(&self, app: &AppId, asleep: Duration) {
        self.seconds.with_label_values(&[&*app.namespace, &*app.name]).inc_by(asleep.as_secs_f64());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, Instant>> {
        self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Collector for AsleepSeconds {
    fn desc(&self) -> Vec<&Desc> {
        self.seconds.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = now();
        for (app, since) in self.lock().iter_mut() {
            self.count(app, now.saturating_duration_since(*since));
            *since = now;
        }
        self.seconds.collect()
    }
}

#[cfg(test)]
mod tests {
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
