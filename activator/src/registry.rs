//! Applies the directory's changes: makes and removes apps, opens and closes their ports, starts probers.
//!
//! It is the only writer of the table of apps and of what the workers listen on, so nothing here is locked
//! for longer than one insertion. A change costs what it touches, however many other apps there are.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use reveille_core::{
    app::AppId,
    directory::{AppEntry, Change},
};
use tokio::sync::watch;

use crate::{
    app::App,
    bind, prober,
    server::{BindError, Shared},
    worker::{Command, Target, WorkerHandle},
};

/// What is listened on for apps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports {
    /// Another one with each change.
    pub(crate) revision: u64,
    /// Who listens where.
    pub(crate) open: HashMap<SocketAddr, AppId>,
    /// What could not be opened.
    pub(crate) refused: Vec<BindError>,
}

/// See the [module](self).
pub(crate) struct Registry {
    shared: Arc<Shared>,
    workers: Arc<[WorkerHandle]>,
    ports: watch::Sender<Ports>,
    /// What each app asked for last. An app that has lost a port to another takes it back only by asking anew.
    asked: HashMap<AppId, Vec<SocketAddr>>,
    /// Which host belongs to whom.
    hosts: HashMap<String, AppId>,
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>, workers: Arc<[WorkerHandle]>) -> (Self, watch::Receiver<Ports>) {
        let (ports, receiver) = watch::channel(Ports::default());
        (Self { shared, workers, ports, asked: HashMap::new(), hosts: HashMap::new() }, receiver)
    }

    pub(crate) async fn apply(&mut self, change: Change) {
        match change {
            Change::App(entry) => self.upsert(&entry).await,
            Change::Gone(id) => self.remove(&id),
        }
    }

    async fn upsert(&mut self, entry: &Arc<AppEntry>) {
        let known = self.shared.app(&entry.id);
        let app = known.unwrap_or_else(|| {
            let app = App::new(entry.clone(), self.shared.clone());
            self.shared.apps().insert(entry.id.clone(), app.clone());
            self.tell(|| Command::App(app.clone()));
            app
        });
        let applied = app.apply(entry.clone());
        if applied.retired {
            self.tell(|| Command::Refresh(entry.id.clone()));
        }
        for endpoint in applied.to_probe {
            prober::start(app.clone(), endpoint);
        }
        self.update_ports(&app, entry).await;
        self.update_hosts(entry);
    }

    fn remove(&mut self, id: &AppId) {
        let Some(app) = self.shared.apps().remove(id) else { return };
        self.close_ports(id, |_| false);
        self.asked.remove(id);
        self.drop_hosts(id, |_| false);
        app.remove();
        self.tell(|| Command::Remove(id.clone()));
        self.shared.metrics.forget(id);
    }

    async fn update_ports(&mut self, app: &Arc<App>, entry: &AppEntry) {
        let asked: Vec<_> = entry.ports.iter().map(|port| port.listen).collect();
        let before = self.asked.insert(entry.id.clone(), asked.clone()).unwrap_or_default();
        let new: Vec<_> = {
            let ports = self.ports.borrow();
            let failed = |listen: &SocketAddr| ports.refused.iter().any(|error| error.listen == *listen);
            asked
                .into_iter()
                .filter(|listen| ports.open.get(listen) != Some(&entry.id))
                .filter(|listen| !before.contains(listen) || failed(listen))
                .collect()
        };
        self.close_ports(&entry.id, |address| entry.ports.iter().any(|port| port.listen == address));
        if new.is_empty() {
            return;
        }
        for address in &new {
            // It goes from one app to another in the same reload; the old one's change is still to come.
            if self.change(|ports| ports.open.remove(address).is_some()) {
                self.tell(|| Command::Unlisten(*address));
            }
        }
        // An address can be bound again once every worker has closed its listener for it.
        for worker in self.workers.iter() {
            worker.caught_up().await;
        }
        for address in new {
            self.open_port(app, address);
        }
    }

    fn open_port(&mut self, app: &Arc<App>, address: SocketAddr) {
        match bind::bind_each(address, self.workers.len()) {
            Ok(listeners) => {
                for (worker, listener) in self.workers.iter().zip(listeners) {
                    let target = Target::App { app: app.id.clone(), port: address };
                    worker.send(Command::Listen { address, listener, target });
                }
                self.change(|ports| {
                    ports.refused.retain(|error| error.listen != address);
                    ports.open.insert(address, app.id.clone());
                    true
                });
            }
            Err(error) => {
                tracing::error!(app = %app.id, listen = %address, %error, "the port cannot be opened; clients cannot reach the app there");
                let error = BindError { app: app.id.clone(), listen: address, reason: error.to_string() };
                self.change(|ports| {
                    ports.refused.retain(|error| error.listen != address);
                    ports.refused.push(error);
                    true
                });
            }
        }
    }

    fn close_ports(&mut self, id: &AppId, keep: impl Fn(SocketAddr) -> bool) {
        let mut closed = Vec::new();
        self.change(|ports| {
            let before = (ports.refused.len(), ports.open.len());
            ports.refused.retain(|error| error.app != *id || keep(error.listen));
            ports.open.retain(|at, owner| {
                let kept = owner != id || keep(*at);
                if !kept {
                    closed.push(*at);
                }
                kept
            });
            before != (ports.refused.len(), ports.open.len())
        });
        for address in closed {
            self.tell(|| Command::Unlisten(address));
        }
    }

    /// Changes what is listened on, and says so if it did. Returns whether it did.
    fn change(&self, change: impl FnOnce(&mut Ports) -> bool) -> bool {
        self.ports.send_if_modified(|ports| {
            let changed = change(ports);
            ports.revision += u64::from(changed);
            changed
        })
    }

    fn update_hosts(&mut self, entry: &AppEntry) {
        self.drop_hosts(&entry.id, |host| entry.hosts.iter().any(|own| own == host));
        for host in entry.hosts.iter() {
            if self.hosts.get(host) != Some(&entry.id) {
                self.hosts.insert(host.clone(), entry.id.clone());
                self.tell(|| Command::Host { host: host.clone(), app: Some(entry.id.clone()) });
            }
        }
    }

    fn drop_hosts(&mut self, id: &AppId, keep: impl Fn(&str) -> bool) {
        let dropped: Vec<_> =
            self.hosts.iter().filter(|(h, owner)| *owner == id && !keep(h)).map(|(h, _)| h.clone()).collect();
        for host in dropped {
            self.hosts.remove(&host);
            self.tell(|| Command::Host { host: host.clone(), app: None });
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in self.workers.iter() {
            worker.send(command());
        }
    }
}
