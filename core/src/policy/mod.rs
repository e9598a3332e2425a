//! What a user may say about an app, and what it means.
//!
//! [`PolicySpec`] is what is written: every field may be left out. It is parsed by the same types from an
//! entry of the local file and from a `ScaledApp`. [`Policy`] is what holds: [`PolicySpec::resolve`] fills in
//! the defaults of the mode and the preset and checks every range, naming each field that is wrong.
//!
//! A field exists here only together with its behaviour.

mod checker;
mod effect;
mod preset;
pub(crate) mod ranges;
mod readiness;
mod resolve;
pub(crate) mod rules;
mod spec;
mod upgrades;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

pub(crate) use checker::Checker;
pub use checker::Problem;
pub use preset::Preset;
pub use resolve::Mode;
pub use spec::{
    GrpcReadinessSpec, HoldSpec, HttpReadinessSpec, IdleSpec, PolicySpec, PortRef, ProbesSpec, ReadinessSpec,
    TcpReadinessSpec, TimeoutsSpec, Ttl, WakeSpec,
};

use crate::{
    cost::Cost,
    probes::{Pattern, ProbeAnswer},
};

/// What holds for an app. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where the defaults came from.
    pub preset: Preset,
    /// When it falls asleep.
    pub idle: Idle,
    /// How it wakes.
    pub wake: Wake,
    /// What is held meanwhile.
    pub hold: Hold,
    /// Which calls do not wake it.
    pub probes: Probes,
    /// How long its answers may take.
    pub timeouts: Timeouts,
    /// Requests that one replica takes at a time; the surplus waits in the activator.
    pub concurrency: Option<NonZeroU32>,
    /// Protocols that a client may change to by `Upgrade`, in lower case. Never `h2c`.
    pub upgrades: Arc<[String]>,
    /// What a replica costs.
    pub cost: Option<Cost>,
}

/// When an app falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// How long nothing must have happened.
    pub ttl: Ttl,
    /// How long it stays awake at least.
    pub min_awake: Duration,
}

/// How an app wakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// How long a wake, and the wait of one held request, may take.
    pub deadline: Duration,
    /// How to tell that it can answer.
    pub readiness: Readiness,
}

/// How to tell that an app can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A TCP connection is accepted.
    Tcp {
        /// Which of the app's ports is asked; the first one if `None`.
        port: Option<PortRef>,
    },
    /// `GET path` is answered with a status from 200 to 399.
    Http {
        /// Which of the app's ports is asked; the first one that speaks HTTP if `None`.
        port: Option<PortRef>,
        /// An absolute path, with a query if need be.
        path: String,
    },
    /// `grpc.health.v1.Health/Check` is answered with `SERVING`; where it is not implemented, a connection is
    /// enough.
    Grpc {
        /// Which of the app's ports is asked; the first one that speaks HTTP if `None`.
        port: Option<PortRef>,
        /// The service that is asked about; empty for the server as a whole.
        service: String,
    },
}

impl Readiness {
    /// Whether the port that is asked must speak HTTP, be it for gRPC.
    pub fn needs_http(&self) -> bool {
        matches!(self, Self::Http { .. } | Self::Grpc { .. })
    }

    /// Which of the app's ports is asked.
    pub fn port(&self) -> Option<&PortRef> {
        match self {
            Self::Tcp { port } | Self::Http { port, .. } | Self::Grpc { port, .. } => port.as_ref(),
        }
    }
}

/// What is held while an app wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Requests held at a time.
    pub max_requests: u32,
    /// Bytes of requests held at a time.
    pub max_bytes: u64,
    /// Answer a held request with 503 and `Retry-After` after so long, while the wake goes on.
    pub answer_after: Option<Duration>,
}

/// Which calls do not wake an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Paths of probes, the preset's and the user's.
    pub paths: Vec<Pattern>,
    /// Prefixes of the user agents of probes, besides [`KNOWN_AGENTS`](crate::probes::KNOWN_AGENTS).
    pub user_agents: Vec<String>,
    /// How they are answered while the app is not awake; by who asks if `None`.
    pub answer: Option<ProbeAnswer>,
}

/// How long an app's answers may take. `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's forwarding to the head of its response.
    pub response_header: Option<Duration>,
    /// Between two pieces of a response body.
    pub stream_idle: Option<Duration>,
    /// From the request's arrival to the end of its response, without the time it was held.
    pub total: Option<Duration>,
}
