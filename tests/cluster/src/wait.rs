//! Waiting for a condition with a deadline: a test that hopes that a time is long enough is a test that fails on a busy
//! machine.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

/// How often a condition is looked at: a look is mostly a request to the API server, which has other things to do.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Milliseconds, for short tests.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds, for short tests.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Looks until `look` yields something, and returns that.
///
/// # Panics
/// If it did not within `limit`; `what` then says what was awaited.
#[track_caller]
pub fn until_some<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let (caller, started) = (Location::caller(), Instant::now());
    async move {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            assert!(started.elapsed() < limit, "{caller}: waited {limit:?} in vain: {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Looks until `look` is true, and returns how long that took.
///
/// # Panics
/// If it was not within `limit`; `what` then says what was awaited.
#[track_caller]
pub fn until(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> bool,
) -> impl Future<Output = Duration> {
    let started = Instant::now();
    let true_at_last = until_some(what, limit, async move || look().await.then_some(()));
    async move {
        true_at_last.await;
        started.elapsed()
    }
}
