//! From a wake to ready, or to a failure with its reason.

use std::{sync::Arc, time::Instant};

use reveille_core::{
    backoff,
    directory::WakeState,
    wake::{Failure, FailureKind, Outcome, Step},
};

use super::{
    Caller, Runner, Running,
    actor::{Actor, Life, NextDeath, Run, Stage, State},
    ports::Claim,
};
use crate::{
    clock::now,
    local::process::Exit,
    store::Moment,
    traits::Refusal,
    wakes::{Record, millis},
};

impl<R: Runner> Actor<R> {
    /// Somebody needs the app. Idempotent; a wake that cannot begin now is remembered.
    pub(super) fn asked_to_wake(&mut self, trigger: String, caller: Caller) -> Result<(), Refusal> {
        if self.life == Life::Ending {
            return Err(Refusal::Stopping);
        }
        if let Some(blocked) = self.blocked(now()) {
            return Err(blocked);
        }
        if !self.wake_on_request {
            match caller {
                Caller::Request => return Ok(()),
                Caller::Hand => {
                    self.wake_on_request = true;
                    self.publish();
                }
            }
        }
        match &self.state {
            State::Asleep => self.begin_wake(trigger),
            State::Waking { .. } | State::Awake { announced: None, .. } => {}
            State::Awake { announced: Some(announced), .. } => {
                // An app that was found idle is not: the commit will be refused. A sleep by hand goes on, and
                // the wake follows it.
                self.version += u64::from(!announced.by_hand);
                self.want(trigger, caller);
            }
            State::Stopping => self.want(trigger, caller),
        }
        Ok(())
    }

    /// Remembers a wake. One by hand is stronger: nothing but the end of the supervisor calls it off.
    fn want(&mut self, trigger: String, caller: Caller) {
        if caller == Caller::Hand || self.wanted.is_none() {
            self.wanted = Some((trigger, caller));
        }
    }

    /// The refusal of a wake during the pause after a failure.
    fn blocked(&self, now: Instant) -> Option<Refusal> {
        let WakeState::Failed { failure, retry_at, .. } = &self.failed else { return None };
        let left = retry_at.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let (app, reason) = (self.id().clone(), failure.reason.clone());
        Some(Refusal::Blocked { app, reason, retry_in_s: millis(left).div_ceil(1000) })
    }

    fn begin_wake(&mut self, trigger: String) {
        let wake = Record::new(self.shared.wake_ids.next(self.id()), trigger, now());
        tracing::info!(app = %self.id(), wake = %wake.id, trigger = %wake.trigger, "wake started");
        self.wake = Some(Box::new(wake));
        self.failed = WakeState::None;
        self.state = State::Waking { next_death: NextDeath::Restarts };
        self.publish();
        self.launch();
    }

    /// Launches a process for the wake in progress. The one before is gone.
    pub(super) fn launch(&mut self) {
        debug_assert!(self.run.is_none(), "{} would run twice", self.id());
        let ports = self.app.ports.clone();
        let claim = match Claim::new(&self.shared.ports, &ports, &*self.runner) {
            Ok(claim) => claim,
            Err((kind, reason)) => return self.fail(kind, reason),
        };
        match self.runner.spawn(self.id(), &self.app.command, claim.env(&ports)) {
            Ok(process) => {
                let generation = self.shared.next_generation();
                let (stage, command) = (Stage::Launched, self.app.command.clone());
                self.run = Some(Box::new(Run { process, generation, stage, command, ports, claim }));
                self.version += 1;
                self.reach(Step::Starting);
            }
            Err(error) => {
                self.fail(
                    FailureKind::CannotStart,
                    format!("its guardian process could not be started: {error}"),
                );
            }
        }
    }

    /// The program runs: the activator may ask it whether it can answer.
    pub(super) fn on_started(&mut self) {
        if let (State::Waking { .. }, Some(run)) = (&self.state, &mut self.run)
            && run.stage == Stage::Launched
        {
            run.stage = Stage::Started;
            self.reach(Step::Probing);
        }
    }

    /// The activator reached an endpoint.
    pub(super) fn on_usable(&mut self, generation: u64) {
        let probing =
            self.run.as_ref().is_some_and(|run| run.generation == generation && run.stage == Stage::Started);
        if !matches!(self.state, State::Waking { .. }) || !probing {
            return;
        }
        let now = now();
        if let Some(wake) = &mut self.wake {
            wake.reach(Step::Ready, now);
            wake.outcome = Some(Outcome::Ready);
            let took = wake.elapsed(now);
            self.usual.note(took);
            self.shared.metrics.wake_ended(&self.app.id, wake, took);
            let steps: Vec<_> = wake
                .steps
                .durations()
                .map(|(step, took)| format!("{step} {} ms", took.as_millis()))
                .collect();
            let (id, trigger) = (&wake.id, &wake.trigger);
            tracing::info!(app = %self.app.id, wake = %id, trigger, total_ms = millis(took), steps = steps.join(", "), "awake");
        }
        self.wanted = None;
        self.state = State::Awake { since: Moment::now(), announced: None };
        self.publish();
    }

    /// The program could not be run.
    pub(super) fn on_cannot_start(&mut self, reason: String) {
        let Some(run) = &mut self.run else { return };
        let was_up = run.is_up();
        run.kill(now());
        if was_up && matches!(self.state, State::Waking { .. }) {
            self.fail(FailureKind::CannotStart, reason);
        }
    }

    /// The process of a wake ended before it was ready; its remains are being killed.
    pub(super) fn died_waking(&mut self, exit: Exit) {
        if !self.may_be_tried_again(&exit) {
            return self.fail(FailureKind::ExitedEarly, format!("it {exit} before it could answer"));
        }
        self.state = State::Waking { next_death: NextDeath::Fails };
        self.version += 1;
        let wake = self.wake.as_ref().map(|wake| wake.id.as_str());
        tracing::warn!(app = %self.app.id, wake, %exit, "ended before it could answer, is started once more");
        self.publish();
    }

    /// Whether the end may not have been the program's doing, once in a wake: somebody's `kill`, memory short, or a port
    /// that was free when it was chosen and that somebody else has taken since.
    fn may_be_tried_again(&self, exit: &Exit) -> bool {
        if !matches!(self.state, State::Waking { next_death: NextDeath::Restarts }) {
            return false;
        }
        match exit {
            Exit::Signal(_) | Exit::GuardianLost => true,
            Exit::Code(_) => self.run.as_ref().is_some_and(|run| {
                run.claim.chosen().any(|address| self.runner.check_free(address).is_err())
            }),
        }
    }

    /// When the wake in progress has taken too long.
    pub(super) fn wake_deadline(&self) -> Option<Instant> {
        match (&self.state, &self.wake) {
            (State::Waking { .. }, Some(wake)) => Some(wake.since + self.app.policy.wake.deadline),
            _ => None,
        }
    }

    pub(super) fn deadline_passed(&mut self) {
        let deadline = reveille_core::quantity::HumanDuration(self.app.policy.wake.deadline);
        self.fail(FailureKind::Deadline, format!("it was not ready within {deadline} (wake.deadline)"));
    }

    /// The wake in progress failed. This is published at once, whatever is left of the process.
    pub(super) fn fail(&mut self, kind: FailureKind, reason: String) {
        let now = now();
        let Some(wake) = &mut self.wake else { return };
        let output = self.run.as_ref().map(|run| run.process.output()).unwrap_or_default();
        let failure = Failure { kind, reason, output };
        let pause = match kind {
            FailureKind::Cancelled => backoff::FIRST,
            _ => self.backoff.fail(),
        };
        tracing::warn!(
            app = %self.app.id, wake = %wake.id, outcome = kind.as_str(), reason = failure.reason,
            output = failure.output.join("\n"), retry_in_ms = millis(pause), "wake failed"
        );
        wake.outcome = Some(Outcome::Failed(failure.clone()));
        self.shared.metrics.wake_ended(&self.app.id, wake, wake.elapsed(now));
        self.failed =
            WakeState::Failed { id: wake.id.clone(), failure: Arc::new(failure), retry_at: now + pause };
        self.stop();
    }

    fn reach(&mut self, step: Step) {
        if let Some(wake) = &mut self.wake {
            wake.reach(step, now());
        }
        self.publish();
    }
}
