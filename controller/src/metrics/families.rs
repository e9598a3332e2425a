//! All apps' numbers in Prometheus' words.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use prometheus::{
    core::Desc,
    proto::{self, LabelPair, Metric, MetricFamily, MetricType},
};
use reveille_core::{app::AppId, phase::Phase, wake::Step};

use super::{
    series::{BUCKETS, Histogram, Series},
    wake_outcomes,
};
use crate::sleep::SleepOutcome;

/// What each metric is called, and what it says.
pub(super) struct Families {
    wakes: Desc,
    wake_duration: Desc,
    wake_step: Desc,
    wake_deadline: Desc,
    app_phase: Desc,
    sleeps: Desc,
    asleep: Desc,
    saved: Desc,
}

impl Families {
    pub(super) fn new() -> prometheus::Result<Self> {
        let desc = |name: &str, help: &str, more: Option<&str>| {
            let labels = ["namespace", "app"].into_iter().chain(more).map(str::to_owned).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(Self {
            wakes: desc("reveille_wakes_total", "Wakes that ended, by outcome.", Some("outcome"))?,
            wake_duration: desc(
                "reveille_wake_duration_seconds",
                "From the request for a wake to the app's readiness, of wakes that succeeded.",
                None,
            )?,
            wake_step: desc(
                "reveille_wake_step_seconds",
                "What each step of a wake that succeeded took.",
                Some("step"),
            )?,
            wake_deadline: desc(
                "reveille_wake_deadline_seconds",
                "How long a wake may take, and a request wait for it.",
                None,
            )?,
            app_phase: desc(
                "reveille_app_phase",
                "1 for the phase that the app is in, 0 for the others.",
                Some("phase"),
            )?,
            sleeps: desc(
                "reveille_sleeps_total",
                "Attempts to put an app to sleep, by outcome.",
                Some("outcome"),
            )?,
            asleep: desc("reveille_asleep_seconds_total", "Time that the app has been asleep.", None)?,
            saved: desc(
                "reveille_saved_cost_total",
                "What its sleep has saved, by the price of a replica's hour that its `cost` names.",
                Some("currency"),
            )?,
        })
    }

    pub(super) fn descs(&self) -> Vec<&Desc> {
        vec![
            &self.wakes,
            &self.wake_duration,
            &self.wake_step,
            &self.wake_deadline,
            &self.app_phase,
            &self.sleeps,
            &self.asleep,
            &self.saved,
        ]
    }

    /// What there is to say of these apps at `now`. A family that is empty is left out.
    pub(super) fn of(&self, apps: &BTreeMap<AppId, Series>, now: Instant) -> Vec<MetricFamily> {
        let (mut wakes, mut sleeps, mut phases) = (Vec::new(), Vec::new(), Vec::new());
        let (mut durations, mut steps, mut asleep) = (Vec::new(), Vec::new(), Vec::new());
        let (mut deadlines, mut saved) = (Vec::new(), Vec::new());
        for (app, series) in apps {
            for (outcome, count) in wake_outcomes().zip(series.wakes) {
                wakes.push(counter(labels(app, Some(("outcome", outcome))), float(count)));
            }
            for (outcome, count) in SleepOutcome::ALL.iter().zip(series.sleeps) {
                sleeps.push(counter(labels(app, Some(("outcome", outcome.as_str()))), float(count)));
            }
            if let Some(phase) = series.phase {
                for one in Phase::ALL {
                    let is_it = u64::from(one == phase);
                    phases.push(gauge(labels(app, Some(("phase", one.as_str()))), float(is_it)));
                }
                let savings = series.savings(now);
                asleep.push(counter(labels(app, None), savings.asleep.0.as_secs_f64()));
                if let (Some(amount), Some(currency)) = (savings.amount, savings.currency) {
                    let labels = labels(app, Some(("currency", currency.as_str())));
                    saved.push(counter(labels, amount.as_f64()));
                }
            }
            deadlines
                .extend(series.deadline.map(|deadline| gauge(labels(app, None), deadline.as_secs_f64())));
            let woken = series.woken.as_deref();
            let wake = woken.map(|woken| woken.wake).unwrap_or_default();
            durations.push(histogram(labels(app, None), &wake));
            for (step, took) in woken.into_iter().flat_map(|woken| Step::ALL.iter().zip(&woken.steps)) {
                if took.count() > 0 {
                    steps.push(histogram(labels(app, Some(("step", step.as_str()))), took));
                }
            }
        }
        let families = [
            (&self.wakes, MetricType::COUNTER, wakes),
            (&self.wake_duration, MetricType::HISTOGRAM, durations),
            (&self.wake_step, MetricType::HISTOGRAM, steps),
            (&self.wake_deadline, MetricType::GAUGE, deadlines),
            (&self.app_phase, MetricType::GAUGE, phases),
            (&self.sleeps, MetricType::COUNTER, sleeps),
            (&self.asleep, MetricType::COUNTER, asleep),
            (&self.saved, MetricType::COUNTER, saved),
        ];
        families
            .into_iter()
            .filter(|(_, _, metrics)| !metrics.is_empty())
            .map(|(desc, kind, metrics)| {
                let mut family = MetricFamily::default();
                family.set_name(desc.fq_name.clone());
                family.set_help(desc.help.clone());
                family.set_field_type(kind);
                family.set_metric(metrics);
                family
            })
            .collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
fn float(count: u64) -> f64 {
    count as f64
}

/// In the order of their names.
fn labels(app: &AppId, third: Option<(&str, &str)>) -> Vec<LabelPair> {
    let all = [("app", &*app.name), ("namespace", &*app.namespace)];
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.into());
        pair
    };
    all.into_iter().chain(third).map(pair).collect()
}

fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn histogram(labels: Vec<LabelPair>, of: &Histogram) -> Metric {
    let mut cumulative = 0;
    let bucket = |(bound, count): (&f64, u64)| {
        cumulative += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_cumulative_count(cumulative);
        bucket.set_upper_bound(*bound);
        bucket
    };
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(BUCKETS.iter().zip(of.counts).map(bucket).collect());
    histogram.set_sample_count(of.count());
    histogram.set_sample_sum(of.sum.as_secs_f64());
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
