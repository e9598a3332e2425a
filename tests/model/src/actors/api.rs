//! The API server, the workload's controller, its pods and their slices, and others who write.

use reveille_core::invariants::{self, Promise};

use crate::{
    model::{Protocol, when},
    state::{Activator, At, Commit, Phase, Role, Settling, State, serves},
    step::Step,
};

/// How many pods there can be, one after the other.
const MAX_PODS: u8 = 4;

impl State {
    /// The object was written: no version that was read before is the present one.
    pub(super) fn bump(&mut self) {
        for controller in &mut self.controllers {
            controller.fresh = false;
        }
        for commit in self.api.commits.iter_mut().flatten() {
            commit.fresh = false;
        }
        if let Some(fresh) = &mut self.api.wake {
            *fresh = false;
        }
    }

    /// The count is raised.
    pub(super) fn raise(&mut self, to: u8) {
        self.api.replicas = to;
        self.api.excused = false;
        self.bump();
        for controller in &mut self.controllers {
            controller.raised |= controller.attempts() && !controller.has_sent();
        }
        for commit in self.api.commits.iter_mut().flatten() {
            commit.raised = true;
        }
    }

    /// An activator's write of the count commits.
    pub(super) fn activator_writes(&mut self, replicas: u8) {
        if !invariants::only_raises(self.api.replicas.into(), replicas.into()) {
            self.flaws.note(Promise::OnlyRaised);
        }
        self.raise(replicas);
    }

    /// An activator lists the slices to wake the app. A replica that was made in place of one that died, and that they
    /// do not show, is the third exception of [`Promise`].
    pub(super) fn excuse_replacements(&mut self) {
        if self.api.one_died {
            self.excuse(self.api.slices / 2 + 1);
        }
    }

    /// Whatever becomes of this pod and those after it, as many as there are, is no promise.
    fn excuse(&mut self, from: u8) {
        for pod in from..=self.api.pods / 2 {
            self.api.excused_pods |= 1 << pod;
        }
    }

    /// The pod is told to stop, or ends by itself (`excused`). What it serves is cut off.
    fn pod_ends(&mut self, excused: bool) {
        if excused {
            self.api.excused_pods |= 1 << (self.api.pods / 2);
        }
        let at_activators = self.activators.iter().map(|activator| activator.serving).sum::<u8>();
        if at_activators + self.direct.serving > 0 && !excused {
            self.flaws.note(Promise::NoneLost);
        }
        for activator in &mut self.activators {
            activator.serving = 0;
        }
        self.direct.serving = 0;
        self.api.pods += 1;
    }

    /// Whether a commit that reaches the API server now is the first exception of [`Promise`].
    fn comes_too_late(&self, commit: &Commit) -> bool {
        let by = &self.controllers[usize::from(commit.by)];
        let is_gone = by.role == Role::Dead || by.late;
        let has_ended =
            |a: &Activator| a.ended >= commit.epoch || a.lease == commit.epoch && a.settling != Settling::No;
        let a_lease_ended = self.activators.iter().any(|activator| activator.is_up() && has_ended(activator));
        let is_settled = self.api.phase != Phase::Falling(commit.epoch);
        commit.in_lease && is_gone && a_lease_ended && !is_settled
    }
}

impl Protocol {
    /// A commit of 0 reaches the API server: it is applied, or conflicts.
    pub(crate) fn commit_lands(&self, s: &mut State, slot: usize) -> Option<()> {
        let commit = s.api.commits[slot].take()?;
        let conflicts = self.takes(Step::Precondition) && !commit.fresh;
        if !conflicts && s.api.replicas > 0 {
            if commit.raised {
                s.flaws.note(Promise::WakeWins);
            }
            if commit.called {
                s.flaws.note(Promise::OnlyIdle);
            }
            s.api.excused = !self.strict && s.comes_too_late(&commit);
            s.api.replicas = 0;
            s.bump();
        }
        let by = &mut s.controllers[usize::from(commit.by)];
        if by.at == At::Sent && by.epoch == commit.epoch {
            // The second of two finds what the first has done.
            let answer_conflicts = conflicts || !self.takes(Step::SendOnce);
            by.at = if answer_conflicts { At::Off } else { At::Committed };
        }
        Some(())
    }

    /// The workload's controller works from a copy of the count, too.
    pub(crate) fn workload_sees(&self, s: &mut State) -> Option<()> {
        s.api.workload_sees = s.api.replicas > 0;
        Some(())
    }

    /// It goes by what it saw, which may be out of date: makes a pod, which serves at once here, or stops it.
    pub(crate) fn workload_acts(&self, s: &mut State) -> Option<()> {
        let serves = serves(s.api.pods);
        when(serves != s.api.workload_sees && s.api.pods < 2 * MAX_PODS - 1)?;
        if serves {
            s.pod_ends(s.api.excused || s.is_excused(s.api.pods));
        } else {
            s.api.pods += 1;
        }
        Some(())
    }

    /// Pods that take the direct path or leave it become ready or unready, which the workload's status says: a write of the
    /// object that the precondition goes by.
    pub(crate) fn workload_notes(&self, s: &mut State) -> Option<()> {
        when(s.api.workload_notes)?;
        s.api.workload_notes = false;
        s.bump();
        Some(())
    }

    pub(crate) fn pod_dies(&self, s: &mut State) -> Option<()> {
        when(s.left.pod_deaths > 0 && serves(s.api.pods))?;
        s.left.pod_deaths -= 1;
        s.api.one_died = !self.strict;
        s.pod_ends(true);
        Some(())
    }

    pub(crate) fn slices_follow(&self, s: &mut State) -> Option<()> {
        when(s.api.slices < s.api.pods)?;
        s.api.slices += 1;
        Some(())
    }

    pub(crate) fn status_written(&self, s: &mut State) -> Option<()> {
        when(s.left.status_writes > 0)?;
        s.left.status_writes -= 1;
        s.bump();
        Some(())
    }

    /// `kubectl scale --replicas 1`, at any moment: the second exception of [`Promise`].
    pub(crate) fn woken_by_hand(&self, s: &mut State) -> Option<()> {
        when(s.left.by_hand > 0 && s.api.replicas == 0)?;
        s.left.by_hand -= 1;
        s.raise(1);
        s.api.excused = !self.strict;
        if !self.strict {
            // Those that slices still show, or do not show yet.
            s.excuse(s.api.slices.div_ceil(2));
        }
        Some(())
    }
}
