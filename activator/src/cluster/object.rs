//! A `ScaledApp` as the activator keeps it: what it needs to serve and wake the app, and no more.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use reveille_core::{
    app::AppId,
    directory::{AppEntry, Port, WakeState},
    phase::Phase,
    resource::{ClusterApp, ScaledApp, ScaledAppStatus, WakeBlocked, WakeResult},
    wake::{Failure, FailureKind, Step, WakeId},
};

use super::{slices::generation, stance::Stance};

/// The time, by both clocks: what Kubernetes says is by the one, what this process waits for by the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) here: Instant,
    pub(crate) wall: Timestamp,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Of two apps that claim one host, the one with the lesser age keeps it: by its making, then by its uid.
    pub(crate) age: Age,
    pub(crate) app: ClusterApp,
    pub(crate) former_replicas: Option<u32>,
    ports: Arc<[Port]>,
    /// The Service's ports, in the same order.
    service_ports: Vec<u16>,
    wake_on_request: bool,
    /// Pods that only look like its own.
    pub(crate) foreign: HashSet<u64>,
    wake: Wake,
}

/// Since when an app exists.
pub(crate) type Age = (Option<Timestamp>, String);

/// Where its wake stands, and what the status said when that was found out: times are converted once.
#[derive(Clone, Debug)]
struct Wake {
    said: (Option<(WakeId, MicroTime, Step)>, Option<WakeBlocked>, i64),
    state: WakeState,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { here: Instant::now(), wall: Timestamp::now() }
    }

    /// A time of the other clock, on this one. One that is too far off is now.
    fn instant(self, at: Timestamp) -> Instant {
        let off = at.duration_since(self.wall);
        let by = Duration::try_from(off.abs()).unwrap_or_default();
        let there = if off.is_negative() { self.here.checked_sub(by) } else { self.here.checked_add(by) };
        there.unwrap_or(self.here)
    }
}

/// The phase and the epoch that a status says.
pub(crate) fn stands(app: &ScaledApp) -> (Option<Phase>, u64) {
    let status = app.status.as_ref();
    let epoch = status.and_then(|status| status.epoch).and_then(|epoch| u64::try_from(epoch).ok());
    (status.and_then(|status| status.phase), epoch.unwrap_or(0))
}

impl Object {
    /// # Errors
    /// What is wrong with the spec, in one line.
    pub(crate) fn read(
        object: &ScaledApp,
        bind: IpAddr,
        now: Now,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let app = object.resolve().map_err(|problems| {
            let each = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.reason));
            each.collect::<Vec<_>>().join("; ")
        })?;
        let default = ScaledAppStatus::default();
        let status = object.status.as_ref().unwrap_or(&default);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let ports = status.ports.iter().map(|port| Port {
            name: port.name.clone(),
            listen: SocketAddr::new(bind, port.port),
            protocol: port.protocol,
            upstream: port.upstream_protocol,
        });
        Ok(Self {
            age: (object.metadata.creation_timestamp.as_ref().map(|time| time.0), uid),
            former_replicas: status.former_replicas,
            ports: ports.collect(),
            service_ports: status.ports.iter().map(|port| port.service_port).collect(),
            wake_on_request: status.wakes_on_request() && !app.suspend,
            foreign: status.foreign_pods.iter().map(|uid| generation(uid)).collect(),
            wake: Wake::read(object, status, now, before.map(|before| &before.wake)),
            app,
        })
    }

    /// How many replicas a wake sets.
    pub(crate) fn replicas(&self) -> u32 {
        self.app.replicas(self.former_replicas)
    }

    /// Whether a request may wake it now, as far as the status says.
    pub(crate) fn may_wake(&self, now: Instant) -> bool {
        let pauses = matches!(self.wake.state, WakeState::Failed { retry_at, .. } if now < retry_at);
        self.wake_on_request && !pauses
    }

    /// What the data plane is told. `failed`: what keeps this activator from waking it.
    pub(crate) fn entry(
        &self,
        id: &AppId,
        stance: &Stance,
        lost_hosts: &BTreeSet<String>,
        failed: Option<&WakeState>,
    ) -> AppEntry {
        let known = stance.slices().endpoints(&self.service_ports);
        let endpoints = if stance.is_barred() { Vec::new() } else { known };
        let phase = if stance.lease().is_some() {
            Phase::FallingAsleep
        } else if endpoints.is_empty() {
            Phase::Asleep
        } else if endpoints.iter().any(|endpoint| endpoint.ready) {
            Phase::Awake
        } else {
            Phase::Waking
        };
        let hosts = if lost_hosts.is_empty() {
            self.app.hosts.clone()
        } else {
            self.app.hosts.iter().filter(|host| !lost_hosts.contains(*host)).cloned().collect()
        };
        AppEntry {
            id: id.clone(),
            policy: self.app.policy.clone(),
            ports: self.ports.clone(),
            hosts,
            phase,
            endpoints,
            wake: failed.unwrap_or(&self.wake.state).clone(),
            wake_on_request: self.wake_on_request,
        }
    }
}

impl Wake {
    fn read(object: &ScaledApp, status: &ScaledAppStatus, now: Now, before: Option<&Self>) -> Self {
        let generation = object.metadata.generation.unwrap_or_default();
        let wake = status.wake.as_ref().map(|wake| (wake.id.clone(), wake.since.clone(), wake.step));
        let said = (wake, status.wake_blocked.clone(), generation);
        if let Some(before) = before
            && before.said == said
        {
            return before.clone();
        }
        let last = status.last_wake.as_ref();
        let state = match &said {
            (_, Some(blocked), _) if blocked.holds(now.wall, generation) => WakeState::Failed {
                id: last.map_or_else(|| WakeId::new("wake", 0), |last| last.id.clone()),
                failure: failure(blocked.message.clone()),
                retry_at: now.instant(blocked.until.0),
            },
            (Some((id, since, step)), ..) => WakeState::InProgress {
                id: id.clone(),
                since: now.instant(since.0).min(now.here),
                step: *step,
                usual: last.filter(|last| last.outcome == WakeResult::Ready).map(|last| last.took.0),
            },
            (None, ..) => WakeState::None,
        };
        Self { said, state }
    }
}

/// Why a wake cannot succeed, for clients.
pub(crate) fn failure(reason: String) -> Arc<Failure> {
    Arc::new(Failure { kind: FailureKind::CannotStart, reason, output: Vec::new() })
}
