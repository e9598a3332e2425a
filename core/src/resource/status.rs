//! What the controller answers. Written when a phase or a step changes, never per request.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition;
use crate::{
    cost::Savings,
    directory::{Protocol, UpstreamProtocol},
    phase::Phase,
    policy::PortRef,
    quantity::HumanDuration,
    schema,
    wake::{Step, WakeId},
};

/// Where the app stands. Times are RFC 3339, UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaledAppStatus {
    /// The generation of the spec that this status goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Asleep: zero replicas, the next request wakes it. Waking: requests are held. Awake: at least one replica can
    /// answer. FallingAsleep: the sleep protocol is in progress, or the last replica is still stopping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// When the phase began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<MicroTime>,
    /// Replicas that the target asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schema::integer(0..=i32::MAX.unsigned_abs()))]
    pub replicas: Option<u32>,
    /// Replicas that can answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schema::integer(0..=i32::MAX.unsigned_abs()))]
    pub ready_replicas: Option<u32>,
    /// Replicas that the target asked for before it fell asleep: what a wake sets unless wake.replicas says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schema::integer(0..=i32::MAX.unsigned_abs()))]
    pub former_replicas: Option<u32>,
    /// Which time of falling asleep this is, counted up: an activator that knows an older one shuts its gate anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// How traffic reaches the app while it is awake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TrafficMode>,
    /// The ports of the Service, and where the activators listen for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = schema::keyed("servicePort"))]
    pub ports: Vec<PortStatus>,
    /// The wake in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake: Option<WakeInProgress>,
    /// The last wake that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_wake: Option<LastWake>,
    /// After a wake that cannot succeed: why nothing wakes the app for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_blocked: Option<WakeBlocked>,
    /// False after a sleep by hand that said so: requests are refused instead of waking the app. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_on_request: Option<bool>,
    /// The unique ids of pods that its selector matches and that are not its own: activators leave them out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign_pods: Vec<String>,
    /// How long it was asleep, and what that saved. Added up at the end of each sleep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savings: Option<Savings>,
    /// The app is not put to sleep before, as a wake by hand asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awake_until: Option<MicroTime>,
    /// A wake that is to come, as a sleep by hand asked. Done once, also if its time passed while no controller led.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_wake: Option<ScheduledWake>,
    /// Ready: whether Reveille can put the app to sleep and wake it. TrafficProgrammed: whether the Service's traffic
    /// goes where it belongs. WakeFailed: whether the last wake failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "condition::list_schema")]
    pub conditions: Vec<Condition>,
}

impl ScaledAppStatus {
    /// Whether a request may wake the app.
    pub fn wakes_on_request(&self) -> bool {
        self.wake_on_request.unwrap_or(true)
    }
}

/// A wake that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledWake {
    /// When.
    pub at: MicroTime,
    /// Why, as whoever asked for it said.
    #[schemars(length(max = 500))]
    pub reason: String,
}

/// How traffic reaches an app while it is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::undescribed)]
pub enum TrafficMode {
    /// Through the activators, always: the Service has no selector and belongs to Reveille.
    Proxy,
    /// Straight to the pods: the Service has a selector and is never modified.
    Bypass,
}

/// A port of the Service, and where the activators listen for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    /// The port's name in the Service, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number in the Service.
    #[schemars(transform = schema::integer(1..=65_535))]
    pub service_port: u16,
    /// The port on which every activator listens for it: it tells the app.
    #[schemars(transform = schema::integer(1..=65_535))]
    pub port: u16,
    /// How clients speak: http (HTTP/1.1, HTTP/2 and gRPC, told apart by itself) or tcp.
    pub protocol: Protocol,
    /// How the app is spoken to: auto (gRPC over HTTP/2, all else over HTTP/1.1), h1 or h2c. From the Service's
    /// appProtocol: grpc and kubernetes.io/h2c are h2c. Without meaning for tcp.
    #[serde(default)]
    pub upstream_protocol: UpstreamProtocol,
    /// The port of the pods, by number or by name.
    #[schemars(schema_with = "schema::any_port")]
    pub upstream: PortRef,
}

/// A wake in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WakeInProgress {
    /// Which.
    #[schemars(with = "String")]
    pub id: WakeId,
    /// When it was requested.
    pub since: MicroTime,
    /// Where it stands.
    pub step: Step,
    /// The steps it has reached, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepStatus>,
    /// What the step waits for, if that is known: the words of the scheduler, the autoscaler or the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who or what asked for it, unless it was a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// When a wake reached a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The step.
    pub step: Step,
    /// When it was reached.
    pub at: MicroTime,
}

/// The last wake that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastWake {
    /// Which.
    #[schemars(with = "String")]
    pub id: WakeId,
    /// When it was requested.
    pub started_at: MicroTime,
    /// How long it took, such as 2m5s310ms.
    pub took: HumanDuration,
    /// The steps it reached, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepStatus>,
    /// How it ended.
    pub outcome: WakeResult,
    /// Why it failed: a word, as the reason of the condition WakeFailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who or what asked for it, unless it was a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// How a wake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WakeResult {
    /// The app can answer.
    Ready,
    /// It cannot.
    Failed,
    /// The wake was given up: a sleep by hand, or the app was taken out of Reveille's hands.
    Cancelled,
}

/// Why nothing wakes an app for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WakeBlocked {
    /// Until when.
    pub until: MicroTime,
    /// The generation of the ScaledApp that the wake failed with: a changed one is woken again at once.
    pub generation: i64,
    /// Why the wake failed: a word, as the reason of the condition WakeFailed.
    pub reason: String,
    /// Why it failed, for people.
    pub message: String,
}

impl LastWake {
    /// Why it failed, in one sentence that begins with the reason.
    pub fn why(&self) -> String {
        let said = [&self.reason, &self.message].into_iter().flatten();
        said.map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

impl WakeBlocked {
    /// Whether it holds now, for a `ScaledApp` of this generation.
    pub fn holds(&self, now: Timestamp, generation: i64) -> bool {
        now < self.until.0 && generation == self.generation
    }
}
