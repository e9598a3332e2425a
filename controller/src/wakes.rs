//! What is remembered of an app's wakes: the present or last one, and how long they usually take.
//!
//! The usual duration is the median of the last few that succeeded: one slow start (a cold disk) does not
//! move it, and it follows a real change within a few wakes.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reveille_core::{
    api::WakeStatus,
    app::AppId,
    wake::{Outcome, Step, Steps, WakeId},
};

/// How many wakes the usual duration looks back on.
const REMEMBERED: usize = 9;

/// Numbers the wakes of all apps, so that an id stays unique when an app is removed and added again.
#[derive(Debug, Default)]
pub struct Ids(AtomicU64);

impl Ids {
    /// The id of a new wake.
    pub fn next(&self, app: &AppId) -> WakeId {
        WakeId::new(&app.name, self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// One wake, in progress or over.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which.
    pub id: WakeId,
    /// Who or what asked for it.
    pub trigger: String,
    /// When it was requested, for people.
    pub started: Timestamp,
    /// When it was requested, for durations.
    pub since: Instant,
    /// The steps it has reached.
    pub steps: Steps,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

impl Record {
    /// A wake that is requested now.
    pub fn new(id: WakeId, trigger: String, now: Instant) -> Self {
        let mut steps = Steps::default();
        steps.reach(Step::Requested, Duration::ZERO);
        Self { id, trigger, started: Timestamp::now(), since: now, steps, outcome: None }
    }

    /// Notes that a step is reached now.
    pub fn reach(&mut self, step: Step, now: Instant) {
        self.steps.reach(step, self.elapsed(now));
    }

    /// Since the wake was requested.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The wake as users see it. One that takes longer than usual is expected at any moment: 0 ms.
    pub fn status(&self, now: Instant, usual: Option<Duration>) -> WakeStatus {
        let left =
            usual.filter(|_| self.outcome.is_none()).map(|usual| usual.saturating_sub(self.elapsed(now)));
        WakeStatus {
            id: self.id.clone(),
            trigger: self.trigger.clone(),
            started: self.started,
            steps: self.steps.as_slice().to_vec(),
            outcome: self.outcome.clone(),
            eta_ms: left.map(millis),
        }
    }
}

/// How long an app's wakes usually take.
#[derive(Clone, Debug, Default)]
pub struct Usual(VecDeque<Duration>);

impl Usual {
    /// Notes a wake that succeeded.
    pub fn note(&mut self, took: Duration) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// The median of the last ones; `None` before the first.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_start_does_not_move_the_usual_duration() {
        let mut usual = Usual::default();
        assert_eq!(usual.median(), None);
        for seconds in [2, 2, 90, 2, 3] {
            usual.note(Duration::from_secs(seconds));
        }
        assert_eq!(usual.median(), Some(Duration::from_secs(2)));
        for _ in 0..REMEMBERED {
            usual.note(Duration::from_secs(7));
        }
        assert_eq!(usual.median(), Some(Duration::from_secs(7)), "old wakes are forgotten");
    }

    #[test]
    fn the_eta_counts_down_to_zero_and_ends_with_the_wake() {
        let start = crate::clock::now();
        let usual = Some(Duration::from_secs(2));
        let ids = Ids::default();
        let mut record = Record::new(ids.next(&AppId::local("web")), "request".into(), start);
        assert_eq!(record.id.as_str(), "web-000001");
        assert_eq!(record.status(start, None).eta_ms, None, "the first wake has none");
        assert_eq!(record.status(start + Duration::from_millis(500), usual).eta_ms, Some(1_500));
        assert_eq!(record.status(start + Duration::from_secs(9), usual).eta_ms, Some(0));
        record.outcome = Some(Outcome::Ready);
        assert_eq!(record.status(start, usual).eta_ms, None);
    }
}
