//! The direct path of Bypass: who leads there, who is on it, and the steps that take the pods off it.

use reveille_core::invariants::Promise;

use crate::{
    bounds::{Mode, Occasion},
    model::{Protocol, when},
    state::{At, Phase, Role, State, serves},
    step::Step,
};

impl Protocol {
    pub(crate) fn arrives_directly(&self, s: &mut State) -> Option<()> {
        when(s.left.requests > 0 && s.direct.nodes)?;
        s.left.requests -= 1;
        if serves(s.api.pods) {
            s.direct.serving += 1;
            s.passed();
        } else if !s.is_excused(s.api.pods) {
            s.flaws.note(Promise::NoneToStopped);
        }
        Some(())
    }

    /// The pod's counters move.
    pub(crate) fn answered_directly(&self, s: &mut State) -> Option<()> {
        when(s.direct.serving > 0)?;
        s.direct.serving -= 1;
        for controller in &mut s.controllers {
            controller.moved |= matches!(controller.at, At::Begun | At::Announced | At::OffPath | At::Waited);
        }
        Some(())
    }

    pub(crate) fn nodes_hear(&self, s: &mut State) -> Option<()> {
        s.direct.nodes = s.direct.wanted;
        Some(())
    }

    /// Step 3: the pods' readiness gate goes to false.
    pub(crate) fn takes_off_path(&self, s: &mut State, c: usize) -> Option<()> {
        when(self.bounds.mode != Mode::Proxy && s.controllers[c].at == At::Announced)?;
        if self.takes(Step::LeaveDirectPath) {
            let changes = s.direct.wanted || self.takes(Step::PathMarked);
            for controller in &mut s.controllers {
                controller.path_fresh &= !changes;
            }
            s.api.workload_notes |= s.direct.wanted;
            s.direct.wanted = false;
        }
        s.controllers[c].at = At::OffPath;
        Some(())
    }

    /// The stated delay is longer than any node takes.
    pub(crate) fn waits_for_nodes(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::OffPath)?;
        when(s.direct.nodes == s.direct.wanted || !self.takes(Step::WaitForNodes))?;
        s.controllers[c].at = At::Waited;
        Some(())
    }

    /// The counters are read again. Where they do not say what is in flight, the TTL is waited for first: no
    /// request takes longer than that.
    pub(crate) fn scrapes(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Waited)?;
        let gauge = self.bounds.mode == (Mode::Bypass { gauge: true });
        if self.bounds.occasion == Occasion::ByHand {
            // What pods show to be in flight is waited for; what they do not show is not known.
            when(!gauge || s.direct.serving == 0)?;
            s.controllers[c].at = At::Quiet;
            return Some(());
        }
        when(gauge || !self.takes(Step::Outlast) || s.direct.serving == 0)?;
        let busy = s.controllers[c].moved || gauge && s.direct.serving > 0;
        let called = self.takes(Step::ScrapeAgain) && busy;
        s.controllers[c].at = if called { At::Off } else { At::Quiet };
        s.controllers[c].moved = false;
        Some(())
    }

    /// The workload's version has moved by the pods' leaving the path: the precondition is read anew.
    pub(crate) fn reads_again(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Quiet)?;
        s.controllers[c].fresh = true;
        s.controllers[c].at = if s.api.replicas == 0 { At::Off } else { At::Reread };
        Some(())
    }

    /// That makes it the latest of all attempts: whoever has read the status before this cannot end the attempt any more
    /// without a fence that comes after this.
    pub(crate) fn announces_again(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Reread)?;
        s.controllers[c].at = At::AnnouncedAgain;
        if self.takes(Step::AnnounceAgain) {
            if s.controllers[c].status_fresh {
                self.writes_status(s, c);
            } else {
                s.controllers[c].at = At::Off;
            }
        }
        Some(())
    }

    /// The version of the pod's conditions is read, then the phase.
    pub(crate) fn finds_off_path(&self, s: &mut State, c: usize) -> Option<()> {
        when(self.bounds.mode != Mode::Proxy && s.api.phase == Phase::Awake && !s.direct.wanted)?;
        when(s.controllers[c].role == Role::Leading && s.controllers[c].at == At::Idle)?;
        s.controllers[c].at = At::Restoring;
        s.controllers[c].path_fresh = true;
        Some(())
    }

    /// The pods' readiness gate goes to true again.
    pub(crate) fn puts_on_path(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Restoring)?;
        let puts = s.controllers[c].path_fresh || !self.takes(Step::PathVersion);
        s.api.workload_notes |= puts && !s.direct.wanted;
        s.direct.wanted |= puts;
        s.over(c)
    }
}
