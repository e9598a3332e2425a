//! What the user writes. The field comments are what `kubectl explain` shows.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ScaledAppStatus, ScrapeSpec, rules};
use crate::{
    cost::CostSpec,
    policy::{
        self, HoldSpec, IdleSpec, PolicySpec, Preset, ProbesSpec, ReadinessSpec, TimeoutsSpec, Ttl, WakeSpec,
        ranges,
    },
    quantity::HumanDuration,
    schema,
};

/// What sleeps, when, and how it is woken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "reveille.dev",
    version = "v1alpha1",
    kind = "ScaledApp",
    namespaced,
    shortname = "sapp",
    category = "all",
    category = "reveille",
    status = "ScaledAppStatus",
    derive = "PartialEq",
    doc = "An app that sleeps at zero replicas while nobody calls it, and is woken by the first request, which is held \
           until the app can answer."
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::spec())]
pub struct ScaledAppSpec {
    /// What sleeps and wakes. Cannot be changed: delete the ScaledApp, which gives the app back awake, and create
    /// another.
    #[schemars(transform = rules::fixed("target"))]
    pub target: TargetSpec,
    /// The Service, in the same namespace, by which clients reach the app. Its ports are discovered. Without a
    /// selector it belongs to Reveille, and all traffic passes it (recommended); with one, traffic goes straight to
    /// the pods while the app is awake. Cannot be changed, as the target.
    #[schemars(transform = rules::service())]
    pub service: String,
    /// By which names requests on Reveille's shared gateway port find the app.
    #[serde(default)]
    pub traffic: TrafficSpec,
    /// Leaves the app alone: it is neither woken nor put to sleep, and its replicas are not touched. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// The kind of server: fills in what is left out below. One of http (any HTTP server, told apart by itself: HTTP/1.1,
    /// HTTP/2, WebSocket), grpc (ready when grpc.health.v1 says so), triton (its readiness path, its health calls, a
    /// deadline of 20m), tcp (bytes are passed on as they are). Default: http.
    #[serde(default)]
    pub preset: Preset,
    /// When it falls asleep.
    #[serde(default)]
    pub idle: ClusterIdleSpec,
    /// How it wakes.
    #[serde(default)]
    pub wake: ClusterWakeSpec,
    /// What is held while it wakes.
    #[serde(default)]
    pub hold: HoldSpec,
    /// Which calls do not wake it.
    #[serde(default)]
    pub probes: ProbesSpec,
    /// How long its answers may take.
    #[serde(default)]
    pub timeouts: TimeoutsSpec,
    /// Requests that one replica takes at a time, 1 to 100,000; the surplus waits. Default: no limit.
    #[schemars(transform = schema::integer(ranges::CONCURRENCY))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Protocols that clients may change to by Upgrade, such as websocket or spdy/3.1; at most 16,
    /// [] for none. h2c, h2 and http are refused. Default: websocket.
    #[schemars(transform = policy::rules::upgrades())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<Vec<String>>,
    /// What a replica costs: to tell what its sleep saves, in status.savings. Default: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSpec>,
}

/// The workload: anything with a /scale subresource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Its API group and version. Default: apps/v1.
    #[serde(default = "TargetSpec::default_api_version")]
    #[schemars(transform = rules::api_version())]
    pub api_version: String,
    /// Its kind. Default: Deployment.
    #[serde(default = "TargetSpec::default_kind")]
    #[schemars(transform = rules::kind())]
    pub kind: String,
    /// Its name, in the namespace of the ScaledApp.
    #[schemars(transform = rules::object_name())]
    pub name: String,
}

impl TargetSpec {
    /// The plural of its kind, which is part of its path, if it is one of `apps/v1` that every cluster has. Any other kind the
    /// API server has to be asked for.
    pub fn known_plural(&self) -> Option<&'static str> {
        match (self.api_version.as_str(), self.kind.as_str()) {
            ("apps/v1", "Deployment") => Some("deployments"),
            ("apps/v1", "ReplicaSet") => Some("replicasets"),
            ("apps/v1", "StatefulSet") => Some("statefulsets"),
            _ => None,
        }
    }

    pub(super) fn default_api_version() -> String {
        "apps/v1".into()
    }

    pub(super) fn default_kind() -> String {
        "Deployment".into()
    }
}

/// By which names requests on the shared gateway port find the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficSpec {
    /// Hosts, such as web.example.org, at most 64: without scheme, port, path and wildcard; letter case does not matter. Of two
    /// apps that name the same host, the older keeps it. Default: none.
    #[schemars(transform = rules::hosts())]
    pub hosts: Vec<String>,
}

/// When an app falls asleep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = rules::idle())]
pub struct ClusterIdleSpec {
    /// How long nothing must have happened, such as 90s, 5m or 1h30m: 100ms to 30d, or never. Default: 5m.
    #[schemars(transform = schema::ttl(ranges::TTL))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// How long it stays awake at least, such as 2m: 0s to 30d. Default: 0s.
    #[schemars(transform = schema::duration(ranges::MIN_AWAKE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_awake: Option<HumanDuration>,
    /// Where activity is seen that does not pass Reveille: needed if the Service has a selector, as traffic then goes
    /// straight to the pods while the app is awake. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape: Option<ScrapeSpec>,
}

/// How an app wakes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = rules::wake())]
pub struct ClusterWakeSpec {
    /// How many replicas a wake sets, 1 to 10,000. Default: as many as it had before it fell asleep, else 1.
    #[schemars(transform = schema::integer(ranges::REPLICAS))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// How many replicas a wake sets at most, 1 to 10,000. Default: no limit.
    #[schemars(transform = schema::integer(ranges::REPLICAS))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<u32>,
    /// How long a wake may take, and how long one request waits for it, such as 90s or 15m: 1s to 1d. Default: 5m,
    /// preset triton 20m.
    #[schemars(transform = schema::duration(ranges::DEADLINE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// How to tell that it can answer. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ReadinessSpec>,
}

impl ScaledAppSpec {
    /// What is shared with local mode. Both sides are listed in full, so that neither gets a field that the other
    /// forgets.
    pub(super) fn policy(&self) -> PolicySpec {
        let Self {
            target: _,
            service: _,
            traffic: TrafficSpec { hosts: _ },
            suspend: _,
            preset,
            idle: ClusterIdleSpec { ttl, min_awake, scrape: _ },
            wake: ClusterWakeSpec { replicas: _, max_replicas: _, deadline, readiness },
            hold,
            probes,
            timeouts,
            concurrency,
            upgrades,
            cost,
        } = self;
        PolicySpec {
            preset: *preset,
            idle: IdleSpec { ttl: *ttl, min_awake: *min_awake },
            wake: WakeSpec { deadline: *deadline, readiness: readiness.clone() },
            hold: hold.clone(),
            probes: probes.clone(),
            timeouts: timeouts.clone(),
            concurrency: *concurrency,
            upgrades: upgrades.clone(),
            cost: cost.clone(),
        }
    }
}
