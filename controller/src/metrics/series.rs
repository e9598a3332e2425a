//! What has happened to one app, in numbers.

use std::time::{Duration, Instant};

use reveille_core::{
    cost::{Cost, Saved, Savings},
    phase::Phase,
    wake::Step,
};

use super::wake_outcomes;
use crate::{sleep::SleepOutcome, wakes::millis};

/// Seconds; from a local process that is there at once to a GPU node that has to be bought first.
pub(super) const BUCKETS: [f64; 18] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0,
    1800.0,
];

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Series {
    /// By outcome: as [`wake_outcomes`] has them, and as [`SleepOutcome::ALL`] has them.
    pub(super) wakes: [u64; 1 + super::WAKE_FAILURES.len()],
    pub(super) sleeps: [u64; SleepOutcome::ALL.len()],
    pub(super) phase: Option<Phase>,
    /// How long a wake may take.
    pub(super) deadline: Option<Duration>,
    /// Of wakes that succeeded; apps that never woke have no room for them.
    pub(super) woken: Option<Box<Woken>>,
    /// What it costs, and how many replicas sleep.
    cost: Option<Cost>,
    replicas: u32,
    savings: Savings,
    asleep_since: Option<Instant>,
}

/// How long the wakes that succeeded took.
#[derive(Debug, Default)]
pub(super) struct Woken {
    pub(super) wake: Histogram,
    /// As [`Step::ALL`] has them.
    pub(super) steps: [Histogram; Step::ALL.len()],
}

/// Durations, counted by the bucket that they fall into; the last one has no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Histogram {
    pub(super) counts: [u64; BUCKETS.len() + 1],
    pub(super) sum: Duration,
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        let bucket = BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound);
        self.counts[bucket.unwrap_or(BUCKETS.len())] += 1;
        self.sum += took;
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Series {
    pub(super) fn phase(&mut self, phase: Phase, now: Instant) {
        self.savings = self.savings(now);
        self.asleep_since = (phase == Phase::Asleep).then_some(now);
        self.phase = Some(phase);
    }

    /// How long it has been asleep, and what that saved: grows while nothing happens.
    pub(super) fn savings(&self, now: Instant) -> Savings {
        let present = self.asleep_since.map(|since| now.saturating_duration_since(since));
        self.savings.with(present, self.replicas, self.cost.as_ref())
    }

    /// The same as the API shows it.
    pub(super) fn told(&self, now: Instant) -> (u64, Option<Saved>) {
        let savings = self.savings(now);
        let rate = self.cost.as_ref().filter(|_| self.asleep_since.is_some());
        (millis(savings.asleep.0), savings.told(rate.map(|cost| (self.replicas, cost))))
    }

    /// What was saved before this process.
    pub(super) fn restore(&mut self, savings: Savings) {
        self.savings = savings;
    }

    /// What it costs from now on, and how many replicas sleep.
    pub(super) fn costs(&mut self, cost: Option<Cost>, replicas: u32, now: Instant) {
        if (self.cost, self.replicas) != (cost, replicas) {
            // What was saved before was saved at the price of before.
            self.savings = self.savings(now);
            self.asleep_since = self.asleep_since.map(|_| now);
            (self.cost, self.replicas) = (cost, replicas);
        }
    }

    pub(super) fn wake_ended(&mut self, outcome: &str) {
        if let Some(at) = wake_outcomes().position(|one| one == outcome) {
            self.wakes[at] += 1;
        }
    }

    pub(super) fn sleep_ended(&mut self, outcome: SleepOutcome) {
        self.sleeps[outcome as usize] += 1;
    }

    pub(super) fn woke(&mut self, took: Duration, steps: impl Iterator<Item = (Step, Duration)>) {
        let woken = self.woken.get_or_insert_default();
        woken.wake.observe(took);
        for (step, took) in steps {
            woken.steps[step as usize].observe(took);
        }
    }
}
