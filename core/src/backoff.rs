//! The pause after a crash or a failed wake: 1 s, doubling to 5 min, forgotten once the app has stayed
//! awake for a while. Kubernetes' CrashLoopBackOff has the same ceiling.

use std::time::Duration;

/// The first pause.
pub const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub const LONGEST: Duration = Duration::from_secs(300);
/// An app that was awake this long before it died is not in a crash loop: its failures are forgotten.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes one more failure and returns the pause before the next attempt.
    pub fn fail(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = self.failures.saturating_add(1).min(31);
        pause
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many failures stand in a row.
    pub fn failures(self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_one_second_to_five_minutes() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..12).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        for _ in 0..100 {
            assert_eq!(backoff.fail(), LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.fail(), FIRST);
    }
}
