//! The activator's side of the sleep protocol: shut the gate under a lease, say what was counted, open.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reveille_core::activity::Activity;

use super::{App, Lease};

impl App {
    /// Shuts the gate for at most `lease` and returns what was counted as of that instant: nothing that it does
    /// not show can pass from here on. The same epoch again renews the lease.
    pub(crate) fn shut(self: &Arc<Self>, epoch: u64, lease: Duration) -> Activity {
        let until = Instant::now() + lease;
        let activity = self.change(|state| {
            state.lease = Some(Lease { epoch, until });
            // The gate is written and the counts are read under the lock that admissions need, too.
            self.gate.shut();
            self.gate.activity(state.queue.len() as u64, Instant::now())
        });
        self.shared.control.spawn(self.clone().expire(epoch, lease));
        activity
    }

    /// Ends the lease of that epoch: the gate opens if an endpoint is usable.
    pub(crate) fn open(self: &Arc<Self>, epoch: u64) {
        self.change(|state| state.lease.take_if(|lease| lease.epoch == epoch));
    }

    /// A lease that nobody renewed ends by itself: whoever shut the gate is gone.
    async fn expire(self: Arc<Self>, epoch: u64, lease: Duration) {
        tokio::time::sleep(lease).await;
        self.change(|state| {
            let is_over = |lease: &mut Lease| lease.epoch == epoch && lease.until <= Instant::now();
            if state.lease.take_if(is_over).is_some() {
                tracing::warn!(app = %self.id, epoch, "the shut was not renewed and has ended; the app is not put to sleep");
            }
        });
    }
}
