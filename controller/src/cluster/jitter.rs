//! Pauses of a random length, so that those who began to wait together do not go on together.

use std::time::Duration;

/// Half to all of `most`.
pub(super) fn jittered(most: Duration) -> Duration {
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_half_at_least_and_never_more() {
        let most = Duration::from_secs(10);
        let pauses: Vec<_> = (0..1_000).map(|_| jittered(most)).collect();
        assert!(pauses.iter().all(|pause| (most / 2..=most).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < most.mul_f64(0.6)));
        assert!(pauses.iter().any(|pause| *pause > most.mul_f64(0.9)));
    }
}
