//! One replica of an app as all workers share it: whether it may be called, and how many requests it has.
//!
//! Slots are counted only where a limit has to hold over all workers: with `concurrency` set, and while
//! held requests are released after a wake. A warm request without a limit takes none.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use reveille_core::directory;

/// Held requests that a replica gets at first after a wake; doubled with every response head.
const FIRST_WINDOW: u32 = 16;

/// How often an endpoint may be suspected of dying.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) generation: u64,
    pub(crate) addresses: Arc<[SocketAddr]>,
    usable: AtomicBool,
    retired: AtomicBool,
    in_flight: AtomicU32,
    window: AtomicU32,
    /// When it was last suspected of dying. A lock, as it is taken only when a connection broke.
    suspected: Mutex<Option<Instant>>,
}

impl Endpoint {
    pub(crate) fn new(entry: &directory::Endpoint) -> Self {
        Self {
            generation: entry.generation,
            addresses: entry.addresses.clone(),
            usable: AtomicBool::new(entry.ready),
            retired: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            window: AtomicU32::new(FIRST_WINDOW),
            suspected: Mutex::new(None),
        }
    }

    /// Whether requests may be sent to it.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire)
    }

    /// Changed under the app's lock only.
    pub(crate) fn set_usable(&self, usable: bool) {
        self.usable.store(usable, Ordering::Release);
    }

    /// Whether it is no longer part of the app: probers then stop.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.set_usable(false);
    }

    /// How many requests it may have: the hard limit, else the window of the release.
    pub(crate) fn limit(&self, hard: Option<u32>) -> u32 {
        hard.unwrap_or_else(|| self.window.load(Ordering::Relaxed))
    }

    /// Takes a slot if fewer than `limit` are taken.
    pub(crate) fn try_take(&self, limit: u32) -> bool {
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| (taken < limit).then_some(taken + 1))
            .is_ok()
    }

    pub(crate) fn give_back(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Requests that hold a slot.
    pub(crate) fn slots_taken(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether it may be suspected of dying now; notes that it is.
    pub(crate) fn may_be_suspected(&self, now: Instant) -> bool {
        let mut last = self.suspected.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.saturating_duration_since(last) >= SUSPECT_EVERY);
        if may {
            *last = Some(now);
        }
        may
    }

    /// Widens the release: called at each response head, and every 50 ms.
    pub(crate) fn widen(&self) {
        let _ = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| w.checked_mul(2));
    }
}
