//! How an app comes to an end: put to sleep, dead by itself, or told to end with its supervisor.

use std::sync::Arc;

use reveille_core::{
    backoff::STABLE_AFTER,
    directory::WakeState,
    wake::{Failure, FailureKind, Outcome},
};

use super::{
    Caller, Runner, Running,
    actor::{Actor, Announced, Deaths, Life, State},
};
use crate::{
    clock::now,
    local::process::Exit,
    sleep::{Abort, Occasion},
    traits::CommitError,
    wakes::millis,
};

impl<R: Runner> Actor<R> {
    /// The sleep protocol begins.
    pub(super) fn announce(&mut self, epoch: u64, occasion: &Occasion) -> Result<(), Abort> {
        let phase = self.phase_now();
        let State::Awake { announced: announced @ None, .. } = &mut self.state else {
            return Err(Abort::NotAwake(phase));
        };
        let (by_hand, wake_on_request) = match *occasion {
            Occasion::Idle { .. } => (false, self.wake_on_request),
            Occasion::ByHand { wake_on_request } => (true, wake_on_request),
        };
        *announced = Some(Announced { epoch, by_hand, wake_on_request, pinned_since: false });
        self.publish();
        Ok(())
    }

    /// The sleep protocol was called off.
    pub(super) fn awake_again(&mut self, of: u64) {
        if let State::Awake { announced, .. } = &mut self.state
            && announced.take_if(|announced| announced.epoch == of).is_some()
        {
            self.wanted = None;
            self.publish();
        }
    }

    /// The sleep protocol commits.
    pub(super) fn set_zero(&mut self, version: u64) -> Result<(), CommitError> {
        let State::Awake { announced: Some(announced), .. } = &self.state else {
            return Err(CommitError::Conflict);
        };
        if version != self.version {
            return Err(CommitError::Conflict);
        }
        self.wake_on_request = announced.wake_on_request;
        // Over, if it was found idle; else called off by whoever puts it to sleep.
        if !announced.pinned_since {
            self.pin = None;
        }
        if !self.wake_on_request {
            self.wanted.take_if(|(_, caller)| *caller == Caller::Request);
        }
        // It stayed up for as long as it was wanted: that is no crash loop.
        self.forgive();
        self.stop();
        Ok(())
    }

    /// A sleep by hand finds the app asleep already.
    pub(super) fn set_wake_on_request(&mut self, wakes: bool) -> Result<(), Abort> {
        if !matches!(self.state, State::Asleep) {
            return Err(Abort::NotAwake(self.phase_now()));
        }
        self.wake_on_request = wakes;
        self.pin = None;
        self.publish();
        Ok(())
    }

    /// The process ended by itself, or as it was told. Its remains are being killed.
    pub(super) fn on_exit(&mut self, exit: Exit) {
        let Some(run) = &mut self.run else { return };
        let was_up = run.is_up();
        run.kill(now());
        match self.state {
            State::Waking { .. } if was_up => self.died_waking(exit),
            State::Awake { .. } if was_up => self.died_awake(exit),
            _ => {}
        }
    }

    /// Nothing of the process is left.
    pub(super) fn on_gone(&mut self) {
        if self.run.as_deref().is_some_and(super::actor::Run::is_up) {
            // The runtime is ending, or the guardian was lost unheard.
            self.on_exit(Exit::GuardianLost);
        }
        self.run = None;
        match self.state {
            State::Waking { .. } => self.launch(),
            State::Stopping => {
                self.state = State::Asleep;
                self.publish();
                if let Some((trigger, caller)) = self.wanted.take() {
                    // Refused during the pause after a failure: who waits has been told.
                    let _ = self.asked_to_wake(trigger, caller);
                }
            }
            State::Asleep | State::Awake { .. } => {
                debug_assert!(false, "{} has lost a process that it did not have", self.id());
            }
        }
    }

    /// The process died although it was awake. The first time soon after its wake it may be woken at once,
    /// from the second time in a row on only after a pause.
    fn died_awake(&mut self, exit: Exit) {
        let State::Awake { since, .. } = self.state else { return };
        let now = now();
        let awake_for = now.saturating_duration_since(since.at);
        if awake_for >= STABLE_AFTER {
            self.forgive();
        }
        let pause = match self.deaths {
            _ if awake_for >= STABLE_AFTER => None,
            Deaths::None => {
                self.deaths = Deaths::One;
                None
            }
            Deaths::One => Some(self.backoff.fail()),
        };
        let output = self.run.as_ref().map(|run| run.process.output()).unwrap_or_default();
        tracing::warn!(
            app = %self.app.id, %exit, awake_ms = millis(awake_for), retry_in_ms = pause.map_or(0, millis),
            output = output.join("\n"), "died while it was awake"
        );
        if let (Some(pause), Some(wake)) = (pause, &mut self.wake) {
            let reason =
                format!("it {exit} {} s after it was awake, and not for the first time", awake_for.as_secs());
            let failure = Failure { kind: FailureKind::Crashed, reason, output };
            wake.outcome = Some(Outcome::Failed(failure.clone()));
            self.failed =
                WakeState::Failed { id: wake.id.clone(), failure: Arc::new(failure), retry_at: now + pause };
        }
        self.stop();
    }

    /// Reveille stops, or the app was removed.
    pub(super) fn end(&mut self) {
        self.life = Life::Ending;
        self.wanted = None;
        match self.state {
            State::Asleep | State::Stopping => {}
            State::Waking { .. } => {
                self.fail(FailureKind::Cancelled, "it was stopped before it was ready".to_owned());
            }
            State::Awake { .. } => self.stop(),
        }
    }

    /// Takes the endpoint out, then asks the process to end: in this order, so that the activators drop their
    /// connections before the process does.
    pub(super) fn stop(&mut self) {
        self.version += 1;
        self.state = if self.run.is_some() { State::Stopping } else { State::Asleep };
        self.publish();
        if let Some(run) = &mut self.run {
            run.terminate(now());
        }
    }

    fn forgive(&mut self) {
        self.backoff.reset();
        self.deaths = Deaths::None;
    }
}
