//! What is written: the user's side of a policy, where every field may be left out.
//!
//! Fields that do not exist are refused before these types see them: by the reader of the local file, with the line
//! and what was probably meant, and by the API server. The types themselves pass over them, so that an activator
//! goes on reading apps whose schema is newer than itself.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Preset, ranges, rules};
use crate::{
    cost::CostSpec,
    probes::ProbeAnswer,
    quantity::{ByteSize, HumanDuration},
    schema,
};

/// The policy of an app as the user writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySpec {
    /// The kind of server: fills in what is left out below. Default: http.
    pub preset: Preset,
    /// When it falls asleep.
    pub idle: IdleSpec,
    /// How it wakes.
    pub wake: WakeSpec,
    /// What is held meanwhile.
    pub hold: HoldSpec,
    /// Which calls do not wake it.
    pub probes: ProbesSpec,
    /// How long its answers may take.
    pub timeouts: TimeoutsSpec,
    /// Requests that one replica takes at a time, 1-100,000. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Protocols that clients may change to by `Upgrade`, such as `websocket` or `spdy/3.1`. Default: websocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<Vec<String>>,
    /// What a replica costs: to tell what its sleep saves. Default: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSpec>,
}

/// When an app falls asleep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IdleSpec {
    /// How long nothing must have happened: 100ms-30d, or `never`. Default: 5m, local 1m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// How long it stays awake at least, 0-30d. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_awake: Option<HumanDuration>,
}

/// How an app wakes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WakeSpec {
    /// How long a wake may take, 1s-24h. Default: 5m, preset triton 20m, local 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// How to tell that it can answer. Default: the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ReadinessSpec>,
}

/// How to tell that an app can answer: one of `http`, `tcp` and `grpc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules::readiness())]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessSpec {
    /// GET of the path is answered with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpReadinessSpec>,
    /// A TCP connection is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpReadinessSpec>,
    /// grpc.health.v1.Health/Check is answered with SERVING, or not implemented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcReadinessSpec>,
}

/// Asks by HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpReadinessSpec {
    /// The port's name or number. Default: the first port that speaks HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRef>,
    /// An absolute path, such as /healthz.
    #[schemars(transform = rules::path())]
    pub path: String,
}

/// Asks by a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpReadinessSpec {
    /// The port's name or number. Default: the first port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRef>,
}

/// Asks by gRPC's health protocol, over HTTP/2 without TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcReadinessSpec {
    /// The port's name or number. Default: the first port that speaks HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRef>,
    /// The service that is asked about, such as package.Service. Default: the server as a whole.
    #[schemars(transform = rules::grpc_service())]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// Names one of the app's ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By the number that the app itself listens on.
    Number(u16),
    /// By name.
    Name(String),
}

impl JsonSchema for PortRef {
    fn schema_name() -> Cow<'static, str> {
        "PortRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::port()
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// What is held while an app wakes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldSpec {
    /// Requests held at a time, 0 to 1,000,000; one more gets 503 with Retry-After. Default: 1,000.
    #[schemars(transform = schema::integer(ranges::MAX_REQUESTS))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Bytes of requests held at a time, such as 512Ki, 64Mi or 1Gi: 0 to 16Gi. Default: 64Mi.
    #[schemars(transform = schema::size(ranges::MAX_BYTES))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// Answer a held request with 503 and Retry-After after so long, such as 210s, while the wake goes on: 1s to 1d.
    /// Default: off.
    #[schemars(transform = schema::duration(ranges::ANSWER_AFTER))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_after: Option<HumanDuration>,
}

/// Which calls do not wake an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbesSpec {
    /// Paths of probes, such as /healthz, at most 100, besides the preset's. A * stands for anything within a segment,
    /// at the end for anything behind. gRPC methods are paths: /package.Service/Method. Default: none.
    #[schemars(transform = rules::probe_paths())]
    pub paths: Vec<String>,
    /// Prefixes of the user agents of probes, at most 100, besides those of kubelet and the usual load balancers.
    /// Default: none.
    #[schemars(transform = rules::user_agents())]
    pub user_agents: Vec<String>,
    /// How probes are answered while the app is not awake: "200", "503" (in quotes), or wake, like any other request.
    /// Default: 200 to kubelet and load balancers, 503 to all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<ProbeAnswer>,
}

/// How long an app's answers may take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeoutsSpec {
    /// From the request's forwarding to the head of its response, such as 30s: 10ms to 1d. Default: no limit.
    #[schemars(transform = schema::duration(ranges::TIMEOUT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header: Option<HumanDuration>,
    /// Between two pieces of a response body, such as 5m: 10ms to 1d. Default: no limit.
    #[schemars(transform = schema::duration(ranges::TIMEOUT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_idle: Option<HumanDuration>,
    /// From the request's arrival to the end of its response, without the time it was held, such as 1h: 10ms to 1d.
    /// Default: no limit.
    #[schemars(transform = schema::duration(ranges::TIMEOUT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<HumanDuration>,
}

/// How long nothing must have happened before an app falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// After this.
    After(std::time::Duration),
    /// It does not fall asleep by itself.
    Never,
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(duration) => HumanDuration(*duration).fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

impl Serialize for Ttl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(i64),
        }
        let hint = "write a number and a unit (30s, 5m, 2h), or never";
        match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) if text.trim() == "never" => Ok(Self::Never),
            Ok(Written::Text(text)) => match text.parse::<HumanDuration>() {
                Ok(duration) => Ok(Self::After(duration.0)),
                Err(_) => Err(serde::de::Error::custom(format_args!("{text:?} is no TTL: {hint}"))),
            },
            Ok(Written::Number(number)) => {
                Err(serde::de::Error::custom(format_args!("{number} has no unit: {hint}")))
            }
            Err(_) => Err(serde::de::Error::custom(hint)),
        }
    }
}

impl JsonSchema for Ttl {
    fn schema_name() -> Cow<'static, str> {
        "Ttl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let duration = schema::DURATION_PATTERN.trim_start_matches('^').trim_end_matches('$');
        let pattern = format!("^(never|{duration})$");
        schemars::json_schema!({"type": "string", "maxLength": schema::MAX_QUANTITY, "pattern": pattern})
    }
}
