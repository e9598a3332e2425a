//! The activator's side of the sleep protocol: shut the gate under a lease, say what was counted, open.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reveille_core::activity::Activity;

use super::{App, Lease};

/// When a shut ends that nobody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseEnd {
    /// By itself after that time, unless it is renewed: whoever shut the gate is gone.
    After(Duration),
    /// Not before it is told: what came of the attempt has to be found out first.
    WhenTold,
}

impl App {
    /// Shuts the gate and returns what was counted as of that instant: nothing that it does not show can pass from
    /// here on. The same epoch again renews the lease. None if a lease stands whose epoch is newer; whoever tells leases
    /// when to end says for itself which are newer.
    pub(crate) fn shut(self: &Arc<Self>, epoch: u64, end: LeaseEnd) -> Option<Activity> {
        let until = match end {
            LeaseEnd::After(lease) => Some(Instant::now() + lease),
            LeaseEnd::WhenTold => None,
        };
        let activity = self.change(|state| {
            if until.is_some() && state.lease.as_ref().is_some_and(|lease| lease.epoch > epoch) {
                return None;
            }
            state.lease = Some(Lease { epoch, until });
            // The gate is written and the counts are read under the lock that admissions need, too.
            self.gate.shut();
            Some(self.gate.activity(state.queue.len() as u64, Instant::now()))
        })?;
        if let LeaseEnd::After(lease) = end {
            self.shared.control.spawn(self.clone().expire(epoch, lease));
        }
        Some(activity)
    }

    /// Ends the lease of that epoch: the gate opens if an endpoint is usable.
    pub(crate) fn open(self: &Arc<Self>, epoch: u64) {
        self.change(|state| state.lease.take_if(|lease| lease.epoch == epoch));
    }

    /// Ends the lease that stands, if its epoch is no newer than that.
    pub(crate) fn end_leases(self: &Arc<Self>, newest: u64) {
        self.change(|state| state.lease.take_if(|lease| lease.epoch <= newest));
    }

    /// A lease that nobody renewed ends by itself: whoever shut the gate is gone.
    async fn expire(self: Arc<Self>, epoch: u64, lease: Duration) {
        tokio::time::sleep(lease).await;
        self.change(|state| {
            let is_over = |lease: &mut Lease| {
                lease.epoch == epoch && lease.until.is_some_and(|until| until <= Instant::now())
            };
            if state.lease.take_if(is_over).is_some() {
                tracing::warn!(app = %self.id, epoch, "the shut was not renewed and has ended; the app is not put to sleep");
            }
        });
    }
}
