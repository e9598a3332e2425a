//! An activator: its watches, its lease, and its wakes.

use crate::{
    model::{Protocol, when},
    state::{Activator, At, Epoch, Phase, Settling, Shut, State, serves},
    step::{Step, Steps},
};

impl Activator {
    /// Takes over the slices as they are now.
    pub(super) fn list_slices(&mut self, slices: u8) {
        if self.view != slices {
            self.view = slices;
            self.known = false;
            self.failed = false;
        }
    }

    /// The count was committed to 0: what there is, is about to stop.
    pub(super) fn bar(&mut self, steps: Steps) {
        let only_known = !steps.take(Step::BarAll);
        self.barred = steps.take(Step::Bar) && (self.known || !only_known);
    }

    /// Shuts the gate under this epoch.
    pub(super) fn shut(&mut self, epoch: Epoch, steps: Steps) {
        self.looking &= !steps.take(Step::ForgetReads);
        self.lease = epoch;
        self.seen = self.seen.max(epoch);
        self.settling = Settling::No;
        self.known = serves(self.view);
    }

    /// Ends the lease. The gate opens if a replica is usable.
    pub(super) fn end_lease(&mut self) {
        self.ended = self.ended.max(self.lease);
        self.lease = 0;
        self.known = false;
        self.endless = false;
        self.settling = Settling::No;
    }
}

/// What the count says.
fn read(replicas: u8) -> Settling {
    if replicas > 0 { Settling::Up } else { Settling::Zero }
}

impl Protocol {
    /// The watch says `FallingAsleep`: that is a shut, too.
    pub(crate) fn hears_phase(&self, s: &mut State, i: usize) -> Option<()> {
        let (announced, slices) = (s.api.announced, s.api.slices);
        let activator = &mut s.activators[i];
        when(activator.is_up() && activator.seen < announced)?;
        activator.seen = announced;
        if announced > activator.ended && announced > activator.lease {
            if self.takes(Step::ListAtShut) {
                activator.list_slices(slices);
            }
            activator.shut(announced, self.steps);
            activator.endless = !self.takes(Step::LeaseFromPhase);
        }
        Some(())
    }

    /// A shut of some earlier call arrives, and nobody waits for the answer.
    pub(crate) fn hears_stray_shut(&self, s: &mut State, i: usize) -> Option<()> {
        let (begun, slices) = (s.api.begun, s.api.slices);
        let activator = &mut s.activators[i];
        // Of the newest attempt; an older one is refused, or was superseded when the newer one came.
        when(
            s.left.stray_shuts > 0 && activator.is_up() && begun > activator.ended && begun > activator.lease,
        )?;
        s.left.stray_shuts -= 1;
        activator.list_slices(slices);
        activator.shut(begun, self.steps);
        Some(())
    }

    pub(crate) fn sees_slices(&self, s: &mut State, i: usize) -> Option<()> {
        let slices = s.api.slices;
        let activator = &mut s.activators[i];
        when(activator.is_up() && activator.view < slices)?;
        activator.list_slices(activator.view + 1);
        if !self.takes(Step::BarAll) {
            activator.barred = false;
        }
        Some(())
    }

    /// Whether nobody renews the lease any more. Time is this: a lease outlives every step that a controller takes
    /// in time, and none that it takes late.
    fn may_end(&self, s: &State, activator: &Activator) -> bool {
        let renewed = s.controllers.iter().enumerate().any(|(c, controller)| {
            let at_it =
                controller.attempts() && controller.at != At::Begun && controller.epoch == activator.lease;
            let waits = matches!(controller.at, At::Unknown | At::Fenced | At::Read(_));
            let is_listed = activator.told[c].shut != Shut::Unlisted;
            let reaches = self.takes(Step::RenewAll) || is_listed;
            at_it && !controller.late && (!waits || self.takes(Step::Renew) && reaches)
        });
        let endless = activator.endless && s.api.phase == Phase::Falling(activator.lease);
        !renewed && !endless
    }

    /// The lease ends by itself: the activator reads the count.
    pub(crate) fn lease_ends(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = s.activators[i];
        when(activator.is_up() && activator.lease > 0 && activator.settling == Settling::No)?;
        when(self.may_end(s, &activator))?;
        let (slices, replicas) = (s.api.slices, s.api.replicas);
        let activator = &mut s.activators[i];
        if self.takes(Step::ReadThenList) {
            activator.settling = read(replicas);
        } else {
            activator.list_slices(slices);
            activator.settling = Settling::Listed;
        }
        if self.takes(Step::ListAfterRead) { Some(()) } else { self.go_by(activator) }
    }

    /// Then it lists the slices, and goes by both.
    pub(crate) fn settles(&self, s: &mut State, i: usize) -> Option<()> {
        let (slices, replicas) = (s.api.slices, s.api.replicas);
        let activator = &mut s.activators[i];
        match activator.settling {
            Settling::No => return None,
            Settling::Listed => activator.settling = read(replicas),
            Settling::Zero | Settling::Up => activator.list_slices(slices),
        }
        self.go_by(activator)
    }

    fn go_by(&self, activator: &mut Activator) -> Option<()> {
        // 0 was committed. Or else nothing was, or it was and the app was woken since, for which every replica of
        // before had to be gone from the slices.
        if activator.settling == Settling::Zero {
            activator.bar(self.steps);
        } else {
            activator.barred = false;
        }
        activator.end_lease();
        Some(())
    }

    /// Whether the activator may raise the count for a request that it holds: it lists the slices first.
    pub(crate) fn may_wake(&self, s: &State, activator: &Activator) -> bool {
        let stopped = !serves(s.api.slices) || !self.takes(Step::StopBeforeWake);
        activator.is_up() && !activator.is_open() && stopped
    }

    /// Takes over the list.
    fn has_listed(&self, s: &mut State, i: usize) {
        if self.takes(Step::StopBeforeWake) {
            let slices = s.api.slices;
            s.activators[i].list_slices(slices);
            s.excuse_replacements();
        }
    }

    /// The compare-and-set from 0.
    pub(crate) fn wakes(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &s.activators[i];
        when(activator.held > 0 && self.may_wake(s, activator))?;
        when(s.api.replicas != 1 && (s.api.replicas == 0 || !self.takes(Step::CompareZero)))?;
        self.has_listed(s, i);
        s.activator_writes(1);
        Some(())
    }

    /// The same, on its way for some time.
    pub(crate) fn sends_wake(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &s.activators[i];
        when(s.left.late_wakes > 0 && s.api.wake.is_none())?;
        when(activator.held > 0 && self.may_wake(s, activator) && s.api.replicas == 0)?;
        self.has_listed(s, i);
        s.left.late_wakes -= 1;
        s.api.wake = Some(true);
        Some(())
    }

    pub(crate) fn wake_commits(&self, s: &mut State) -> Option<()> {
        let fresh = s.api.wake.take()?;
        if s.api.replicas == 0 && (fresh || !self.takes(Step::WakeVersion)) {
            s.activator_writes(1);
        }
        Some(())
    }

    /// Somebody waits behind the bar: the activator reads the count.
    pub(crate) fn looks_again(&self, s: &mut State, i: usize) -> Option<()> {
        let replicas = s.api.replicas;
        let activator = &mut s.activators[i];
        when(self.takes(Step::LookAgain) && replicas > 0)?;
        when(activator.lease == 0 && activator.held > 0 && activator.barred)?;
        activator.looking = true;
        Some(())
    }

    /// Then it lists the slices: what they show was not there before the wake.
    pub(crate) fn has_looked(&self, s: &mut State, i: usize) -> Option<()> {
        let slices = s.api.slices;
        let activator = &mut s.activators[i];
        when(activator.looking)?;
        activator.looking = false;
        activator.list_slices(slices);
        activator.barred = false;
        Some(())
    }
}
