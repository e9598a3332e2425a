//! How one activator stands to one app in the protocol of falling asleep: the state machine of `tests/model`, whose
//! steps are named in brackets. No I/O, and no clock of its own.
//!
//! An app's endpoints may be used if no lease shuts its gate and it is not barred.
//!
//! - **A lease** stands from a shut on, asked for by the controller or heard as the phase `FallingAsleep`
//!   (`LeaseFromPhase`), until it is told how the attempt ended, or its time is over. Then the count is read, and after it
//!   the slices are listed, and both say how the attempt ended (`ReadThenList`, `ListAfterRead`).
//! - **Barred** it is once 0 was committed, or it started while the app was asleep (`Bar`, `BarOnStart`): then no replica is
//!   usable, known or not (`BarAll`), until the count was read to be above 0 and the slices were listed after that
//!   (`LookAgain`).
//! - What was read before a shut, or before the end of a lease, counts for nothing after it (`ForgetReads`).

use std::time::{Duration, Instant};

use reveille_core::{control::AttemptOutcome, phase::Phase};

use super::slices::{SliceList, Slices};

/// How long a shut holds that was only heard as a phase.
pub(crate) const OWN_LEASE: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Stance {
    /// Whether the app was heard of.
    started: bool,
    phase: Option<Phase>,
    lease: Option<Lease>,
    /// The newest attempt that was heard of.
    seen: u64,
    /// The newest one whose lease has ended.
    ended: u64,
    barred: bool,
    reads: Reads,
    slices: Slices,
    /// A list of the slices is due, whatever else is.
    unsure: bool,
}

/// A shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    epoch: u64,
    until: Instant,
    /// The slices were listed since it began (`ListAtShut`).
    listed: bool,
    /// Its time is over: what comes of it has to be read.
    over: bool,
}

/// What was read of the count since it last counted for nothing.
#[derive(Clone, Debug, Default)]
struct Reads {
    /// Names what is read from now on.
    ticket: Ticket,
    scale: Option<Scale>,
}

/// Names a look: what is brought with an older one comes too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The count, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) replicas: u32,
    /// Its version, by which a raise is bound to it (`WakeVersion`).
    pub(crate) version: String,
}

/// What has to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing, until that time.
    Nothing(Option<Instant>),
    /// List the slices.
    List(Ticket),
    /// Read the count, and go on as [`Stance::scale_read`] says. Urgent: a lease has ended.
    Look(Ticket, Urgency),
}

/// Whether it may be put off to spare the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A lease has ended and nothing can pass.
    Settle,
    /// Somebody waits, or may wait, for the app.
    Wake,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// List the slices, then [`Stance::slices_listed`].
    List,
    /// The count is above 0.
    Up,
    /// The count is 0, and no replica of before is shown: it may be raised, if it is still as it was read (`CompareZero`,
    /// `StopBeforeWake`).
    Raise(Scale),
    /// The count is 0, and the slices still show a replica that is not stopping.
    Stopping,
    /// A shut came in between.
    TooLate,
}

/// A shut was refused: the attempt is over, or another one is newer (`RefuseOld`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The newest attempt that is known.
    pub(crate) seen: u64,
}

impl Stance {
    /// Takes over what the app's status says. Returns the attempt whose lease begins by it: the gate is to be shut.
    pub(crate) fn heard(&mut self, now: Instant, phase: Option<Phase>, epoch: u64) -> Option<u64> {
        let first = !std::mem::replace(&mut self.started, true);
        self.phase = phase;
        let news = epoch > self.seen;
        self.seen = self.seen.max(epoch);
        match phase {
            Some(Phase::FallingAsleep) => {
                let standing = self.lease.map_or(0, |lease| lease.epoch);
                let newer = epoch > self.ended && epoch > standing;
                if (news || first) && newer {
                    self.begin(Lease { epoch, until: now + OWN_LEASE, listed: false, over: false });
                    return Some(epoch);
                }
            }
            Some(Phase::Asleep) => {
                let of_lease = self.lease.is_some_and(|lease| lease.epoch <= epoch);
                if first || news || of_lease {
                    self.bar();
                }
                if of_lease {
                    self.end_lease();
                }
                if first || news {
                    self.ended = self.ended.max(epoch);
                }
            }
            // The attempt is over, and no commit of it can come any more. What came of it, only a look tells: the app may
            // have slept and been woken since.
            Some(Phase::Awake | Phase::Waking) => {
                if let Some(lease) = &mut self.lease
                    && lease.epoch <= epoch
                {
                    lease.until = lease.until.min(now);
                }
            }
            None => {}
        }
        None
    }

    /// Whether a shut of this attempt would be refused.
    pub(crate) fn check(&self, epoch: u64) -> Result<(), Refused> {
        let standing = self.lease.map_or(0, |lease| lease.epoch);
        if epoch <= self.ended || epoch < standing {
            return Err(Refused { seen: self.seen.max(standing) });
        }
        Ok(())
    }

    /// Whether a shut of this attempt only renews its lease, so that the slices need no other list.
    pub(crate) fn renews(&self, epoch: u64) -> bool {
        self.lease.is_some_and(|lease| lease.epoch == epoch && lease.listed)
    }

    /// The controller asks for a shut. `list` is what the slices showed after it had asked, unless it only
    /// [renews](Self::renews).
    pub(crate) fn shut(
        &mut self,
        now: Instant,
        epoch: u64,
        lease: Duration,
        list: Option<SliceList>,
    ) -> Result<(), Refused> {
        self.check(epoch)?;
        let listed = list.is_some() || self.renews(epoch);
        if let Some(list) = list {
            self.slices.replace(list);
        }
        self.seen = self.seen.max(epoch);
        self.begin(Lease { epoch, until: now + lease, listed, over: false });
        Ok(())
    }

    /// The controller says how the attempt ended.
    pub(crate) fn told(&mut self, now: Instant, epoch: u64, outcome: AttemptOutcome) {
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.epoch == epoch) else { return };
        match outcome {
            AttemptOutcome::Asleep => {
                self.bar();
                self.end_lease();
            }
            AttemptOutcome::Awake if lease.listed => self.end_lease(),
            // What is known of the slices may be of before the last sleep.
            AttemptOutcome::Awake => lease.until = lease.until.min(now),
        }
    }

    /// What has to be done. `wake`: somebody waits for the app.
    pub(crate) fn need(&mut self, now: Instant, wake: bool) -> Need {
        if let Some(lease) = self.lease.as_mut().filter(|lease| !lease.over && now >= lease.until) {
            lease.over = true;
            self.forget_reads();
        }
        let ticket = self.reads.ticket;
        match self.lease {
            Some(lease) if lease.over => return Need::Look(ticket, Urgency::Settle),
            Some(lease) if !lease.listed => return Need::List(ticket),
            _ => {}
        }
        if self.unsure {
            return Need::List(ticket);
        }
        if wake || self.may_have_been_woken() {
            return Need::Look(ticket, Urgency::Wake);
        }
        Need::Nothing(self.lease.map(|lease| lease.until))
    }

    /// It is barred, and something says that the app was woken: somebody else may have done it.
    fn may_have_been_woken(&self) -> bool {
        let woken = matches!(self.phase, Some(Phase::Awake | Phase::Waking)) || self.slices.show_life();
        self.barred && self.lease.is_none() && woken
    }

    /// The count was read.
    pub(crate) fn scale_read(&mut self, ticket: Ticket, scale: Scale) -> Next {
        if ticket != self.reads.ticket {
            return Next::TooLate;
        }
        let up = scale.replicas > 0;
        self.reads.scale = Some(scale);
        let over = self.lease.is_some_and(|lease| lease.over);
        let barred = self.barred && self.lease.is_none();
        if over || barred || !up { Next::List } else { Next::Up }
    }

    /// The slices were listed.
    pub(crate) fn slices_listed(&mut self, ticket: Ticket, list: SliceList) -> Next {
        self.slices.replace(list);
        self.unsure = false;
        if ticket != self.reads.ticket {
            return Next::TooLate;
        }
        if let Some(lease) = &mut self.lease {
            lease.listed = true;
        }
        let Some(scale) = self.reads.scale.take() else { return Next::List };
        let settles = self.lease.is_some_and(|lease| lease.over);
        if scale.replicas == 0 {
            if settles {
                self.barred = true;
                self.end_lease();
            }
            return if self.slices.show_life() { Next::Stopping } else { Next::Raise(scale) };
        }
        if settles {
            self.end_lease();
            self.barred = false;
        } else if self.lease.is_none() {
            self.barred = false;
        }
        Next::Up
    }

    /// The slices by the watch, and lists at times of the caller's.
    pub(crate) fn slices_mut(&mut self) -> &mut Slices {
        &mut self.slices
    }

    pub(crate) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// The watch and a list disagree: another list is due.
    pub(crate) fn is_unsure(&mut self) {
        self.unsure = true;
    }

    pub(crate) fn is_barred(&self) -> bool {
        self.barred
    }

    /// The attempt whose lease stands.
    pub(crate) fn lease(&self) -> Option<u64> {
        self.lease.map(|lease| lease.epoch)
    }

    /// When the lease that stands ends, if nobody renews it.
    pub(crate) fn lease_until(&self) -> Option<Instant> {
        self.lease.filter(|lease| !lease.over).map(|lease| lease.until)
    }

    /// The newest attempt whose lease has ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    fn begin(&mut self, lease: Lease) {
        self.forget_reads();
        self.lease = Some(lease);
    }

    fn bar(&mut self) {
        self.forget_reads();
        self.barred = true;
    }

    fn end_lease(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.ended = self.ended.max(lease.epoch);
        }
    }

    fn forget_reads(&mut self) {
        self.reads = Reads { ticket: Ticket(self.reads.ticket.0 + 1), scale: None };
    }
}

impl Stance {
    /// Another app of the same name: only what the slices show is still so.
    pub(crate) fn begin_anew(&mut self) {
        let reads = Reads { ticket: Ticket(self.reads.ticket.0 + 1), scale: None };
        *self = Self { reads, slices: std::mem::take(&mut self.slices), ..Self::default() };
    }
}

#[cfg(test)]
#[path = "stance_tests.rs"]
mod tests;
