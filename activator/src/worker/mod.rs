//! One worker: a thread with a runtime, listeners, client connections and upstream connections of its own.
//!
//! Everything here stays on the worker's thread and is shared by `Rc`; other threads talk to it by
//! [`Command`]s. What is shared with other workers is in [`App`].

mod accept;
mod app;
mod background;
mod connection;
mod hangup;
mod http1;
mod http2;
mod pool;
mod thread;
mod ticker;
mod upstream;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::SystemTime,
};

pub(crate) use app::{Chosen, WorkerApp};
pub(crate) use background::Background;
pub(crate) use connection::{ClientBody, ClientStream, Connection, InterimSender, Leaving, Serve, State};
use hangup::Hangups;
use http::HeaderValue;
pub(crate) use http1::{Failure, Http1Connection};
pub(crate) use http2::Http2Lease;
pub(crate) use pool::Lease;
use reveille_core::app::AppId;
use slab::Slab;
pub(crate) use thread::WorkerHandle;
use tokio::sync::oneshot;
pub(crate) use upstream::UpstreamStream;

use crate::{app::App, server::Shared};

/// What other threads tell a worker.
pub(crate) enum Command {
    /// There is a new app.
    App(Arc<App>),
    /// Endpoints of the app are gone: close the connections to them.
    Refresh(AppId),
    /// The app is gone.
    Remove(AppId),
    /// Serve this port.
    Listen {
        /// Its address.
        address: SocketAddr,
        /// The worker's own listener for it.
        listener: TcpListener,
        /// Whom its requests are for.
        target: Target,
    },
    /// Stop serving that port: what is in its queue is still accepted.
    Unlisten(SocketAddr),
    /// The gateway's host belongs to this app, or to none.
    Host {
        /// The host in lower case, without port.
        host: String,
        /// The app.
        app: Option<AppId>,
    },
    /// Stop accepting, close idle connections.
    Drain,
    /// Close every connection.
    CloseAll,
    /// Answer once all earlier commands are carried out.
    CatchUp(oneshot::Sender<()>),
}

/// Whom the requests of a port are for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// For one app.
    App {
        /// Which.
        app: AppId,
        /// The port by its address: its place among the app's ports may change in a reload.
        port: SocketAddr,
    },
    /// For the app that has the request's host.
    Gateway,
}

/// See the [module](self).
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    hangups: Rc<Hangups>,
    /// Half-seconds since the start: the clock of everything that need not be exact.
    pub(crate) tick: Cell<u32>,
    apps: RefCell<HashMap<AppId, Rc<WorkerApp>>>,
    hosts: RefCell<HashMap<String, Rc<WorkerApp>>>,
    /// Dropping a sender ends its listener.
    listeners: RefCell<HashMap<SocketAddr, oneshot::Sender<()>>>,
    connections: RefCell<Slab<Rc<State>>>,
    /// The date that responses get, as of a tick.
    date: RefCell<(u32, HeaderValue)>,
    /// Where bytes are read to before it is known what becomes of them. Borrowed within one poll only.
    pub(crate) scratch: RefCell<Box<[u8]>>,
}

fn date_now() -> HeaderValue {
    let now = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::from_str(&now).expect("a date is a valid field value")
}

/// The size of a worker's scratch space: as much as a socket commonly holds.
const SCRATCH: usize = 64 << 10;

impl Worker {
    fn new(index: usize, shared: Arc<Shared>) -> std::io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            index,
            shared,
            hangups: Hangups::start()?,
            tick: Cell::new(0),
            apps: RefCell::default(),
            hosts: RefCell::default(),
            listeners: RefCell::default(),
            connections: RefCell::default(),
            date: RefCell::new((0, date_now())),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
        }))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(shared: Arc<Shared>) -> Rc<Self> {
        Self::new(0, shared).expect("an epoll instance can be made")
    }

    /// The date (RFC 9110, 6.6.1), half a second old at most.
    pub(crate) fn date(&self) -> HeaderValue {
        let mut date = self.date.borrow_mut();
        if date.0 != self.tick.get() {
            *date = (self.tick.get(), date_now());
        }
        date.1.clone()
    }

    /// The app that has this host: in lower case, without port.
    pub(crate) fn app_of_host(&self, host: &str) -> Option<Rc<WorkerApp>> {
        self.hosts.borrow().get(host).cloned()
    }

    fn app(&self, id: &AppId) -> Option<Rc<WorkerApp>> {
        self.apps.borrow().get(id).cloned()
    }

    fn obey(self: &Rc<Self>, command: Command) {
        match command {
            Command::App(app) => {
                let id = app.id.clone();
                self.apps.borrow_mut().insert(id, Rc::new(WorkerApp::new(app, self.index)));
            }
            Command::Refresh(id) => {
                if let Some(app) = self.app(&id) {
                    app.refresh();
                }
            }
            Command::Remove(id) => {
                if let Some(app) = self.apps.borrow_mut().remove(&id) {
                    app.refresh();
                }
            }
            Command::Listen { address, listener, target } => accept::start(self, address, listener, &target),
            Command::Unlisten(address) => drop(self.listeners.borrow_mut().remove(&address)),
            Command::Host { host, app } => {
                let app = app.and_then(|id| self.app(&id));
                match app {
                    Some(app) => self.hosts.borrow_mut().insert(host, app),
                    None => self.hosts.borrow_mut().remove(&host),
                };
            }
            Command::Drain => {
                self.listeners.borrow_mut().clear();
                self.each_connection(State::close_when_idle);
            }
            Command::CloseAll => self.each_connection(State::close_now),
            Command::CatchUp(reply) => {
                // Behind the listeners' tasks, which were woken by the commands before.
                tokio::task::spawn_local(async move {
                    tokio::task::yield_now().await;
                    let _ = reply.send(());
                });
            }
        }
    }

    fn each_connection(&self, act: impl Fn(&State)) {
        let connections: Vec<_> = self.connections.borrow().iter().map(|(_, state)| state.clone()).collect();
        for state in connections {
            act(&state);
        }
    }
}
