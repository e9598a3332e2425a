//! Waiting for a condition with a deadline: a test that hopes that a time is long enough is a test that
//! fails on a busy machine.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Milliseconds, for short tests.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds, for short tests.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lets time pass: only for tests whose subject is time, such as a gap between two bursts.
#[expect(clippy::disallowed_methods, reason = "test threads are not workers of a runtime")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks at `condition` until it yields something, and returns that.
///
/// # Panics
/// If it did not within `limit`; `what` then says what was awaited.
#[track_caller]
pub fn until_some<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        pause(LOOK_EVERY);
    }
}

/// Looks at `condition` until it is true, and returns how long that took.
///
/// # Panics
/// If it was not within `limit`; `what` then says what was awaited.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    until_some(what, limit, || condition().then_some(()));
    started.elapsed()
}
