//! One clock for all processes of a run, and pauses.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::time::ClockId;

/// Microseconds of the machine's monotonic clock: the same in every process.
pub(crate) fn now() -> u64 {
    let now = ClockId::CLOCK_MONOTONIC.now().map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Lets so much time go by.
pub(crate) fn pause(time: Duration) {
    until(Instant::now() + time);
}

/// Waits for an instant.
pub(crate) fn until(instant: Instant) {
    while let Some(wait) = instant.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
        thread::park_timeout(wait);
    }
}
