//! One supervisor for each app: a task that owns the app's process, and the only writer of the app's view.
//!
//! All that happens to an app passes through its supervisor's mailbox or comes from its process, one thing at
//! a time, so no two of them can be half done. The order of a life:
//!
//! ```text
//! Asleep --wake--> Waking: launch -> Started -> probed by the activator -> usable --> Awake
//!    ^                | exit, deadline: failed          | announce: FallingAsleep, then set_zero or awake again
//!    +---- Gone ---- Stopping <---------- exit ---------+
//! ```
//!
//! Invariants: a process is launched only when the one before is gone and its ports are free; the change that
//! takes an endpoint out is published before its process is told to end; a wake that is asked for while the
//! process stops is remembered and begins when it is gone.
//!
//! | module | holds |
//! |---|---|
//! | [`actor`] | the task: mailbox, process, timers |
//! | [`waking`] | from a wake to ready or failed |
//! | [`stopping`] | announcing, committing to zero, dying, ending |
//! | [`view`] | what is published |
//! | [`ports`] | which ports the process listens on |
//! | [`runner`] | what is needed of the machine |

mod actor;
#[cfg(test)]
pub(crate) mod fake;
mod ports;
mod runner;
mod stopping;
#[cfg(test)]
mod tests;
mod view;
mod waking;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use self::actor::Actor;
pub(crate) use self::{
    ports::PortBook,
    runner::{Guarded, Runner, Running},
};
use super::config::LocalApp;
use crate::{
    metrics::Metrics,
    sleep::{Abort, Occasion},
    store::Store,
    traits::{CommitError, Refusal},
    wakes::Ids,
};

/// What all supervisors share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ports: Arc<PortBook>,
    wake_ids: Ids,
    /// One count for all apps: an app that is removed and added again gets no generation twice.
    generations: AtomicU64,
}

impl Shared {
    /// Nothing is supervised yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            store: Store::new(Arc::clone(&metrics)),
            metrics,
            ports: Arc::default(),
            wake_ids: Ids::default(),
            generations: AtomicU64::new(0),
        }
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Who asks for a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The data plane, for a request: ignored where requests do not wake.
    Request,
    /// Somebody by hand.
    Hand,
}

/// What a supervisor is told. Each reply is sent once the matter is done and published.
#[derive(Debug)]
pub(crate) enum Message {
    /// The app is needed, and not to be put to sleep for so long as `keep` says.
    Wake {
        trigger: String,
        caller: Caller,
        keep: Option<Duration>,
        reply: Option<oneshot::Sender<Result<(), Refusal>>>,
    },
    /// The activator reached that endpoint.
    Usable { generation: u64 },
    /// The sleep protocol begins: see [`Announce`](crate::sleep::Announce).
    FallingAsleep { epoch: u64, occasion: Occasion, reply: oneshot::Sender<Result<(), Abort>> },
    /// It was called off.
    AwakeAgain { epoch: u64, reply: oneshot::Sender<()> },
    /// It commits: see [`Workloads::set_zero`](crate::traits::Workloads::set_zero).
    SetZero { version: u64, reply: oneshot::Sender<Result<(), CommitError>> },
    /// Whether requests wake it, if it is asleep; else the phase it is in instead.
    WakeOnRequest { wakes: bool, reply: oneshot::Sender<Result<(), Abort>> },
    /// The app's configuration as it is from now on.
    Configure(Arc<LocalApp>),
    /// Stop the process and end.
    End,
}

/// A supervisor's mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    /// Unbounded, so that no caller ever waits. The data plane asks for a wake only when something changed,
    /// and the supervisor takes messages in microseconds. Boxed, as a channel has room for 32 from the beginning.
    mailbox: mpsc::UnboundedSender<Box<Message>>,
}

impl Handle {
    /// Starts a supervisor. The app is in the store when this returns.
    pub(crate) fn start<R: Runner>(app: Arc<LocalApp>, shared: &Arc<Shared>, runner: &Arc<R>) -> Self {
        let (mailbox, messages) = mpsc::unbounded_channel();
        let actor = Box::new(Actor::new(app, Arc::clone(shared), Arc::clone(runner)));
        tokio::spawn(actor.run(messages));
        Self { mailbox }
    }

    /// Tells it something. A supervisor that has ended hears nothing more.
    pub(crate) fn tell(&self, message: Message) {
        let _ = self.mailbox.send(Box::new(message));
    }

    /// Tells it something and waits for the reply; `None` if it has ended.
    pub(crate) async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Box::new(message(reply))).ok()?;
        answer.await.ok()
    }

    /// Returns when it has ended: nothing of the app's process is left.
    pub(crate) async fn ended(&self) {
        self.mailbox.closed().await;
    }
}
