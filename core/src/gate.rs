//! The gate of one app in one activator, and the count that makes it safe to shut.
//!
//! A request *counts itself in, then reads the gate*; the shut *writes the gate, then reads the counts*.
//! With a sequentially consistent fence between the two halves of each, one of them must see the other:
//! either the request sees the shut gate and is held, or the shut sees the request and is called off. So no
//! request can pass unseen while an app is put to sleep. `core/tests/gate_loom.rs` checks this under every
//! interleaving that the memory model allows.
//!
//! Counts are kept per worker, each on cache lines of its own, so that counting costs no traffic between
//! cores. They only grow: what is in flight is a difference.

use std::time::{Duration, Instant};

use crate::{
    activity::Activity,
    sync::{AtomicU64, Ordering, fence},
};

/// The bit of the gate's word that says it is shut; the bits above count versions.
const SHUT: u64 = 1;

/// What a request is, for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Real work: it is activity and postpones sleep.
    Work,
    /// A probe: it is in flight, but no activity.
    Probe,
}

/// The gate's word as one request or one worker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// Whether requests may pass.
    pub fn is_open(self) -> bool {
        self.0 & SHUT == 0
    }

    /// Grows with every change of the app's endpoints: a worker's copy of them is good while it is equal.
    pub fn version(self) -> u64 {
        self.0 >> 1
    }
}

/// One worker's counts. 128 bytes, as adjacent cache lines are fetched in pairs.
#[repr(align(128))]
#[derive(Debug)]
struct Lane {
    started: AtomicU64,
    finished: AtomicU64,
    probes_started: AtomicU64,
    probes_finished: AtomicU64,
    /// Microseconds from the gate's origin to the end of the last work on this worker.
    last_ended: AtomicU64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Gate {
    word: AtomicU64,
    lanes: Box<[Lane]>,
    origin: Instant,
}

/// What was counted at one instant, added up over the workers.
///
/// `started` is read after `finished`, so [`in_flight`](Self::in_flight) never says less than the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Work that was ever counted in.
    pub started: u64,
    /// Work that has ended.
    pub finished: u64,
    /// Probes in flight.
    pub probes: u64,
}

impl Counts {
    /// Work and probes in flight, held ones included.
    pub fn in_flight(self) -> u64 {
        self.started.saturating_sub(self.finished) + self.probes
    }
}

impl Gate {
    /// A shut gate for so many workers. `origin` is where its clock begins.
    pub fn new(workers: usize, origin: Instant) -> Self {
        let lane = || Lane {
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            probes_started: AtomicU64::new(0),
            probes_finished: AtomicU64::new(0),
            last_ended: AtomicU64::new(0),
        };
        Self { word: AtomicU64::new(SHUT), lanes: (0..workers.max(1)).map(|_| lane()).collect(), origin }
    }

    /// Counts a request in on its worker, then reads the gate.
    pub fn enter(&self, worker: usize, kind: Kind) -> Word {
        let lane = &self.lanes[worker];
        match kind {
            Kind::Work => lane.started.fetch_add(1, Ordering::Relaxed),
            Kind::Probe => lane.probes_started.fetch_add(1, Ordering::Relaxed),
        };
        fence(Ordering::SeqCst);
        self.word()
    }

    /// Counts a request out. `now` is when it ended.
    pub fn leave(&self, worker: usize, kind: Kind, now: Instant) {
        let lane = &self.lanes[worker];
        match kind {
            Kind::Work => {
                lane.last_ended.store(self.micros(now), Ordering::Relaxed);
                lane.finished.fetch_add(1, Ordering::Release);
            }
            Kind::Probe => {
                lane.probes_finished.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Reads the gate.
    pub fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Writes the gate and counts a new version. Writers are serialised by the caller (the app's lock).
    pub fn set(&self, open: bool) {
        let version = (self.word.load(Ordering::Relaxed) >> 1) + 1;
        self.word.store(version << 1 | if open { 0 } else { SHUT }, Ordering::Release);
    }

    /// Shuts the gate, then reads the counts: nothing that the counts do not show can pass from here on.
    pub fn shut(&self) -> Counts {
        self.set(false);
        fence(Ordering::SeqCst);
        self.counts()
    }

    /// Adds up the counts: every `finished` first, then every `started`.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut probes_finished = 0;
        for lane in &self.lanes {
            counts.finished += lane.finished.load(Ordering::Acquire);
            probes_finished += lane.probes_finished.load(Ordering::Acquire);
        }
        let mut probes_started = 0;
        for lane in &self.lanes {
            counts.started += lane.started.load(Ordering::Acquire);
            probes_started += lane.probes_started.load(Ordering::Acquire);
        }
        counts.probes = probes_started - probes_finished;
        counts
    }

    /// What this activator saw of the app: the counts, of which `held` are waiting, and how long it is quiet.
    pub fn activity(&self, held: u64, now: Instant) -> Activity {
        let counts = self.counts();
        let last_ended = self.lanes.iter().map(|l| l.last_ended.load(Ordering::Acquire)).max().unwrap_or(0);
        let quiet = if counts.started > counts.finished {
            Duration::ZERO
        } else {
            Duration::from_micros(self.micros(now).saturating_sub(last_ended))
        };
        Activity { started: counts.started, in_flight: counts.in_flight(), held, quiet }
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_flight_from_enter_to_leave_and_a_probe_is_no_activity() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let gate = Gate::new(2, origin);
        assert!(!gate.word().is_open(), "a new gate is shut");
        gate.set(true);
        assert!(gate.enter(0, Kind::Work).is_open());
        gate.enter(1, Kind::Probe);
        let busy = gate.activity(0, at(50));
        assert_eq!((busy.started, busy.in_flight, busy.quiet), (1, 2, Duration::ZERO));
        gate.leave(0, Kind::Work, at(100));
        gate.leave(1, Kind::Probe, at(900));
        let quiet = gate.activity(0, at(1_000));
        assert_eq!((quiet.started, quiet.in_flight, quiet.quiet), (1, 0, Duration::from_millis(900)));
    }

    #[test]
    fn every_write_is_a_new_version() {
        let gate = Gate::new(1, Instant::now());
        let before = gate.word().version();
        gate.set(true);
        gate.set(true);
        assert_eq!(gate.word().version(), before + 2);
        gate.shut();
        assert!(!gate.word().is_open());
    }
}
