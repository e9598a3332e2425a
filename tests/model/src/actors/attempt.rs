//! A controller's attempt to put the app to sleep, from the idle report to the commit.

use std::time::Duration;

use reveille_core::{
    activity::Activity,
    decide,
    decide::{Decision, Observed, decide},
    invariants, phase,
    policy::Ttl,
};

use crate::{
    bounds::{Mode, Occasion},
    model::{Protocol, when},
    state::{Activator, At, Commit, Controller, Life, Phase, Report, Role, Settling, Shut, State, serves},
    step::Step,
};

impl Controller {
    /// Whether its commit is on its way, or was.
    pub(super) fn has_sent(&self) -> bool {
        !matches!(
            self.at,
            At::Idle
                | At::Begun
                | At::Announced
                | At::OffPath
                | At::Waited
                | At::Quiet
                | At::Reread
                | At::AnnouncedAgain
                | At::Shutting
        )
    }
}

impl Protocol {
    /// What the activator says of the app. Time is this: whatever is quiet may have been quiet for the TTL.
    fn activity(&self, activator: &Activator) -> Activity {
        let in_flight = u64::from(activator.held + activator.serving);
        let Ttl::After(ttl) = self.policy.idle.ttl else { unreachable!("the default TTL is a time") };
        Activity {
            started: activator.started.into(),
            in_flight,
            held: activator.held.into(),
            quiet: if in_flight == 0 { ttl } else { Duration::ZERO },
        }
    }

    /// Whether the activator counts.
    fn is_live(&self, activator: &Activator) -> bool {
        match activator.life {
            Life::Absent => false,
            Life::Draining => self.takes(Step::ListDraining),
            Life::Created | Life::Listed => self.takes(Step::ListUnready),
            Life::Ready => true,
        }
    }

    /// The decision of `core`, on fresh reports of every activator.
    fn finds_idle(&self, s: &State) -> bool {
        let listed = s.activators.iter().filter(|activator| self.is_live(activator));
        let report = |activator: &Activator| match activator.life {
            Life::Absent | Life::Created => decide::Report::Silent,
            _ => decide::Report::Said { at: self.now, activity: self.activity(activator) },
        };
        let observed = Observed {
            pinned_until: None,
            phase: match s.api.phase {
                Phase::Awake => phase::Phase::Awake,
                Phase::Falling(_) => phase::Phase::FallingAsleep,
                Phase::Asleep(_) => phase::Phase::Asleep,
            },
            since: self.now - Duration::from_secs(100_000),
            reports: listed.map(report).collect(),
        };
        decide(self.now, &observed, &self.policy) == Decision::Sleep
    }

    /// Step 1: idle, and the version is read.
    pub(crate) fn begins(&self, s: &mut State, c: usize) -> Option<()> {
        let controller = s.controllers[c];
        when(s.left.attempts > 0 && controller.role == Role::Leading && controller.at == At::Idle)?;
        when(s.api.phase == Phase::Awake && s.api.replicas > 0 && serves(s.api.slices))?;
        when(self.bounds.occasion == Occasion::ByHand || self.finds_idle(s))?;
        let shows_idle = self.bounds.mode != (Mode::Bypass { gauge: true }) || s.direct.serving == 0;
        when(self.bounds.occasion == Occasion::ByHand || shows_idle)?;
        s.left.attempts -= 1;
        s.api.begun += 1;
        s.controllers[c] = Controller {
            at: At::Begun,
            epoch: s.api.begun,
            fresh: true,
            late: controller.late,
            status_fresh: self.bounds.mode != Mode::Proxy,
            ..Controller::new(Role::Leading)
        };
        for activator in &mut s.activators {
            if self.is_live(activator) {
                activator.told[c].report = Report::Started(activator.started);
            }
        }
        Some(())
    }

    /// Step 2: the announcement, a compare-and-set of the status as it was when the attempt began.
    pub(crate) fn announces(&self, s: &mut State, c: usize) -> Option<()> {
        when(s.controllers[c].at == At::Begun)?;
        let epoch = s.controllers[c].epoch;
        let as_read = s.controllers[c].status_fresh || !self.takes(Step::AnnounceAsRead);
        let is_bypass = self.bounds.mode != Mode::Proxy;
        if s.api.phase != Phase::Awake || s.api.announced > epoch || is_bypass && !as_read {
            return s.over(c);
        }
        if self.takes(Step::Announce) {
            s.api.phase = Phase::Falling(epoch);
            s.api.announced = epoch;
            self.writes_status(s, c);
        }
        s.controllers[c].at = At::Announced;
        Some(())
    }

    /// A consistent list of the activators.
    pub(crate) fn lists(&self, s: &mut State, c: usize) -> Option<()> {
        let from = if self.bounds.mode == Mode::Proxy { At::Announced } else { At::AnnouncedAgain };
        when(s.controllers[c].at == from)?;
        s.controllers[c].at = At::Shutting;
        // From here on its clock measures the leases.
        s.controllers[c].late = false;
        if !self.takes(Step::VersionFirst) {
            s.controllers[c].fresh = true;
            s.controllers[c].raised = false;
        }
        for activator in &mut s.activators {
            let has_reported = activator.told[c].report != Report::None;
            if self.is_live(activator) && (has_reported || self.takes(Step::ListActivators)) {
                activator.told[c].shut = Shut::Pending;
            } else if has_reported && self.takes(Step::CheckCounts) && self.bounds.occasion == Occasion::Idle
            {
                // One that has left since may have served meanwhile.
                s.controllers[c].at = At::Off;
            }
        }
        Some(())
    }

    /// Step 4: one activator is shut, and its answer compared with its report.
    pub(crate) fn shuts(&self, s: &mut State, c: usize, i: usize) -> Option<()> {
        let Controller { at, epoch, .. } = s.controllers[c];
        let shut = s.activators[i].told[c].shut;
        when(at == At::Shutting && matches!(shut, Shut::Pending | Shut::Checked))?;
        let activator = s.activators[i];
        let is_ending = activator.lease == epoch && activator.settling != Settling::No;
        let is_old = activator.ended >= epoch || activator.lease > epoch || is_ending;
        if !activator.is_up() || is_old && self.takes(Step::RefuseOld) {
            s.controllers[c].at = At::Off;
            return Some(());
        }
        let check_first = !self.takes(Step::ShutBeforeCheck);
        if check_first && shut == Shut::Checked {
            let all_checked = s.activators.iter().all(|activator| activator.told[c].shut != Shut::Pending);
            when(all_checked)?;
        }
        let slices = s.api.slices;
        let activator = &mut s.activators[i];
        if !check_first || shut == Shut::Checked {
            if self.takes(Step::ListAtShut) {
                activator.list_slices(slices);
            }
            activator.shut(epoch, self.steps);
            activator.endless = false;
            activator.told[c].shut = Shut::Done;
        } else {
            activator.told[c].shut = Shut::Checked;
        }
        if shut == Shut::Pending && self.takes(Step::CheckCounts) {
            let at_shut = self.activity(activator);
            if self.bounds.occasion == Occasion::ByHand {
                if at_shut.in_service() > 0 {
                    activator.told[c].shut = Shut::Pending;
                }
                return Some(());
            }
            let same = match activator.told[c].report {
                Report::Started(started) => {
                    let reported = Activity { started: started.into(), ..Activity::default() };
                    invariants::nothing_passed(&reported, &at_shut)
                }
                Report::None | Report::OtherBoot => false,
            };
            if !same {
                s.controllers[c].at = At::Off;
            }
        }
        Some(())
    }

    /// By hand: work in service takes too long.
    pub(crate) fn gives_up(&self, s: &mut State, c: usize) -> Option<()> {
        when(self.bounds.occasion == Occasion::ByHand && s.controllers[c].at == At::Shutting)?;
        s.controllers[c].at = At::Off;
        Some(())
    }

    /// Step 5: the commit is sent.
    pub(crate) fn commits(&self, s: &mut State, c: usize) -> Option<()> {
        let controller = s.controllers[c];
        let all_shut = s
            .activators
            .iter()
            .all(|activator| matches!(activator.told[c].shut, Shut::Unlisted | Shut::Done));
        when(controller.at == At::Shutting && all_shut)?;
        if controller.late && self.takes(Step::CommitInLease) {
            s.controllers[c].at = At::Off;
            return Some(());
        }
        let slot = s.api.commits.iter().position(Option::is_none)?;
        s.api.commits[slot] = Some(Commit {
            epoch: controller.epoch,
            by: u8::try_from(c).expect("there are two"),
            fresh: controller.fresh,
            raised: controller.raised,
            in_lease: !controller.late,
            called: controller.called && self.bounds.occasion == Occasion::Idle,
        });
        s.controllers[c].at = At::Sent;
        s.controllers[c].called = false;
        Some(())
    }
}
