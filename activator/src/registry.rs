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
    asked: HashMap<AppId, Arc<AppEntry>>,
    /// Which host belongs to whom.
    hosts: HashMap<String, AppId>,
    /// Whether the workers were told to close a listener and have not said since that they have.
    closing: bool,
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>, workers: Arc<[WorkerHandle]>) -> (Self, watch::Receiver<Ports>) {
        let (ports, receiver) = watch::channel(Ports::default());
        let (asked, hosts) = (HashMap::new(), HashMap::new());
        (Self { shared, workers, ports, asked, hosts, closing: false }, receiver)
    }

    pub(crate) async fn apply(&mut self, change: Change) {
        match change {
            Change::App(entry) => self.upsert(&entry).await,
            Change::Gone(id) => self.remove(&id),
        }
    }

    /// Completes once every worker has done all that it was told.
    pub(crate) async fn workers_caught_up(&mut self) {
        for worker in self.workers.iter() {
            worker.caught_up().await;
        }
        self.closing = false;
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
        let before = self.asked.insert(entry.id.clone(), entry.clone());
        self.update_ports(&app, entry, before.as_deref()).await;
        self.update_hosts(entry, before.as_deref());
    }

    fn remove(&mut self, id: &AppId) {
        let Some(app) = self.shared.apps().remove(id) else { return };
        if let Some(before) = self.asked.remove(id) {
            self.close_ports(&before, |_| false);
            self.drop_hosts(&before, |_| false);
        }
        app.remove();
        self.tell(|| Command::Remove(id.clone()));
        self.shared.metrics.forget(id);
    }

    async fn update_ports(&mut self, app: &Arc<App>, entry: &AppEntry, before: Option<&AppEntry>) {
        let asked_before = |listen: &SocketAddr| {
            before.is_some_and(|before| before.ports.iter().any(|port| port.listen == *listen))
        };
        let new: Vec<_> = {
            let ports = self.ports.borrow();
            let failed = |listen: &SocketAddr| ports.refused.iter().any(|error| error.listen == *listen);
            let asked = entry.ports.iter().map(|port| port.listen);
            asked
                .filter(|listen| ports.open.get(listen) != Some(&entry.id))
                .filter(|listen| !asked_before(listen) || failed(listen))
                .collect()
        };
        if let Some(before) = before {
            self.close_ports(before, |address| entry.ports.iter().any(|port| port.listen == address));
        }
        if new.is_empty() {
            return;
        }
        for address in &new {
            // It goes from one app to another in the same reload; the old one's change is still to come.
            if self.change(|ports| ports.open.remove(address).is_some()) {
                self.unlisten(*address);
            }
        }
        // An address can be bound again once every worker has closed its listener for it.
        if self.closing {
            self.workers_caught_up().await;
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

    /// Closes those of an app's ports that are not kept.
    fn close_ports(&mut self, of: &AppEntry, keep: impl Fn(SocketAddr) -> bool) {
        let mut closed = Vec::new();
        self.change(|ports| {
            let before = ports.refused.len();
            ports.refused.retain(|error| error.app != of.id || keep(error.listen));
            for address in of.ports.iter().map(|port| port.listen).filter(|address| !keep(*address)) {
                if ports.open.get(&address) == Some(&of.id) {
                    ports.open.remove(&address);
                    closed.push(address);
                }
            }
            before != ports.refused.len() || !closed.is_empty()
        });
        for address in closed {
            self.unlisten(address);
        }
    }

    fn unlisten(&mut self, address: SocketAddr) {
        self.closing = true;
        self.tell(|| Command::Unlisten(address));
    }

    /// Changes what is listened on, and says so if it did. Returns whether it did.
    fn change(&self, change: impl FnOnce(&mut Ports) -> bool) -> bool {
        self.ports.send_if_modified(|ports| {
            let changed = change(ports);
            ports.revision += u64::from(changed);
            changed
        })
    }

    fn update_hosts(&mut self, entry: &AppEntry, before: Option<&AppEntry>) {
        if let Some(before) = before {
            self.drop_hosts(before, |host| entry.hosts.iter().any(|own| own == host));
        }
        for host in entry.hosts.iter() {
            if self.hosts.get(host) != Some(&entry.id) {
                self.hosts.insert(host.clone(), entry.id.clone());
                self.tell(|| Command::Host { host: host.clone(), app: Some(entry.id.clone()) });
            }
        }
    }

    /// Takes those of an app's hosts from it that are not kept.
    fn drop_hosts(&mut self, of: &AppEntry, keep: impl Fn(&str) -> bool) {
        for host in of.hosts.iter().filter(|host| !keep(host)) {
            if self.hosts.get(host) == Some(&of.id) {
                self.hosts.remove(host);
                self.tell(|| Command::Host { host: host.clone(), app: None });
            }
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in self.workers.iter() {
            worker.send(command());
        }
    }
}
