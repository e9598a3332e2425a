//! All apps of local mode: who supervises them, how they come and go, and how they are put to sleep.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use reveille_core::{app::AppId, phase::Phase};
use tokio::sync::watch;

use super::{
    config::LocalApp,
    supervisor::{Handle, Message, Runner, Shared},
};
use crate::{
    idle::{self, Sleeper},
    metrics::Metrics,
    sleep::{Abort, Announce, LEASE, Lease, Occasion, SleepOutcome, World, fall_asleep},
    store::View,
    traits::{BoxFuture, CommitError, Fleet, FleetError, Traffic, Workloads},
};

/// See the [module](self).
pub(super) struct Table {
    pub(super) shared: Arc<Shared>,
    start: Box<dyn Fn(Arc<LocalApp>) -> Handle + Send + Sync>,
    /// Guards who is there, and the fleet, so that every app gets exactly one idle loop. A plain lock for many
    /// readers: the data plane reads it for each wake; it is never held over an await.
    apps: RwLock<Apps>,
    /// Numbers the attempts to put an app to sleep.
    epochs: AtomicU64,
}

struct Apps {
    slots: HashMap<AppId, Slot>,
    /// Those on their way out.
    leaving: HashSet<AppId>,
    fleet: Option<Arc<dyn Fleet>>,
    life: Life,
}

/// Whether Reveille goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    Stopping,
}

struct Slot {
    handle: Handle,
    app: Arc<LocalApp>,
    stands: Stands,
}

enum Stands {
    /// It is configured.
    Staying,
    /// It was removed and is on its way out; these are added when it is gone, as they need its name or ports.
    Leaving { successors: Vec<Arc<LocalApp>> },
}

impl Table {
    pub(super) fn new<R: Runner>(metrics: Arc<Metrics>, runner: R) -> Arc<Self> {
        let shared = Arc::new(Shared::new(metrics));
        let runner = Arc::new(runner);
        let supervised = Arc::clone(&shared);
        let apps = Apps { slots: HashMap::new(), leaving: HashSet::new(), fleet: None, life: Life::Serving };
        Arc::new(Self {
            shared,
            start: Box::new(move |app| Handle::start(app, &supervised, &runner)),
            apps: RwLock::new(apps),
            epochs: AtomicU64::new(0),
        })
    }

    /// Tells an app's supervisor something, unless the app is unknown or on its way out.
    pub(super) fn tell(&self, app: &AppId, message: Message) {
        if let Some(handle) = self.handle(app) {
            handle.tell(message);
        }
    }

    /// The supervisor of an app that is not on its way out.
    pub(super) fn handle(&self, app: &AppId) -> Option<Handle> {
        let apps = self.read();
        let slot = apps.slots.get(app)?;
        matches!(slot.stands, Stands::Staying).then(|| slot.handle.clone())
    }

    /// The activators, once they are known.
    pub(super) fn fleet(&self) -> Option<Arc<dyn Fleet>> {
        self.read().fleet.clone()
    }

    /// Whether it serves: false before the activators are known, and while it stops.
    pub(super) fn is_serving(&self) -> bool {
        let apps = self.read();
        apps.life == Life::Serving && apps.fleet.is_some()
    }

    /// Whether it stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.read().life == Life::Stopping
    }

    /// See [`Local::attach`](super::Local::attach).
    pub(super) fn attach(self: &Arc<Self>, fleet: Arc<dyn Fleet>) {
        let mut apps = self.write();
        if apps.fleet.is_none() {
            apps.fleet = Some(fleet);
            for id in apps.slots.keys() {
                self.watch_idleness(&apps, id);
            }
        }
    }

    /// See [`Local::reload`](super::Local::reload).
    pub(super) fn reload(self: &Arc<Self>, configured: Vec<Arc<LocalApp>>) {
        self.shared.ports.configure(configured.iter().map(|app| &**app));
        let mut apps = self.write();
        let apps = &mut *apps;
        let stay: HashSet<&AppId> = configured.iter().map(|app| &app.id).collect();
        for (id, slot) in &mut apps.slots {
            match &mut slot.stands {
                Stands::Leaving { successors } => successors.clear(),
                Stands::Staying if stay.contains(id) => {}
                Stands::Staying => {
                    slot.stands = Stands::Leaving { successors: Vec::new() };
                    apps.leaving.insert(id.clone());
                    tokio::spawn(Arc::clone(self).see_out(id.clone(), slot.handle.clone()));
                }
            }
        }
        for app in configured {
            match apps.slots.get_mut(&app.id) {
                Some(slot @ Slot { stands: Stands::Staying, .. }) => {
                    if slot.app != app {
                        slot.handle.tell(Message::Configure(app.clone()));
                        slot.app = app;
                    }
                }
                _ => self.admit(apps, app),
            }
        }
    }

    /// Adds an app now, or when the one that is in its way has left.
    fn admit(self: &Arc<Self>, apps: &mut Apps, app: Arc<LocalApp>) {
        let is_in_the_way = |slot: &Slot| slot.app.id == app.id || share_a_port(&slot.app, &app);
        let in_the_way = apps.leaving.iter().find(|id| apps.slots.get(*id).is_some_and(is_in_the_way));
        if let Some(slot) = in_the_way.and_then(|id| apps.slots.get_mut(id))
            && let Stands::Leaving { successors } = &mut slot.stands
        {
            successors.push(app);
        } else if apps.life == Life::Serving {
            let id = app.id.clone();
            let handle = (self.start)(app.clone());
            apps.slots.insert(id.clone(), Slot { handle, app, stands: Stands::Staying });
            self.watch_idleness(apps, &id);
        }
    }

    /// Starts the app's idle loop, which ends with the app's row in the store.
    fn watch_idleness(self: &Arc<Self>, apps: &Apps, app: &AppId) {
        if let (Some(fleet), Some(views)) = (&apps.fleet, self.shared.store.watch(app)) {
            let sleeper: Arc<dyn Sleeper> = Arc::new(Arc::clone(self));
            tokio::spawn(idle::run(views, Arc::clone(fleet), sleeper));
        }
    }

    /// Takes a removed app out: asleep if that is possible in time, else as it is.
    async fn see_out(self: Arc<Self>, app: AppId, handle: Handle) {
        if self.shared.store.phase(&app) == Some(Phase::Awake) && self.fleet().is_some() {
            // If work in flight does not end in time it is cut: the user took the app away.
            let _ = self.put_to_sleep(&app, Occasion::ByHand { wake_on_request: true }, "removed").await;
        }
        handle.tell(Message::End);
        handle.ended().await;
        let mut apps = self.write();
        self.shared.store.remove(&app);
        apps.leaving.remove(&app);
        if let Some(Slot { stands: Stands::Leaving { successors }, .. }) = apps.slots.remove(&app) {
            for successor in successors {
                self.admit(&mut apps, successor);
            }
        }
    }

    /// See [`Local::shutdown`](super::Local::shutdown).
    pub(super) async fn shutdown(&self) {
        let handles: Vec<Handle> = {
            let mut apps = self.write();
            apps.life = Life::Stopping;
            apps.slots.values().map(|slot| slot.handle.clone()).collect()
        };
        for handle in &handles {
            handle.tell(Message::End);
        }
        for handle in &handles {
            handle.ended().await;
        }
    }

    /// Runs the sleep protocol once, and logs and counts how it went.
    pub(super) async fn put_to_sleep(
        self: &Arc<Self>,
        app: &AppId,
        occasion: Occasion,
        reason: &str,
    ) -> Result<(), Abort> {
        let Some(fleet) = self.fleet() else {
            let (activator, reason) = ("local".to_owned(), "it is not running yet".to_owned());
            return Err(Abort::Fleet(FleetError { activator, reason }));
        };
        let (workloads, announce): (Arc<dyn Workloads>, Arc<dyn Announce>) = (self.clone(), self.clone());
        let world = World { fleet, workloads, traffic: Arc::new(AlwaysThroughActivators), announce };
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        match fall_asleep(&world, app, epoch, &occasion).await {
            Ok(lease) => {
                tracing::info!(app = %app, epoch, reason, "fell asleep");
                self.shared.metrics.sleep_ended(app, SleepOutcome::Slept);
                tokio::spawn(keep_shut(lease, self.shared.store.watch(app)));
                Ok(())
            }
            Err(abort) => {
                if let Some(outcome) = abort.outcome() {
                    tracing::info!(app = %app, epoch, reason, outcome = outcome.as_str(), "sleep aborted: {abort}");
                    self.shared.metrics.sleep_ended(app, outcome);
                }
                Err(abort)
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Apps> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Apps> {
        self.apps.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the gates shut until the process is gone. The activators hear of the endpoint's end through a queue;
/// a gate that was opened before one has read it would send a request to a process that is ending. Nobody
/// waits longer for it: a new process starts only then, too. Beyond the lease the gates open by themselves.
async fn keep_shut(lease: Lease, views: Option<watch::Receiver<Arc<View>>>) {
    if let Some(mut views) = views {
        let ended = views.wait_for(|view| view.entry.phase != Phase::FallingAsleep);
        // Over time, or the app was removed: either way there is nothing more to wait for.
        let _ = tokio::time::timeout(LEASE, ended).await;
    }
    lease.end().await;
}

/// Whether both are reached on one port.
fn share_a_port(a: &LocalApp, b: &LocalApp) -> bool {
    let clash = |a: SocketAddr, b: SocketAddr| {
        a.port() == b.port()
            && a.port() != 0
            && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
    };
    a.ports.iter().any(|a| b.ports.iter().any(|b| clash(a.listen, b.listen)))
}

impl Sleeper for Arc<Table> {
    fn sleep<'a>(&'a self, app: &'a AppId, occasion: Occasion) -> BoxFuture<'a, Result<(), Abort>> {
        Box::pin(self.put_to_sleep(app, occasion, "idle"))
    }
}

impl Workloads for Table {
    fn version<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async move { self.shared.store.view(app).map(|view| view.version) })
    }

    fn set_zero<'a>(&'a self, app: &'a AppId, version: u64) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            let handle = self.any_handle(app).ok_or(CommitError::Gone)?;
            handle.ask(|reply| Message::SetZero { version, reply }).await.unwrap_or(Err(CommitError::Gone))
        })
    }
}

impl Announce for Table {
    fn falling_asleep<'a>(
        &'a self,
        app: &'a AppId,
        epoch: u64,
        occasion: &'a Occasion,
    ) -> BoxFuture<'a, Result<(), Abort>> {
        Box::pin(async move {
            let handle = self.any_handle(app).ok_or(Abort::Gone)?;
            let occasion = occasion.clone();
            let announced = handle.ask(|reply| Message::FallingAsleep { epoch, occasion, reply }).await;
            announced.unwrap_or(Err(Abort::Gone))
        })
    }

    fn awake_again<'a>(&'a self, app: &'a AppId, epoch: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(handle) = self.any_handle(app) {
                handle.ask(|reply| Message::AwakeAgain { epoch, reply }).await;
            }
        })
    }
}

impl Table {
    /// An app's supervisor, also if the app is on its way out: that way leads through the sleep protocol.
    fn any_handle(&self, app: &AppId) -> Option<Handle> {
        self.read().slots.get(app).map(|slot| slot.handle.clone())
    }
}

/// In local mode all traffic goes through the activator, always.
struct AlwaysThroughActivators;

impl Traffic for AlwaysThroughActivators {
    fn to_activators<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn to_app<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
