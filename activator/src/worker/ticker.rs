//! A worker's coarse clock: twice a second it looks at every connection once, instead of a timer each.
//!
//! A warm request thus sets and clears no timer and reads no clock for them; time-outs towards clients and
//! the idle time of upstream connections are accurate to half a second.

use std::{rc::Rc, time::Duration};

use super::Worker;

/// The clock's step.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// A time in ticks, rounded up.
pub(super) fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX)
}

pub(super) async fn run(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let limits = worker.shared.config.client;
    loop {
        interval.tick().await;
        let now = worker.tick.get().wrapping_add(1);
        worker.tick.set(now);
        worker.each_connection(|state| state.check_time(now, &limits));
        let apps: Vec<_> = worker.apps.borrow().values().cloned().collect();
        for app in apps {
            app.drop_idle(now);
        }
    }
}
