//! How activators come and go.

use crate::{
    model::{Protocol, when},
    state::{Activator, Life, Phase, Report, State},
    step::Step,
};

impl Activator {
    /// What was reported is not comparable any more.
    fn forget_reports(&mut self) {
        for known in &mut self.told {
            if known.report != Report::None {
                known.report = Report::OtherBoot;
            }
        }
    }
}

impl Protocol {
    pub(crate) fn is_made(&self, s: &mut State, i: usize) -> Option<()> {
        when(s.left.joins > 0 && s.activators[i].life == Life::Absent)?;
        s.left.joins -= 1;
        s.activators[i].life = Life::Created;
        Some(())
    }

    /// A consistent list of apps and slices, before it is ready.
    pub(crate) fn lists_apps(&self, s: &mut State, i: usize) -> Option<()> {
        let api = s.api;
        let activator = &mut s.activators[i];
        when(activator.life == Life::Created)?;
        activator.life = Life::Listed;
        activator.list_slices(api.slices);
        if !self.takes(Step::ListApps) {
            // A cache that is a little behind: the app is awake in it.
            return Some(());
        }
        activator.seen = api.announced;
        match api.phase {
            Phase::Awake => {}
            Phase::Falling(epoch) => {
                activator.shut(epoch, self.steps);
                activator.endless = !self.takes(Step::LeaseFromPhase);
            }
            Phase::Asleep(_) => activator.barred = self.takes(Step::BarOnStart),
        }
        Some(())
    }

    pub(crate) fn is_ready(&self, s: &mut State, i: usize) -> Option<()> {
        when(s.activators[i].life == Life::Listed)?;
        s.activators[i].life = Life::Ready;
        Some(())
    }

    pub(crate) fn drains(&self, s: &mut State, i: usize) -> Option<()> {
        when(s.left.drains > 0 && s.activators[i].life == Life::Ready)?;
        s.left.drains -= 1;
        s.activators[i].life = Life::Draining;
        Some(())
    }

    pub(crate) fn leaves(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &mut s.activators[i];
        when(activator.life == Life::Draining && activator.held == 0 && activator.serving == 0)?;
        *activator = Activator { told: activator.told, ..Activator::new(Life::Absent) };
        // The next one has another name.
        activator.forget_reports();
        Some(())
    }

    /// Its connections break, and what it knew is gone. The container starts again in the same pod.
    pub(crate) fn crashes(&self, s: &mut State, i: usize) -> Option<()> {
        let activator = &mut s.activators[i];
        when(s.left.crashes > 0 && activator.is_up())?;
        s.left.crashes -= 1;
        *activator = Activator { told: activator.told, ..Activator::new(Life::Created) };
        if self.takes(Step::CompareBoot) {
            activator.forget_reports();
        }
        Some(())
    }
}
