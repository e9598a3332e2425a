//! How often the errands of one app may trouble the API server. Pure: the time and the chance are arguments.

use std::time::{Duration, Instant};

/// While somebody waits and nothing else is to be done but to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While replicas of before stop: from, to.
const STOPPING: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// While the API server cannot be asked.
const UNAVAILABLE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// While it does not allow what is asked.
const FORBIDDEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// While it does not take the count.
const REFUSED: Duration = Duration::from_secs(5);
/// While there is no target.
const NOT_FOUND: Duration = Duration::from_secs(5);
/// Between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The count is above 0.
    Up,
    /// The count is 0, and nobody waits for more.
    Down,
    /// The slices were listed, or a lease's end was found out: there may be more to do at once.
    Listed,
    /// The count was raised.
    Raised,
    /// The count is 0, and it cannot be raised yet.
    LookSoon,
    /// What was read came too late.
    LookAtOnce,
    /// The raise came too late.
    Conflict,
    /// The API server does not take the count.
    Refused,
    Unavailable,
    Forbidden,
    NotFound,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Before that, nothing is asked.
    trouble_until: Instant,
    /// Before that, nothing is asked that can be put off.
    from: Instant,
    /// Outcomes of the last kind in a row.
    row: u32,
    last: Option<Outcome>,
    wrote: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { trouble_until: now, from: now, row: 0, last: None, wrote: None }
    }

    /// From when on what cannot be put off may be asked.
    pub(crate) fn urgent_from(&self) -> Instant {
        self.trouble_until
    }

    /// From when on anything may be asked.
    pub(crate) fn from(&self) -> Instant {
        self.from.max(self.trouble_until)
    }

    /// Whether the count may be written.
    pub(crate) fn may_write(&self, now: Instant) -> bool {
        self.wrote.is_none_or(|wrote| now.saturating_duration_since(wrote) >= WRITE_EVERY)
    }

    /// Notes what a look came to. `chance`, 0 to 1, keeps many activators from asking at one time.
    pub(crate) fn note(&mut self, outcome: Outcome, now: Instant, chance: f64) {
        self.row = if self.last == Some(outcome) { self.row.saturating_add(1) } else { 0 };
        self.last = Some(outcome);
        let growing = |(first, longest): (Duration, Duration)| {
            first.saturating_mul(1u32.checked_shl(self.row).unwrap_or(u32::MAX)).min(longest)
        };
        let jittered = |pause: Duration| pause.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        if matches!(outcome, Outcome::Raised | Outcome::Conflict) {
            self.wrote = Some(now);
        }
        match outcome {
            Outcome::Up | Outcome::Down | Outcome::Raised => self.from = now + jittered(LOOK_EVERY),
            Outcome::Listed | Outcome::LookAtOnce => self.from = now,
            Outcome::Refused => self.from = now + jittered(REFUSED),
            // One who lost a race sees soon what the other made of it.
            Outcome::LookSoon | Outcome::Conflict => self.from = now + growing(STOPPING),
            Outcome::Unavailable => self.trouble_until = now + jittered(growing(UNAVAILABLE)),
            Outcome::Forbidden => self.trouble_until = now + jittered(growing(FORBIDDEN)),
            Outcome::NotFound => self.trouble_until = now + jittered(NOT_FOUND).max(NOT_FOUND / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(outcome: Outcome, n: usize, chance: f64) -> Vec<u128> {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        (0..n)
            .map(|_| {
                pace.note(outcome, now, chance);
                pace.from().duration_since(now).as_millis()
            })
            .collect()
    }

    #[test]
    fn each_kind_of_trouble_has_its_own_pauses() {
        assert_eq!(pauses(Outcome::LookSoon, 6, 1.0), [50, 100, 200, 400, 500, 500]);
        assert_eq!(pauses(Outcome::Unavailable, 6, 1.0), [250, 500, 1000, 2000, 4000, 5000]);
        assert_eq!(pauses(Outcome::Forbidden, 7, 1.0), [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(pauses(Outcome::Up, 2, 0.0), [500, 500]);
        assert_eq!(pauses(Outcome::LookAtOnce, 1, 0.0), [0]);
        assert_eq!(pauses(Outcome::Unavailable, 100, 1.0)[99], 5000);
    }

    #[test]
    fn what_is_urgent_waits_for_trouble_alone() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.note(Outcome::Up, now, 1.0);
        assert!(pace.urgent_from() <= now && pace.from() > now);
        pace.note(Outcome::Unavailable, now, 1.0);
        assert!(pace.urgent_from() > now);
    }

    #[test]
    fn it_writes_once_a_second() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert!(pace.may_write(now));
        pace.note(Outcome::Raised, now, 1.0);
        assert!(!pace.may_write(now + Duration::from_millis(999)));
        assert!(pace.may_write(now + WRITE_EVERY));
    }
}
