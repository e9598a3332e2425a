//! What the leader does: a worker for each app, told of every change that concerns it.
//!
//! Dropping [`lead`] ends all of it at once, watches and workers. That is what losing the lease means.

use std::{collections::HashMap, sync::Arc, time::Duration};

use reveille_core::app::AppId;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinError, JoinSet},
};

use super::{
    by_hand::counts,
    deployments,
    stores::{self, Concerns},
    worker::Worker,
    world::World,
};

/// How soon it is looked again for an app that was gone and that the watch still has.
const AFTER_GONE: Duration = Duration::from_millis(500);

/// A part of the leader that must not end has ended: a bug.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

/// The workers of all apps.
struct Workers {
    world: Arc<World>,
    tasks: JoinSet<AppId>,
    /// By which each is told of changes.
    changed: HashMap<AppId, Arc<Notify>>,
}

/// Leads until it is dropped. `make` gets what is watched and gives everything else.
pub(crate) async fn lead(
    client: &kube::Client,
    namespaces: &[String],
    make: impl FnOnce(stores::Stores) -> World,
) -> Result<std::convert::Infallible, Broken> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut watches = JoinSet::new();
    let stores = stores::start(client, namespaces, &mut watches, move |concerns| {
        // Nobody listens only while everything is being dropped.
        let _ = tell.send(concerns);
    });
    stores.whole().await;
    let world = Arc::new(make(stores));
    let _open = world.board.open(&world);
    let mut helpers = JoinSet::new();
    helpers.spawn(counts::follow(Arc::clone(&world)));
    helpers.spawn(deployments::run_schedules(Arc::clone(&world)));
    let mut activators = world.parts.activators.watch();
    activators.mark_unchanged();
    if let Err(error) = world.ports.keep_only(&world.stores.uids()).await {
        tracing::warn!(%error, "ports of apps that went while nobody led are not freed");
    }
    let mut workers = Workers { world, tasks: JoinSet::new(), changed: HashMap::new() };
    workers.tell(&Concerns::All);
    loop {
        tokio::select! {
            Some(concerns) = told.recv() => workers.tell(&concerns),
            Ok(()) = activators.changed() => workers.tell(&Concerns::All),
            Some(ended) = workers.tasks.join_next() => workers.ended(ended)?,
            Some(ended) = helpers.join_next() => {
                return Err(Broken(format!("a helper of the leader has ended: {ended:?}")));
            }
            Some(ended) = watches.join_next() => {
                return Err(Broken(format!("a watch has ended: {ended:?}")));
            }
        }
    }
}

impl Workers {
    fn tell(&mut self, concerns: &Concerns) {
        for id in self.world.stores.concerned(concerns) {
            self.notify(id);
        }
        // One that is gone is in no store any more.
        match concerns {
            Concerns::App(gone) => {
                if let Some(changed) = self.changed.get(gone) {
                    changed.notify_one();
                }
            }
            Concerns::All => self.changed.values().for_each(|changed| changed.notify_one()),
            Concerns::Service(_) | Concerns::Target(..) | Concerns::Namespace(_) => {}
        }
    }

    fn notify(&mut self, id: AppId) {
        if let Some(changed) = self.changed.get(&id) {
            changed.notify_one();
            return;
        }
        let worker = self.worker(id);
        self.tasks.spawn(worker.run());
    }

    fn worker(&mut self, id: AppId) -> Worker {
        let changed = Arc::new(Notify::new());
        self.changed.insert(id.clone(), Arc::clone(&changed));
        Worker::new(Arc::clone(&self.world), id, changed)
    }

    fn ended(&mut self, ended: Result<AppId, JoinError>) -> Result<(), Broken> {
        let id = ended.map_err(|error| Broken(format!("an app's worker has failed: {error}")))?;
        self.changed.remove(&id);
        // Made again meanwhile, by the same name; or the watch has not heard yet that it is gone, and may not for a while.
        if self.world.stores.app(&id).is_some() {
            let worker = self.worker(id);
            self.tasks.spawn(async move {
                tokio::time::sleep(AFTER_GONE).await;
                worker.run().await
            });
        }
        Ok(())
    }
}
