//! One app as all workers share it: its gate, its held requests, its endpoints.
//!
//! The object outlives reloads and every change of the directory, so that no request that is counted is ever
//! forgotten. A warm request reads the gate's word and nothing else; everything that is not warm goes through
//! one lock, [`App::change`], which recomputes the gate from what is known, releases whom it can and asks for
//! a wake if one is needed. What has to be told to others is told after the lock is released.
//!
//! Invariant: the gate is open only if no lease shuts it, the app is not falling asleep, and an endpoint is
//! usable.

mod endpoint;
mod held;
mod hopeless;
mod sleep;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) use endpoint::Endpoint;
#[cfg(test)]
pub(crate) use held::Held;
pub(crate) use held::{Admission, Refused, Slot};
use reveille_core::{
    activity::Activity,
    app::AppId,
    directory::{AppEntry, WakeState},
    gate::{Gate, Word},
    invariants,
    phase::Phase,
};
pub(crate) use sleep::LeaseEnd;
use tokio::sync::oneshot;

use crate::{
    drain::Stage,
    error::Error,
    hold::{Queue, Ticket},
    metrics::AppStats,
    server::Shared,
};

/// How often the release of held requests is widened to an app that is silent.
const WIDEN_EVERY: Duration = Duration::from_millis(50);

/// See the [module](self).
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) gate: Gate,
    pub(crate) stats: AppStats,
    pub(crate) shared: Arc<Shared>,
    /// The queue's length, readable without the lock: newcomers wait behind those that wait.
    waiting: AtomicUsize,
    /// Guards everything that changes when the app is not simply awake. A plain lock: it is held for
    /// microseconds, never across an await.
    state: Mutex<State>,
}

/// What the lock guards.
struct State {
    entry: Arc<AppEntry>,
    endpoints: Arc<[Arc<Endpoint>]>,
    lease: Option<Lease>,
    queue: Queue<Verdict>,
    /// How many held requests were ever admitted.
    admitted: u64,
    /// When the wake in progress was requested; how long it took, while those who waited for it are released.
    wake: Woken,
    /// A request that could not be held needs the app: with `hold.maxRequests: 0`, for one, none ever waits.
    wanted: bool,
    /// A wake was asked for since the entry last changed.
    asked: bool,
    /// The task that widens the release is running.
    widening: bool,
    /// The app was taken out of the directory.
    gone: bool,
    /// Endpoints changed: workers have to look again even if the gate stays as it is.
    dirty: bool,
}

/// What those who waited for a wake are told about it.
#[derive(Clone, Copy)]
enum Woken {
    /// There was none.
    No,
    /// It is in progress since then.
    Since(Instant),
    /// It took so long.
    Took(Duration),
}

/// A shut of the sleep protocol.
struct Lease {
    epoch: u64,
    /// None: until it is told.
    until: Option<Instant>,
}

/// What a held request is told.
pub(crate) type Verdict = Result<Admission, Error>;

/// A worker's copy of what it needs to serve the app, good while the gate's version is the same.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) word: Word,
    pub(crate) entry: Arc<AppEntry>,
    pub(crate) endpoints: Arc<[Arc<Endpoint>]>,
}

/// What taking over a change of the directory led to.
#[derive(Default)]
pub(crate) struct Applied {
    /// New endpoints that the directory does not call ready: they are to be probed.
    pub(crate) to_probe: Vec<Arc<Endpoint>>,
    /// An endpoint is no longer part of the app: connections to it are to be closed.
    pub(crate) retired: bool,
}

/// What has to be told to others once the lock is released.
#[derive(Default)]
struct Outbox {
    verdicts: Vec<(oneshot::Sender<Verdict>, Verdict)>,
    wake: Option<usize>,
    widen: bool,
}

impl App {
    pub(crate) fn new(entry: Arc<AppEntry>, shared: Arc<Shared>) -> Arc<Self> {
        let workers = shared.config.workers.get();
        Arc::new(Self {
            id: entry.id.clone(),
            gate: Gate::new(workers, Instant::now()),
            stats: AppStats::new(workers),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State {
                entry,
                endpoints: Arc::new([]),
                lease: None,
                queue: Queue::new(),
                admitted: 0,
                wake: Woken::No,
                wanted: false,
                asked: false,
                widening: false,
                gone: false,
                dirty: true,
            }),
            shared,
        })
    }

    /// Takes over what the directory says. A new app knows of no endpoint until the first call.
    pub(crate) fn apply(self: &Arc<Self>, entry: Arc<AppEntry>) -> Applied {
        debug_assert!(invariants::asleep_has_no_endpoint(&entry), "{entry:?}");
        debug_assert!(invariants::endpoints_cover_ports(&entry), "{entry:?}");
        self.change(|state| {
            let mut applied = Applied::default();
            let known = |new: &reveille_core::directory::Endpoint| {
                state
                    .endpoints
                    .iter()
                    .find(|old| old.generation == new.generation && old.addresses == new.addresses)
                    .cloned()
            };
            let endpoints: Arc<[_]> = entry
                .endpoints
                .iter()
                .map(|new| {
                    if let Some(old) = known(new) {
                        let was = state.entry.endpoints.iter().find(|was| was.generation == new.generation);
                        // Only news: what was found out by probes and requests holds against what was said before.
                        match was.map(|was| (was.ready, new.ready)) {
                            Some((false, true)) => old.set_usable(true),
                            Some((true, false)) if old.is_usable() => {
                                old.set_usable(false);
                                applied.to_probe.push(old.clone());
                            }
                            _ => {}
                        }
                        return old;
                    }
                    let endpoint = Arc::new(Endpoint::new(new));
                    if !new.ready {
                        applied.to_probe.push(endpoint.clone());
                    }
                    endpoint
                })
                .collect();
            for old in state.endpoints.iter() {
                if !endpoints.iter().any(|new| Arc::ptr_eq(old, new)) {
                    old.retire();
                    applied.retired = true;
                }
            }
            state.endpoints = endpoints;
            if let WakeState::InProgress { since, .. } = entry.wake {
                state.wake = Woken::Since(since);
            }
            state.entry = entry;
            state.asked = false;
            state.wanted = false;
            state.dirty = true;
            applied
        })
    }

    /// The app was taken out of the directory: whoever waits is told.
    pub(crate) fn remove(self: &Arc<Self>) {
        self.change(|state| {
            state.gone = true;
            state.dirty = true;
            for endpoint in state.endpoints.iter() {
                endpoint.retire();
            }
            state.endpoints = Arc::new([]);
        });
    }

    /// The prober reached the endpoint.
    pub(crate) fn endpoint_usable(self: &Arc<Self>, endpoint: &Endpoint) {
        let news = self.change(|state| {
            let news = !endpoint.is_retired() && !endpoint.is_usable();
            if news {
                endpoint.set_usable(true);
                state.dirty = true;
            }
            news
        });
        if news {
            self.shared.waker.usable(&self.id, endpoint.generation);
        }
    }

    /// A request could not connect to the endpoint. Returns whether it has to be probed from now on.
    pub(crate) fn endpoint_failed(self: &Arc<Self>, endpoint: &Endpoint) -> bool {
        self.change(|state| {
            let news = !endpoint.is_retired() && endpoint.is_usable();
            if news {
                endpoint.set_usable(false);
                state.dirty = true;
            }
            news
        })
    }

    /// The endpoint ended a connection without an answer: it may be dying. It gets nothing before it has been
    /// probed, so that what waits is not lost with it. Returns whether it has to be probed: at most once a
    /// second, or requests that the app cannot stand would slow down all others.
    pub(crate) fn endpoint_suspected(self: &Arc<Self>, endpoint: &Endpoint) -> bool {
        endpoint.may_be_suspected(Instant::now()) && self.endpoint_failed(endpoint)
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// What a worker needs to serve the app.
    pub(crate) fn view(&self) -> View {
        let state = self.lock();
        View { word: self.gate.word(), entry: state.entry.clone(), endpoints: state.endpoints.clone() }
    }

    /// What this activator saw of the app.
    pub(crate) fn activity(&self) -> Activity {
        let state = self.lock();
        let activity = self.gate.activity(state.queue.len() as u64, Instant::now());
        debug_assert!(invariants::held_is_in_flight(&activity), "{activity:?}");
        activity
    }

    /// Where the app stands, going by the directory.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().entry.phase
    }

    /// Looks again whether anybody who waits can be released or has to be told to go.
    pub(crate) fn look_again(self: &Arc<Self>) {
        self.change(|_| ());
    }

    /// Every change goes through here: see the [module](self).
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, outbox) = {
            let mut state = self.lock();
            let result = change(&mut state);
            let outbox = self.settle(&mut state);
            (result, outbox)
        };
        self.deliver(outbox);
        result
    }

    /// Recomputes the gate, admits or fails whom it can, and asks for a wake if one is needed.
    fn settle(self: &Arc<Self>, state: &mut State) -> Outbox {
        let mut outbox = Outbox::default();
        let open = !state.gone
            && state.lease.is_none()
            && state.entry.phase != Phase::FallingAsleep
            && state.endpoints.iter().any(|endpoint| endpoint.is_usable());
        if state.dirty || open != self.gate.word().is_open() {
            self.gate.set(open);
            state.dirty = false;
        }
        // Before a slot is tried for: whoever frees one later sees that somebody waits, and looks again.
        self.waiting.store(state.queue.len(), Ordering::SeqCst);
        let forced = self.shared.stage() >= Stage::Forced;
        if open && !forced {
            if let Woken::Since(since) = state.wake {
                state.wake = Woken::Took(since.elapsed());
            }
            self.release(state, &mut outbox);
            if state.queue.is_empty() {
                state.wake = Woken::No;
            }
        } else if !state.queue.is_empty() || state.wanted {
            if let Some(error) = self.hopeless(state, hopeless::Since::Before) {
                while let Some((_, waiter)) = state.queue.pop() {
                    self.shared.budget.refund(waiter.bytes);
                    outbox.verdicts.push((waiter.verdict, Err(error.clone())));
                }
            } else if !state.asked && state.may_be_woken() {
                state.asked = true;
                outbox.wake = Some(state.queue.len());
            }
        }
        self.waiting.store(state.queue.len(), Ordering::SeqCst);
        outbox
    }

    /// Admits those who wait, in order, while an endpoint has a slot for them.
    fn release(self: &Arc<Self>, state: &mut State, outbox: &mut Outbox) {
        let hard = state.entry.policy.concurrency.map(std::num::NonZeroU32::get);
        while !state.queue.is_empty() {
            let usable = || state.endpoints.iter().filter(|endpoint| endpoint.is_usable());
            let takes = |endpoint: &&Arc<Endpoint>| endpoint.try_take(endpoint.limit(hard));
            // The least loaded; if that was taken meanwhile, any.
            let least = usable().min_by_key(|endpoint| endpoint.slots_taken()).filter(takes);
            let free = least.or_else(|| usable().find(takes)).cloned();
            let Some(endpoint) = free else {
                if hard.is_none() && !state.widening {
                    state.widening = true;
                    outbox.widen = true;
                }
                break;
            };
            let slot = Slot::new(self.clone(), endpoint);
            let (ticket, waiter) = state.queue.pop().expect("the queue is not empty");
            self.shared.budget.refund(waiter.bytes);
            state.admitted += 1;
            let wake = match state.wake {
                Woken::Took(took) => Some(took),
                Woken::No | Woken::Since(_) => None,
            };
            let admission = Admission { ticket, admitted: state.admitted, wake, slot };
            outbox.verdicts.push((waiter.verdict, Ok(admission)));
        }
    }

    fn deliver(self: &Arc<Self>, outbox: Outbox) {
        for (to, verdict) in outbox.verdicts {
            // One that gave up meanwhile drops the verdict, and with it the slot, which goes to the next.
            drop(to.send(verdict));
        }
        if let Some(waiting) = outbox.wake {
            self.shared.waker.wake(&self.id, waiting);
        }
        if outbox.widen {
            self.shared.control.spawn(self.clone().widen());
        }
    }

    /// Widens the release until nobody waits or the gate is shut.
    async fn widen(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WIDEN_EVERY).await;
            let go_on = self.change(|state| {
                for endpoint in state.endpoints.iter() {
                    endpoint.widen_in_silence();
                }
                state.widening = !state.queue.is_empty() && self.gate.word().is_open();
                state.widening
            });
            if !go_on {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves a state that the next change recomputes: go on with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether asking for a wake makes sense now: nothing runs, and nothing is about to.
    fn may_be_woken(&self) -> bool {
        match self.entry.phase {
            Phase::Asleep => true,
            // Committed to zero, still stopping: the wake follows at once.
            Phase::FallingAsleep => self.entry.endpoints.is_empty(),
            Phase::Waking | Phase::Awake => false,
        }
    }

    /// The ticket of a request that passed without waiting and could not be delivered.
    fn back_ticket(&mut self, had: Option<Ticket>) -> Ticket {
        had.unwrap_or_else(|| self.queue.ticket_for_passed())
    }
}
