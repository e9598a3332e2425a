//! The activator as a whole: what all its workers share, how it is built, and what others may ask of it.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use reveille_core::{activity::Activity, app::AppId};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    app::{App, LeaseEnd},
    bind,
    config::Config,
    drain::{self, Stage},
    hold::Budget,
    metrics::Metrics,
    registry::{Ports, Registry},
    traits::{Directory, Waker},
    worker::{Command, Target, WorkerHandle},
};

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) budget: Budget,
    pub(crate) waker: Arc<dyn Waker>,
    pub(crate) metrics: Metrics,
    /// The runtime of everything that is not on the request path: probers, leases, the directory.
    pub(crate) control: Handle,
    /// Client connections that are open.
    pub(crate) connections: AtomicUsize,
    stage: AtomicU8,
    /// Every app, for the Fleet's questions and the metrics; never locked by a request.
    apps: Mutex<HashMap<AppId, Arc<App>>>,
}

impl Shared {
    #[cfg(test)]
    pub(crate) fn for_tests(config: Config, waker: Arc<dyn Waker>) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(config.hold),
            waker,
            metrics: Metrics::register(&prometheus::Registry::new()).expect("a new registry has no names"),
            control: Handle::current(),
            connections: AtomicUsize::new(0),
            stage: AtomicU8::new(Stage::Serving as u8),
            apps: Mutex::default(),
            config,
        })
    }

    /// How far the process is on its way out.
    pub(crate) fn stage(&self) -> Stage {
        Stage::from_u8(self.stage.load(Ordering::Acquire))
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    pub(crate) fn apps(&self) -> MutexGuard<'_, HashMap<AppId, Arc<App>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn app(&self, id: &AppId) -> Option<Arc<App>> {
        self.apps().get(id).cloned()
    }
}

/// A running activator. Dropping it ends it at once; [`drain`](Self::drain) ends it without losing anything.
pub struct Activator {
    shared: Arc<Shared>,
    workers: Arc<[WorkerHandle]>,
    gateway: Option<SocketAddr>,
    ports: watch::Receiver<Ports>,
}

/// A port that could not be opened.
#[derive(Clone, Debug)]
pub struct BindError {
    /// The app that it is for.
    pub app: AppId,
    /// Its address.
    pub listen: SocketAddr,
    /// What the system said.
    pub reason: String,
}

/// Why a gate was not shut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotShut {
    /// There is no such app.
    #[error("it does not know {0}")]
    Unknown(AppId),
    /// It is shut under a newer epoch.
    #[error("{app} is shut for a newer attempt than {epoch}")]
    Old {
        /// Which app.
        app: AppId,
        /// The epoch that was asked for.
        epoch: u64,
    },
}

/// Builds an activator: binds the gateway, starts the workers, and takes over all that the directory has to
/// say at this time, so that the ports of the apps it knows are open on return.
///
/// Runs its own tasks on the runtime that it is called from.
///
/// # Errors
/// If the gateway's port cannot be bound, a worker cannot be started, or the metrics' names are taken.
pub async fn build(
    config: Config,
    mut directory: Box<dyn Directory>,
    waker: Arc<dyn Waker>,
    registry: &prometheus::Registry,
) -> io::Result<Activator> {
    let metrics = Metrics::register(registry).map_err(io::Error::other)?;
    let shared = Arc::new(Shared {
        budget: Budget::new(config.hold),
        waker,
        metrics,
        control: Handle::current(),
        connections: AtomicUsize::new(0),
        stage: AtomicU8::new(Stage::Serving as u8),
        apps: Mutex::default(),
        config,
    });
    Metrics::register_apps(registry, &shared).map_err(io::Error::other)?;
    let workers: Arc<[WorkerHandle]> = (0..shared.config.workers.get())
        .map(|index| WorkerHandle::start(index, shared.clone()))
        .collect::<io::Result<_>>()?;
    let gateway = match shared.config.gateway {
        None => None,
        Some(address) => {
            let listeners = bind::bind_each(address, workers.len())?;
            let bound = listeners[0].local_addr()?;
            for (worker, listener) in workers.iter().zip(listeners) {
                worker.send(Command::Listen { address: bound, listener, target: Target::Gateway });
            }
            Some(bound)
        }
    };
    let (mut registry, ports) = Registry::new(shared.clone(), workers.clone());
    // Unconstrained, or after 128 changes tokio says that there is none, for the sake of other tasks.
    while let Some(Some(change)) = tokio::task::unconstrained(directory.next()).now_or_never() {
        registry.apply(change).await;
    }
    registry.workers_caught_up().await;
    shared.control.spawn(async move {
        while let Some(change) = directory.next().await {
            registry.apply(change).await;
        }
        tracing::warn!("the directory has ended; going on with what it said last");
        std::future::pending::<()>().await;
    });
    Ok(Activator { shared, workers, gateway, ports })
}

impl Activator {
    /// Where the gateway listens.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.gateway
    }

    /// What is listened on for apps, as it changes.
    pub(crate) fn ports(&self) -> watch::Receiver<Ports> {
        self.ports.clone()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ports that could not be opened, as of now.
    pub fn bind_errors(&self) -> Vec<BindError> {
        self.ports.borrow().refused.clone()
    }

    /// Whether it takes new work: false once it drains.
    pub fn is_ready(&self) -> bool {
        self.shared.stage() == Stage::Serving
    }

    /// What it saw of an app.
    pub fn activity(&self, app: &AppId) -> Option<Activity> {
        Some(self.shared.app(app)?.activity())
    }

    /// Shuts the app's gate for at most `lease` and says what was counted as of that instant. Again with the
    /// same epoch renews it.
    ///
    /// # Errors
    /// If there is no such app, or it is shut under a newer epoch.
    pub fn shut(&self, app: &AppId, epoch: u64, lease: Duration) -> Result<Activity, NotShut> {
        let found = self.shared.app(app).ok_or_else(|| NotShut::Unknown(app.clone()))?;
        found.shut(epoch, LeaseEnd::After(lease)).ok_or_else(|| NotShut::Old { app: app.clone(), epoch })
    }

    /// Ends the lease of that epoch.
    pub fn open(&self, app: &AppId, epoch: u64) {
        if let Some(app) = self.shared.app(app) {
            app.open(epoch);
        }
    }

    /// Ends it without losing anything: goes on accepting for the lame duck's time while telling clients to
    /// go, then waits for held and in-flight work for at most the grace. Returns once nobody is connected.
    /// When `force` completes, all that is left is ended at once.
    pub async fn drain(&self, force: impl Future<Output = ()>) {
        drain::run(&self.shared, &self.workers, force).await;
    }

    /// Completes if a worker ends although it should not: the process cannot go on.
    pub async fn failed(&self) -> String {
        let ends = self.workers.iter().map(|worker| Box::pin(worker.ended()));
        let ((), index, _) = futures_util::future::select_all(ends).await;
        format!("worker {index} has ended")
    }
}
