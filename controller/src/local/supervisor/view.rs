//! What a supervisor publishes, derived from what it knows and never kept twice.

use std::sync::Arc;

use reveille_core::{
    directory::{AppEntry, Endpoint, Port, WakeState},
    phase::Phase,
    wake::Step,
};

use super::{
    Runner,
    actor::{Actor, Stage, State},
};
use crate::{
    local::config::LocalPort,
    store::{Moment, View},
};

impl<R: Runner> Actor<R> {
    /// Publishes the app as it stands.
    pub(super) fn publish(&mut self) {
        let phase = self.phase_now();
        self.phase = match self.state {
            // An attempt to sleep that was called off does not make the app's day begin anew.
            State::Awake { since, announced: None } => (phase, since),
            _ if phase == self.phase.0 => self.phase,
            _ => (phase, Moment::now()),
        };
        let entry = AppEntry {
            id: self.app.id.clone(),
            policy: Arc::clone(&self.app.policy),
            ports: self.ports().iter().map(port).collect(),
            hosts: self.app.hosts.clone().into(),
            phase,
            endpoints: self.endpoint().into_iter().collect(),
            wake: self.wake_state(),
            wake_on_request: self.wake_on_request,
        };
        self.shared.store.publish(View {
            entry: Arc::new(entry),
            since: self.phase.1,
            version: self.version,
            replicas: self.run.is_some().into(),
            wake: self.wake.as_deref().cloned(),
            usual: self.usual.median(),
            pin: self.pin,
            pending: self.pending(),
        });
    }

    pub(super) fn phase_now(&self) -> Phase {
        match self.state {
            State::Asleep => Phase::Asleep,
            State::Waking { .. } => Phase::Waking,
            State::Awake { announced: None, .. } => Phase::Awake,
            State::Awake { announced: Some(_), .. } | State::Stopping => Phase::FallingAsleep,
        }
    }

    /// The replica that may be called, or asked whether it may be.
    fn endpoint(&self) -> Option<Endpoint> {
        let run = self.run.as_ref().filter(|run| run.stage == Stage::Started)?;
        let ready = match self.state {
            State::Waking { .. } => false,
            State::Awake { .. } => true,
            State::Asleep | State::Stopping => return None,
        };
        Some(Endpoint { generation: run.generation, addresses: Arc::clone(&run.claim.addresses), ready })
    }

    fn wake_state(&self) -> WakeState {
        match (&self.state, &self.wake) {
            (State::Waking { .. }, Some(wake)) => WakeState::InProgress {
                id: wake.id.clone(),
                since: wake.since,
                step: wake.steps.current().unwrap_or(Step::Requested),
                usual: self.usual.median(),
            },
            (State::Awake { .. }, _) => WakeState::None,
            _ => self.failed.clone(),
        }
    }

    /// The ports as they are in force: those of the process that runs, if it could not serve the new ones.
    fn ports(&self) -> &[LocalPort] {
        match &self.run {
            Some(run) if !serves(&run.ports, &self.app.ports) => &run.ports,
            _ => &self.app.ports,
        }
    }

    /// What of the configuration waits for the next wake.
    fn pending(&self) -> Option<String> {
        let run = self.run.as_ref()?;
        let what = match (run.command != self.app.command, !serves(&run.ports, &self.app.ports)) {
            (false, false) => return None,
            (true, false) => "command applies",
            (false, true) => "ports apply",
            (true, true) => "command and ports apply",
        };
        Some(format!("the changed {what} at the next wake"))
    }
}

/// Whether a process that was launched with `running` serves `wanted`, too. It was told the numbers of its ports
/// and no more: what is spoken on them is between its clients and the data plane, and a correction of that
/// applies at once.
fn serves(running: &[LocalPort], wanted: &[LocalPort]) -> bool {
    let inside = |port: &LocalPort| (port.name.clone(), port.upstream);
    running.len() == wanted.len() && running.iter().zip(wanted).all(|(a, b)| inside(a) == inside(b))
}

fn port(port: &LocalPort) -> Port {
    Port {
        name: port.name.clone(),
        listen: port.listen,
        protocol: port.protocol,
        upstream: port.upstream_protocol,
    }
}
