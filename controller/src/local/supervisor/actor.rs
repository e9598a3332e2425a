//! The supervisor's task: what it knows, and how messages, the process's events and time reach it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reveille_core::{app::AppId, backoff::Backoff, directory::WakeState, phase::Phase};
use tokio::sync::mpsc;

use super::{Caller, Message, Runner, Running, Shared, ports::Claim};
use crate::{
    clock::{now, until},
    local::{
        config::{Command, LocalApp, LocalPort},
        process::Event,
    },
    store::Moment,
    wakes::{Record, Usual},
};

/// An ending supervisor gives up on a process that is still there so long after it was killed: it must hang
/// in the kernel, and Reveille shall not hang with it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// See the [module](super).
pub(super) struct Actor<R: Runner> {
    pub(super) shared: Arc<Shared>,
    pub(super) runner: Arc<R>,
    /// As it is configured now; what runs may be older.
    pub(super) app: Arc<LocalApp>,
    pub(super) state: State,
    pub(super) life: Life,
    /// From its launch until it is gone. Boxed, as most apps sleep.
    pub(super) run: Option<Box<Run<R::Process>>>,
    /// A wake that was asked for when none could begin.
    pub(super) wanted: Option<(String, Caller)>,
    pub(super) wake_on_request: bool,
    /// Until when it stays awake, as somebody asked.
    pub(super) pin: Option<Moment>,
    /// [`WakeState::Failed`] after a failure, else [`WakeState::None`].
    pub(super) failed: WakeState,
    pub(super) backoff: Backoff,
    pub(super) deaths: Deaths,
    /// The wake in progress, or the last one.
    pub(super) wake: Option<Box<Record>>,
    pub(super) usual: Usual,
    /// Changes with every change of the replicas.
    pub(super) version: u64,
    /// The phase as it was last published, and since when.
    pub(super) phase: (Phase, Moment),
}

/// Where the app stands.
#[derive(Debug)]
pub(super) enum State {
    /// No process.
    Asleep,
    /// [`Actor::wake`] is in progress.
    Waking {
        /// What a death before readiness leads to.
        next_death: NextDeath,
    },
    /// The process can answer.
    Awake {
        /// Since when.
        since: Moment,
        /// The sleep protocol's attempt that is under way.
        announced: Option<Announced>,
    },
    /// The process is ending; nobody is sent to it any more.
    Stopping,
}

/// What a process that is killed before it was ready leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextDeath {
    /// The same wake goes on with a new process.
    Restarts,
    /// The wake fails.
    Fails,
}

/// An attempt of the sleep protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) epoch: u64,
    pub(super) by_hand: bool,
    /// Whether requests wake the app after it.
    pub(super) wake_on_request: bool,
    /// Somebody has asked since to keep the app awake: that holds for the wake which follows.
    pub(super) pinned_since: bool,
}

/// Whether the app died soon after it was awake the last time, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deaths {
    None,
    One,
}

/// Whether the supervisor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// It ends when the process is gone.
    Ending,
}

/// One process of the app.
pub(super) struct Run<P> {
    pub(super) process: P,
    pub(super) generation: u64,
    pub(super) stage: Stage,
    /// What was launched.
    pub(super) command: Command,
    pub(super) ports: Vec<LocalPort>,
    pub(super) claim: Claim,
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Asked for.
    Launched,
    /// The program runs.
    Started,
    /// Told to end, and killed if it has not by then.
    Terminated { kill_at: Instant },
    /// Killed, or dead by itself and the rest of it killed.
    Killed { at: Instant },
}

impl<R: Runner> Actor<R> {
    /// A supervisor of a sleeping app, which it publishes.
    pub(super) fn new(app: Arc<LocalApp>, shared: Arc<Shared>, runner: Arc<R>) -> Self {
        let mut actor = Self {
            shared,
            runner,
            app,
            state: State::Asleep,
            life: Life::Serving,
            run: None,
            wanted: None,
            wake_on_request: true,
            pin: None,
            failed: WakeState::None,
            backoff: Backoff::default(),
            deaths: Deaths::None,
            wake: None,
            usual: Usual::default(),
            version: 0,
            phase: (Phase::Asleep, Moment::now()),
        };
        actor.publish();
        actor
    }

    /// Until it was told to end and nothing is left of the process. Boxed: a future has room for what it is given twice.
    pub(super) async fn run(mut self: Box<Self>, mut mailbox: mpsc::UnboundedReceiver<Box<Message>>) {
        while self.life == Life::Serving || self.run.is_some() {
            let timer = self.next_timer();
            tokio::select! {
                message = mailbox.recv() => match message {
                    Some(message) => self.hear(*message),
                    // Nobody is left who could want anything: dropping the process kills it.
                    None => return,
                },
                event = next_event(&mut self.run) => self.on_event(event),
                () = until(timer) => self.on_time(now()),
            }
        }
    }

    pub(super) fn id(&self) -> &AppId {
        &self.app.id
    }

    fn hear(&mut self, message: Message) {
        // A reply that nobody waits for any more is dropped.
        match message {
            Message::Wake { trigger, caller, keep, reply } => {
                let answer = self.asked_to_wake(trigger, caller);
                if let (Ok(()), Some(keep)) = (&answer, keep) {
                    self.pin = Some(Moment::now().after(keep));
                    if let State::Awake { announced: Some(announced), .. } = &mut self.state {
                        announced.pinned_since = true;
                    }
                    self.publish();
                }
                if let Some(reply) = reply {
                    let _ = reply.send(answer);
                }
            }
            Message::Usable { generation } => self.on_usable(generation),
            Message::FallingAsleep { epoch, occasion, reply } => {
                let _ = reply.send(self.announce(epoch, &occasion));
            }
            Message::AwakeAgain { epoch, reply } => {
                self.awake_again(epoch);
                let _ = reply.send(());
            }
            Message::SetZero { version, reply } => {
                let _ = reply.send(self.set_zero(version));
            }
            Message::WakeOnRequest { wakes, reply } => {
                let _ = reply.send(self.set_wake_on_request(wakes));
            }
            Message::Configure(app) => self.configure(app),
            Message::End => self.end(),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Started { .. } => self.on_started(),
            Event::CannotStart { reason } => self.on_cannot_start(reason),
            Event::Exited(exit) => self.on_exit(exit),
            Event::Gone => self.on_gone(),
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let stage = self.run.as_ref().and_then(|run| match run.stage {
            Stage::Launched | Stage::Started => None,
            Stage::Terminated { kill_at } => Some(kill_at),
            Stage::Killed { at } => (self.life == Life::Ending).then(|| at + GIVE_UP_AFTER),
        });
        stage.into_iter().chain(self.wake_deadline()).min()
    }

    fn on_time(&mut self, now: Instant) {
        if self.wake_deadline().is_some_and(|deadline| deadline <= now) {
            self.deadline_passed();
        }
        let Some(run) = &mut self.run else { return };
        match run.stage {
            Stage::Terminated { kill_at } if kill_at <= now => {
                tracing::warn!(app = %self.app.id, grace = ?run.command.stop_grace, "did not end when asked to, is killed");
                run.kill(now);
            }
            Stage::Killed { at } if self.life == Life::Ending && at + GIVE_UP_AFTER <= now => {
                tracing::error!(app = %self.app.id, "is still there although it was killed; Reveille no longer waits for it");
                self.on_gone();
            }
            Stage::Launched | Stage::Started | Stage::Terminated { .. } | Stage::Killed { .. } => {}
        }
    }

    /// Takes over a changed configuration: at once where nothing that runs depends on it.
    fn configure(&mut self, app: Arc<LocalApp>) {
        if app.command != self.app.command || app.ports != self.app.ports {
            // What failed may be mended: it may be tried at once.
            self.backoff.reset();
            self.deaths = Deaths::None;
            self.failed = WakeState::None;
        }
        self.app = app;
        self.publish();
    }
}

impl<P: Running> Run<P> {
    /// Whether it was neither told to end nor has ended.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Launched | Stage::Started)
    }

    /// Asks it to end, and gives it its grace.
    pub(super) fn terminate(&mut self, now: Instant) {
        if self.is_up() {
            self.stage = Stage::Terminated { kill_at: now + self.command.stop_grace };
            self.process.terminate();
        }
    }

    /// Kills what there is of it.
    pub(super) fn kill(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Killed { .. }) {
            self.stage = Stage::Killed { at: now };
            self.process.kill();
        }
    }
}

async fn next_event<P: Running>(run: &mut Option<Box<Run<P>>>) -> Event {
    match run {
        Some(run) => run.process.event().await,
        None => std::future::pending().await,
    }
}
