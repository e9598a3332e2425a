//! Metrics of the data plane. Labels are bounded: the configured app, and classes; never anything of a request.
//!
//! What a warm request counts is counted per worker, on cache lines of its own, and added up when somebody
//! asks; what happens rarely uses shared counters.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto,
};
use reveille_core::app::AppId;

use crate::{error::Kind, server::Shared};

/// Upper bounds of the buckets of request durations, in seconds.
const DURATIONS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
/// Upper bounds of the buckets of hold durations, in seconds: to half an hour, as GPU nodes take minutes. Dense where
/// deadlines lie, so that a quantile can be told from one.
const HOLDS: [f64; 20] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 120.0, 180.0, 300.0, 420.0,
    600.0, 900.0, 1_800.0,
];
/// Status classes; the first is for requests that got no answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// WebSocket, or another protocol that a client changed to.
    Upgrade,
    /// Bytes.
    Tcp,
}

impl Protocol {
    const ALL: [Self; 5] = [Self::Http1, Self::Http2, Self::Grpc, Self::Upgrade, Self::Tcp];

    /// The value of the metrics' label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "http/2",
            Self::Grpc => "grpc",
            Self::Upgrade => "upgrade",
            Self::Tcp => "tcp",
        }
    }
}

/// What each app's requests count on the warm path. A worker that had none of them has no room for them.
pub(crate) struct AppStats {
    workers: Box<[OnceLock<Box<WorkerStats>>]>,
}

/// One worker's part.
#[derive(Default)]
#[repr(align(128))]
struct WorkerStats {
    classes: [[AtomicU64; CLASSES.len()]; Protocol::ALL.len()],
    buckets: [AtomicU64; DURATIONS.len() + 1],
    micros: AtomicU64,
}

impl AppStats {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: (0..workers.max(1)).map(|_| OnceLock::new()).collect() }
    }

    /// A request has ended.
    pub(crate) fn ended(&self, worker: usize, protocol: Protocol, class: Option<u16>, took: Duration) {
        let stats = self.workers[worker].get_or_init(Box::default);
        let class = usize::from(class.unwrap_or(0)).min(CLASSES.len() - 1);
        stats.classes[protocol as usize][class].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = DURATIONS.iter().position(|bound| seconds <= *bound).unwrap_or(DURATIONS.len());
        stats.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        stats.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn sum(&self, of: impl Fn(&WorkerStats) -> &AtomicU64) -> u64 {
        self.workers.iter().filter_map(OnceLock::get).map(|stats| of(stats).load(Ordering::Relaxed)).sum()
    }

    fn histogram(&self) -> proto::Histogram {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(DURATIONS.len());
        for (i, bound) in DURATIONS.iter().enumerate() {
            cumulative += self.sum(|stats| &stats.buckets[i]);
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(*bound);
            buckets.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative + self.sum(|stats| &stats.buckets[DURATIONS.len()]));
        #[allow(clippy::cast_precision_loss, reason = "a sum of microseconds")]
        histogram.set_sample_sum(self.sum(|stats| &stats.micros) as f64 / 1e6);
        histogram
    }
}

/// What happens rarely.
pub(crate) struct Metrics {
    rejected: IntCounterVec,
    hold_duration: HistogramVec,
    connect_failures: IntCounterVec,
    retries: IntCounterVec,
    tunnel_bytes: IntCounterVec,
    http2_ended: IntCounterVec,
}

/// Directions of a tunnel's bytes.
const TO_APP: &str = "to-app";
const TO_CLIENT: &str = "to-client";

const APP: [&str; 2] = ["namespace", "app"];

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[&APP[..], labels].concat())?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let hold_duration = HistogramVec::new(
            HistogramOpts::new(
                "reveille_hold_duration_seconds",
                "How long requests were held, by how it ended.",
            )
            .buckets(HOLDS.to_vec()),
            &["namespace", "app", "outcome"],
        )?;
        registry.register(Box::new(hold_duration.clone()))?;
        let http2_ended = IntCounterVec::new(
            Opts::new(
                "reveille_http2_connection_errors_total",
                "Clients' HTTP/2 connections that Reveille ended because they broke a rule or a limit.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(http2_ended.clone()))?;
        Ok(Self {
            rejected: counter(
                "reveille_rejected_requests_total",
                "Requests that Reveille answered with an error of its own.",
                &["reason"],
            )?,
            hold_duration,
            connect_failures: counter(
                "reveille_upstream_connect_failures_total",
                "Connections to endpoints that could not be opened.",
                &[],
            )?,
            retries: counter(
                "reveille_retries_total",
                "Requests that were sent again on another connection.",
                &[],
            )?,
            tunnel_bytes: counter(
                "reveille_tunnel_bytes_total",
                "Bytes of raw TCP and of what HTTP was changed to, by direction.",
                &["direction"],
            )?,
            http2_ended,
        })
    }

    /// Registers what is added up over the apps when somebody asks.
    pub(crate) fn register_apps(registry: &Registry, shared: &Arc<Shared>) -> prometheus::Result<()> {
        registry.register(Box::new(AppsCollector::new(shared)?))
    }

    pub(crate) fn rejected(&self, app: &AppId, kind: Kind) {
        self.rejected.with_label_values(&[&*app.namespace, &*app.name, kind.slug()]).inc();
    }

    pub(crate) fn held(&self, app: &AppId, outcome: &str, time: Duration) {
        self.hold_duration
            .with_label_values(&[&*app.namespace, &*app.name, outcome])
            .observe(time.as_secs_f64());
    }

    pub(crate) fn connect_failed(&self, app: &AppId) {
        self.connect_failures.with_label_values(&[&*app.namespace, &*app.name]).inc();
    }

    pub(crate) fn retried(&self, app: &AppId) {
        self.retries.with_label_values(&[&*app.namespace, &*app.name]).inc();
    }

    /// What counts the bytes of an app's tunnels: to the app, to the client.
    pub(crate) fn tunnel_bytes(&self, app: &AppId) -> (IntCounter, IntCounter) {
        let of = |direction| self.tunnel_bytes.with_label_values(&[&*app.namespace, &*app.name, direction]);
        (of(TO_APP), of(TO_CLIENT))
    }

    /// A client's HTTP/2 connection was ended for this reason.
    pub(crate) fn http2_connection_ended(&self, reason: &str) {
        self.http2_ended.with_label_values(&[reason]).inc();
    }

    /// Drops the series of an app that is gone.
    pub(crate) fn forget(&self, app: &AppId) {
        let own = [&*app.namespace, &*app.name];
        drop(self.connect_failures.remove_label_values(&own));
        drop(self.retries.remove_label_values(&own));
        for direction in [TO_APP, TO_CLIENT] {
            drop(self.tunnel_bytes.remove_label_values(&[own[0], own[1], direction]));
        }
        for kind in Kind::ALL {
            drop(self.rejected.remove_label_values(&[own[0], own[1], kind.slug()]));
            drop(self.hold_duration.remove_label_values(&[own[0], own[1], kind.slug()]));
        }
        for outcome in ["forwarded", "client-gone"] {
            drop(self.hold_duration.remove_label_values(&[own[0], own[1], outcome]));
        }
    }
}

/// Adds up what the workers counted.
struct AppsCollector {
    shared: Weak<Shared>,
    requests: Desc,
    duration: Desc,
    in_flight: Desc,
    held: Desc,
}

impl AppsCollector {
    fn new(shared: &Arc<Shared>) -> prometheus::Result<Self> {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = [&APP[..], labels].concat().iter().map(ToString::to_string).collect();
            Desc::new(name.into(), help.into(), labels, std::collections::HashMap::new())
        };
        Ok(Self {
            shared: Arc::downgrade(shared),
            requests: desc(
                "reveille_requests_total",
                "Requests that have ended, by protocol and class of status (none: no answer was given).",
                &["protocol", "code_class"],
            )?,
            duration: desc(
                "reveille_request_duration_seconds",
                "From a request's head to the end of its response, the time it was held included.",
                &[],
            )?,
            in_flight: desc("reveille_requests_in_flight", "Requests in flight, held ones included.", &[])?,
            held: desc("reveille_held_requests", "Requests that wait for their app.", &[])?,
        })
    }
}

impl Collector for AppsCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.requests, &self.duration, &self.in_flight, &self.held]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let Some(shared) = self.shared.upgrade() else { return Vec::new() };
        let mut apps: Vec<_> = shared.apps().values().cloned().collect();
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        let mut requests = Vec::new();
        let mut durations = Vec::new();
        let mut in_flight = Vec::new();
        let mut held = Vec::new();
        for app in apps {
            let labels = || vec![label("namespace", &app.id.namespace), label("app", &app.id.name)];
            let series =
                Protocol::ALL.into_iter().flat_map(|p| (0..CLASSES.len()).map(move |class| (p, class)));
            for (protocol, class) in series {
                let count = app.stats.sum(|stats| &stats.classes[protocol as usize][class]);
                if count > 0 {
                    let mut all = vec![label("code_class", CLASSES[class])];
                    all.extend(labels());
                    all.push(label("protocol", protocol.as_str()));
                    let mut counter = proto::Counter::default();
                    #[allow(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
                    counter.set_value(count as f64);
                    let mut metric = proto::Metric::from_label(all);
                    metric.set_counter(counter);
                    requests.push(metric);
                }
            }
            let mut duration = proto::Metric::from_label(labels());
            duration.set_histogram(app.stats.histogram());
            durations.push(duration);
            let activity = app.activity();
            in_flight.push(gauge(labels(), activity.in_flight));
            held.push(gauge(labels(), activity.held));
        }
        let families = [
            (&self.requests, proto::MetricType::COUNTER, requests),
            (&self.duration, proto::MetricType::HISTOGRAM, durations),
            (&self.in_flight, proto::MetricType::GAUGE, in_flight),
            (&self.held, proto::MetricType::GAUGE, held),
        ];
        families
            .into_iter()
            .filter(|(_, _, metrics)| !metrics.is_empty())
            .map(|(desc, kind, metrics)| {
                let mut family = proto::MetricFamily::default();
                family.set_name(desc.fq_name.clone());
                family.set_help(desc.help.clone());
                family.set_field_type(kind);
                family.set_metric(metrics);
                family
            })
            .collect()
    }
}

fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value.into());
    pair
}

fn gauge(labels: Vec<proto::LabelPair>, value: u64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    #[allow(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
    gauge.set_value(value as f64);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}
