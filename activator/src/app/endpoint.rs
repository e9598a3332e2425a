//! One replica of an app as all workers share it: whether it may be called, and how many requests it has.
//!
//! Slots are counted only where a limit has to hold over all workers: with `concurrency` set, and while
//! held requests are released after a wake. A warm request without a limit takes none.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reveille_core::directory;

/// Held requests that a replica gets at first after a wake: what the shortest queues of listening sockets take (5).
const FIRST_WINDOW: u32 = 4;
/// An answer that took this much longer than twice the fastest one still counts as quick.
const QUICK: Duration = Duration::from_millis(1);

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
    /// The fastest response head of a held request, in microseconds.
    fastest: AtomicU64,
    /// A response head came since the release was last widened by time.
    heard: AtomicBool,
    /// Connections that are being opened.
    connecting: AtomicU32,
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
            fastest: AtomicU64::new(u64::MAX),
            heard: AtomicBool::new(false),
            connecting: AtomicU32::new(0),
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

    /// A held request got its response head after so long: a place more, which doubles them in the time of one answer.
    /// Not if the answer was slow: then requests wait there as they would here, or overflow the queue of its socket.
    pub(crate) fn answered(&self, took: Duration) {
        self.heard.store(true, Ordering::Relaxed);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let fastest = self.fastest.fetch_min(took, Ordering::Relaxed).min(took);
        if took <= fastest.saturating_mul(2).saturating_add(QUICK.as_micros() as u64) {
            let _ = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| w.checked_add(1));
        }
    }

    /// Doubles the places of one that is silent: its answers may take long whatever it has to do. Not while a
    /// connection to it is being opened: then it accepts none any more.
    pub(crate) fn widen_in_silence(&self) {
        let heard = self.heard.swap(false, Ordering::Relaxed);
        if !heard && self.connecting.load(Ordering::Relaxed) == 0 {
            let _ = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| w.checked_mul(2));
        }
    }

    /// Notes that a connection is being opened, for as long as what is returned lives.
    pub(crate) fn connecting(&self) -> Connecting<'_> {
        self.connecting.fetch_add(1, Ordering::Relaxed);
        Connecting(self)
    }
}

/// A connection to an endpoint is being opened.
pub(crate) struct Connecting<'a>(&'a Endpoint);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.fetch_sub(1, Ordering::Relaxed);
    }
}
