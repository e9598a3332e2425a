//! A worker's own part of an app: its copy of what it needs to serve it, and its upstream connections.

use std::{
    cell::{Cell, Ref, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use reveille_core::{directory::Protocol, gate::Word, policy::Policy};

use super::{http2::Http2Pool, pool::Pool};
use crate::app::{App, Endpoint, Slot, View};

/// See the [module](self).
pub(crate) struct WorkerApp {
    pub(crate) app: Arc<App>,
    pub(crate) worker: usize,
    pub(crate) pool: Rc<Pool>,
    pub(crate) http2: Http2Pool,
    view: RefCell<View>,
    /// This worker's requests in flight at each endpoint of the view, for the choice between two.
    loads: RefCell<Vec<(u64, Rc<Cell<u32>>)>>,
}

/// A chosen endpoint; counts as its load while it lives.
pub(crate) struct Chosen {
    pub(crate) endpoint: Arc<Endpoint>,
    /// A slot, where a limit has to hold.
    pub(crate) slot: Option<Slot>,
    load: Rc<Cell<u32>>,
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.load.set(self.load.get() - 1);
    }
}

impl WorkerApp {
    pub(super) fn new(app: Arc<App>, worker: usize) -> Self {
        let view = app.view();
        let this = Self {
            app,
            worker,
            pool: Rc::new(Pool::new()),
            http2: Http2Pool::default(),
            view: RefCell::new(view),
            loads: RefCell::default(),
        };
        this.refresh();
        this
    }

    /// Looks again at what the app is, and drops connections to endpoints that are gone.
    pub(crate) fn refresh(&self) {
        let view = self.app.view();
        let load_of = |endpoint: &Arc<Endpoint>| {
            let loads = self.loads.borrow();
            let known = loads.iter().find(|(generation, _)| *generation == endpoint.generation);
            (endpoint.generation, known.map_or_else(Rc::default, |(_, load)| load.clone()))
        };
        let loads: Vec<_> = view.endpoints.iter().map(load_of).collect();
        let generations: Vec<_> = loads.iter().map(|(generation, _)| *generation).collect();
        self.http2.keep_only(&generations);
        self.pool.keep_only(generations);
        *self.loads.borrow_mut() = loads;
        *self.view.borrow_mut() = view;
    }

    /// The worker's copy, brought up to the version of `word` if it is older.
    pub(crate) fn view(&self, word: Word) -> Ref<'_, View> {
        if self.view.borrow().word.version() != word.version() {
            self.refresh();
        }
        self.view.borrow()
    }

    /// Chooses an endpoint for a request that need not wait: the less loaded of two at random. `None` if there
    /// is none, or if all have as many as `concurrency` allows.
    ///
    /// Without `limited` it does not count against `concurrency`.
    pub(crate) fn choose(&self, word: Word, limited: bool) -> Option<Chosen> {
        let view = self.view(word);
        let usable: usize = view.endpoints.iter().filter(|endpoint| endpoint.is_usable()).count();
        let nth = |n: usize| {
            view.endpoints
                .iter()
                .zip(self.loads.borrow().iter())
                .filter(|(e, _)| e.is_usable())
                .nth(n)
                .map(|(endpoint, (_, load))| (endpoint.clone(), load.clone()))
        };
        let (first, second) = match usable {
            0 => return None,
            1 => (nth(0)?, None),
            many => {
                let first = fastrand::usize(..many);
                let second = (first + fastrand::usize(1..many)) % many;
                (nth(first)?, nth(second))
            }
        };
        let (first, second) = match second {
            Some(second) if second.1.get() < first.1.get() => (second, Some(first)),
            second => (first, second),
        };
        let Some(hard) = view.entry.policy.concurrency.filter(|_| limited) else {
            return Some(Chosen::new(first, None));
        };
        [Some(first), second].into_iter().flatten().find_map(|candidate| {
            let slot = Slot::try_take(&self.app, &candidate.0, hard.get())?;
            Some(Chosen::new(candidate, Some(slot)))
        })
    }

    /// The endpoint that the hold has chosen.
    pub(crate) fn chosen(&self, slot: Slot) -> Chosen {
        let endpoint = slot.endpoint().clone();
        let loads = self.loads.borrow();
        let load = loads.iter().find(|(generation, _)| *generation == endpoint.generation);
        let load = load.map_or_else(Rc::default, |(_, load)| load.clone());
        Chosen::new((endpoint, load), Some(slot))
    }

    /// How clients speak on the app's port. One that is gone speaks HTTP, in which it can be said.
    pub(crate) fn protocol(&self, listen: SocketAddr) -> Protocol {
        let view = self.view(self.app.gate.word());
        let port = view.entry.ports.iter().find(|port| port.listen == listen);
        port.map_or(Protocol::Http, |port| port.protocol)
    }

    /// What holds for the app now.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.view(self.app.gate.word()).entry.policy.clone()
    }

    /// Closes upstream connections that were idle for too long.
    pub(super) fn drop_idle(&self, now: u32) {
        self.pool.drop_idle(now);
        self.http2.drop_idle(now);
    }
}

impl Chosen {
    fn new((endpoint, load): (Arc<Endpoint>, Rc<Cell<u32>>), slot: Option<Slot>) -> Self {
        load.set(load.get() + 1);
        Self { endpoint, slot, load }
    }
}
