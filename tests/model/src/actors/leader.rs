//! How a controller ends an attempt, its own or one that it found, and how controllers come and go.

use crate::{
    bounds::Mode,
    model::{Protocol, when},
    state::{At, Controller, Known, Phase, Role, State, serves},
    step::Step,
};

impl State {
    /// The controller's attempt is over.
    pub(super) fn over(&mut self, c: usize) -> Option<()> {
        let Controller { role, .. } = self.controllers[c];
        self.controllers[c] = Controller::new(role);
        for activator in &mut self.activators {
            activator.told[c] = Known::default();
        }
        Some(())
    }
}

impl Protocol {
    /// Writes the phase, provided that the app is still in that attempt.
    fn leave_falling(&self, s: &mut State, c: usize, next: Phase, announced: bool) {
        let Controller { epoch, found, status_fresh, .. } = s.controllers[c];
        let as_read = self.bounds.mode == Mode::Proxy || status_fresh || !self.takes(Step::EndAsRead);
        let in_attempt = s.api.phase == Phase::Falling(epoch) && (as_read || !found);
        if in_attempt || !announced && s.api.phase == Phase::Awake {
            s.api.phase = next;
            self.writes_status(s, c);
        }
    }

    /// The controller has written the app's status.
    pub(super) fn writes_status(&self, s: &mut State, c: usize) {
        if self.bounds.mode == Mode::Proxy {
            return; // there the epoch tells it all
        }
        for (other, controller) in s.controllers.iter_mut().enumerate() {
            controller.status_fresh = other == c;
        }
    }

    /// Whether the slices show a replica that serves, and that is true. Where nobody but Reveille scales and no replica
    /// ends by itself, the first is enough. Else time is this: a leader calls an app awake once nothing has
    /// changed for longer than the workload's controller and the slices take to follow.
    fn is_awake(&self, s: &State) -> bool {
        let budget = &self.bounds.budget;
        let steady = s.api.slices == s.api.pods && s.api.workload_sees;
        serves(s.api.slices) && (steady || budget.by_hand == 0 && budget.pod_deaths == 0)
    }

    pub(crate) fn times_out(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Sent && s.left.timeouts > 0)?;
        s.left.timeouts -= 1;
        s.controllers[c].at = At::Unknown;
        Some(())
    }

    /// A write that changes nothing but the version: an earlier commit can only conflict from here on.
    pub(crate) fn fences(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Unknown)?;
        let step = if s.controllers[c].found { Step::FenceFound } else { Step::FenceUnknown };
        if self.takes(step) {
            s.bump();
        }
        s.controllers[c].at = At::Fenced;
        Some(())
    }

    pub(crate) fn reads(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Fenced)?;
        s.controllers[c].at = At::Read(s.api.replicas > 0);
        Some(())
    }

    /// It goes by the count, and by the slices that it lists after it: each activator does the same when its lease
    /// ends, which nobody renews any more.
    pub(crate) fn concludes(&self, s: &mut State, c: usize) -> Option<()> {
        let At::Read(up) = s.controllers[c].at else { return None };
        if !up {
            s.controllers[c].at = At::Committed;
        } else if !self.takes(Step::ListAfterRead) {
            s.controllers[c].at = At::Off;
        } else {
            let epoch = s.controllers[c].epoch;
            let phase = if self.is_awake(s) { Phase::Awake } else { Phase::Asleep(epoch) };
            self.leave_falling(s, c, phase, self.takes(Step::Announce));
            s.over(c)?;
        }
        Some(())
    }

    /// Step 7: the count is 0.
    pub(crate) fn tells_committed(&self, s: &mut State, c: usize, i: usize) -> Option<()> {
        let Controller { at, epoch, .. } = s.controllers[c];
        let activator = &mut s.activators[i];
        when(at == At::Committed && activator.is_up() && activator.lease == epoch)?;
        activator.bar(self.steps);
        activator.end_lease();
        Some(())
    }

    /// It may come to this before every activator was told; their leases end then.
    pub(crate) fn announces_asleep(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Committed)?;
        let epoch = s.controllers[c].epoch;
        self.leave_falling(s, c, Phase::Asleep(epoch), self.takes(Step::Announce));
        s.over(c)
    }

    pub(crate) fn announces_awake(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Off)?;
        self.leave_falling(s, c, Phase::Awake, true);
        s.controllers[c].at = At::Opening;
        Some(())
    }

    pub(crate) fn opens(&self, s: &mut State, c: usize, i: usize) -> Option<()> {
        let Controller { at, epoch, .. } = s.controllers[c];
        let activator = &mut s.activators[i];
        when(at == At::Opening && activator.is_up() && activator.lease == epoch)?;
        activator.end_lease();
        Some(())
    }

    pub(crate) fn ends(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Opening)?;
        s.over(c)
    }

    pub(crate) fn is_late(&self, s: &mut State, c: usize) -> Option<()> {
        let controller = &mut s.controllers[c];
        when(s.left.lates > 0 && controller.role == Role::Leading && !controller.late)?;
        when(controller.at != At::Idle)?;
        s.left.lates -= 1;
        controller.late = true;
        Some(())
    }

    pub(crate) fn dies(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.left.deaths > 0 && s.controllers[c].role == Role::Leading)?;
        s.left.deaths -= 1;
        s.controllers[c].role = Role::Dead;
        s.over(c)
    }

    /// The other one has ended, or let its Lease run out. It may not have noticed.
    pub(crate) fn leads(&self, s: &mut State, c: usize) -> Option<()> {
        let other = &s.controllers[1 - c];
        when(s.controllers[c].role == Role::Standby && (other.role == Role::Dead || other.late))?;
        s.controllers[c].role = Role::Leading;
        Some(())
    }

    pub(crate) fn finds_falling(&self, s: &mut State, c: usize) -> Option<()> {
        let Phase::Falling(epoch) = s.api.phase else { return None };
        when(s.controllers[c].role == Role::Leading && s.controllers[c].at == At::Idle)?;
        s.controllers[c] = Controller {
            at: At::Unknown,
            epoch,
            found: true,
            status_fresh: self.bounds.mode != Mode::Proxy,
            ..Controller::new(Role::Leading)
        };
        Some(())
    }

    pub(crate) fn sees_awake(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].role == Role::Leading && s.controllers[c].at == At::Idle)?;
        when(matches!(s.api.phase, Phase::Asleep(_)) && s.api.replicas > 0 && self.is_awake(s))?;
        s.api.phase = Phase::Awake;
        self.writes_status(s, c);
        if s.controllers[c].at == At::Idle {
            s.controllers[c].status_fresh = false;
        }
        Some(())
    }

    pub(crate) fn raises(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.left.raises > 0 && s.controllers[c].role == Role::Leading && s.controllers[c].at == At::Idle)?;
        when(s.api.phase == Phase::Awake && s.api.replicas == 1)?;
        s.left.raises -= 1;
        s.raise(2);
        Some(())
    }
}
