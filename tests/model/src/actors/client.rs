//! Clients, and the way of a request through an activator.
//!
//! That a request counts itself in and reads the gate is one step here: every interleaving of those two with the
//! shut is tried by loom, in `core/tests/gate_loom.rs`.

use reveille_core::invariants::Promise;

use crate::{
    model::{Protocol, when},
    state::{At, Life, State, serves},
    step::Step,
};

impl Protocol {
    pub(crate) fn arrives(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &mut s.activators[i];
        when(s.left.requests > 0 && activator.takes_requests())?;
        s.left.requests -= 1;
        activator.started += 1;
        activator.held += 1;
        // Newcomers wait behind those that wait.
        if activator.held == 1 && activator.is_open() { self.released(s, i) } else { Some(()) }
    }

    /// A held request is let go and sent to the replica of the activator's view.
    pub(crate) fn released(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &s.activators[i];
        when(activator.held > 0 && activator.is_open())?;
        let view = activator.view;
        if view == s.api.pods {
            s.activators[i].held -= 1;
            s.activators[i].serving += 1;
            s.passed();
        } else if s.is_excused(view) {
            // It takes no connection any more: back to the hold, and the replica is asked before it gets another.
            s.activators[i].failed = true;
        } else {
            s.flaws.note(Promise::NoneToStopped);
            s.activators[i].held -= 1;
        }
        Some(())
    }

    pub(crate) fn answered(&self, s: &mut State, i: usize) -> Option<()> {
        when(s.activators[i].serving > 0)?;
        s.activators[i].serving -= 1;
        Some(())
    }

    pub(crate) fn hangs_up(&self, s: &mut State, i: usize) -> Option<()> {
        when(s.left.hang_ups > 0 && s.activators[i].held > 0)?;
        s.left.hang_ups -= 1;
        s.activators[i].held -= 1;
        Some(())
    }

    /// Whether nobody waits and the next request would be served wherever it comes.
    pub(crate) fn all_served(&self, s: &State) -> bool {
        s.activators.iter().all(|activator| {
            let would_wake = s.api.replicas == 0 && self.may_wake(s, activator);
            let looks_again = self.takes(Step::LookAgain) && s.api.replicas > 0;
            let may_use = activator.is_open() || activator.lease == 0 && activator.barred && looks_again;
            let would_serve = may_use && activator.view == s.api.pods && serves(s.api.pods);
            activator.held == 0 && (activator.life != Life::Ready || would_serve || would_wake)
        })
    }
}

impl State {
    /// A request has passed to the app.
    pub(super) fn passed(&mut self) {
        for controller in &mut self.controllers {
            controller.called |= controller.attempts() && controller.at != At::Sent && !controller.has_sent();
        }
    }
}
