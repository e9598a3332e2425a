//! Every app that this activator knows of, and what becomes of what is heard: the one place where the watches, the
//! control port, the errands and the data plane meet.
//!
//! One lock guards the table. It is held for microseconds, never across an await, and never taken by a request. Locks are
//! taken in this order: table, one app of the data plane, bells; so [`ClusterWaker`](super::waker::ClusterWaker), which an
//! app calls under a lock of its own caller, rings a bell and nothing else.
//!
//! **Shut and open.** A shut is written to the data plane's gate under the table's lock, at once. It is taken back only
//! after the data plane has taken over an entry that was composed when the lease had ended ([`Release`]): the gate never
//! opens for endpoints of before.
//!
//! | module | holds |
//! |---|---|
//! | `heard` | what the watches say |
//! | `asked` | what the control port and the errands ask and tell |

mod asked;
mod heard;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::AtomicBool},
    time::Instant,
};

use reveille_core::{
    app::AppId,
    directory::{AppEntry, Change, WakeState},
};
use tokio::sync::{Notify, mpsc};

pub(crate) use self::asked::ShutError;
use super::{hosts::Hosts, object::Object, stance::Stance};
use crate::{app::App, server::Shared};

/// See the [module](self).
pub(crate) struct Apps {
    table: Mutex<Table>,
    /// Something in the table is to be told to the data plane.
    changed: Notify,
    /// Wakes the errands of an app.
    bells: Mutex<HashMap<AppId, Arc<Bell>>>,
    newcomers: mpsc::UnboundedSender<(AppId, Arc<Bell>)>,
    /// The data plane, once it is built. Weak, as it holds this by its waker.
    data_plane: OnceLock<Weak<Shared>>,
    bind: IpAddr,
}

/// By which the errands of one app are called.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) ring: Notify,
    /// The data plane asked for a wake that has not come to anything yet.
    pub(crate) asked: AtomicBool,
    /// The app is gone.
    pub(crate) gone: AtomicBool,
}

#[derive(Default)]
struct Table {
    records: HashMap<AppId, Record>,
    /// Who may have to be told to the data plane anew, each once.
    dirty: VecDeque<AppId>,
    hosts: Hosts,
    /// Apps that a watch has named since it began anew, for each that does: of a namespace, or of all ("").
    relisted_apps: HashMap<String, HashSet<AppId>>,
}

#[derive(Default)]
struct Record {
    uid: Option<String>,
    /// The app as it was last readable.
    object: Option<Object>,
    /// What was last wrong with it, so that it is logged once.
    complaint: Option<String>,
    stance: Stance,
    /// What keeps this activator from waking it, for now.
    failed: Option<WakeState>,
    /// What the data plane was told.
    told: Option<Arc<AppEntry>>,
    is_dirty: bool,
    /// Leases of another app of the same name may stand in the data plane.
    anew: bool,
}

/// Which leases of the data plane end once it has taken over the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    UpTo(u64),
    /// Those of another app of the same name, unless there was a shut since.
    All,
}

impl Apps {
    /// An empty table. What comes out of the channel are apps that errands are to be run for.
    pub(crate) fn new(bind: IpAddr) -> (Arc<Self>, mpsc::UnboundedReceiver<(AppId, Arc<Bell>)>) {
        let (newcomers, arrivals) = mpsc::unbounded_channel();
        let apps = Self {
            table: Mutex::default(),
            changed: Notify::new(),
            bells: Mutex::default(),
            newcomers,
            data_plane: OnceLock::new(),
            bind,
        };
        (Arc::new(apps), arrivals)
    }

    /// Joins the data plane. Until then nothing is shut in it.
    pub(crate) fn join(&self, data_plane: &Arc<Shared>) {
        self.data_plane.get_or_init(|| Arc::downgrade(data_plane));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic under the lock ends the process (`cluster::build` says how), so what is behind it is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_plane_app(&self, id: &AppId) -> Option<Arc<App>> {
        self.data_plane.get()?.upgrade()?.app(id)
    }

    pub(crate) fn bell(&self, id: &AppId) -> Option<Arc<Bell>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn ring(&self, id: &AppId) {
        if let Some(bell) = self.bell(id) {
            bell.ring.notify_one();
        }
    }

    fn touch(&self, table: &mut Table, id: &AppId) {
        if let Some(record) = table.records.get_mut(id)
            && !record.is_dirty
        {
            record.is_dirty = true;
            table.dirty.push_back(id.clone());
            self.changed.notify_one();
        }
    }

    /// Does something with one app, then tells whom it concerns.
    fn with<T>(&self, id: &AppId, act: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let mut table = self.table();
        let done = act(table.records.get_mut(id)?);
        self.touch(&mut table, id);
        Some(done)
    }

    /// The next change for the data plane, and what follows once that has been taken over. None: nothing for now.
    pub(crate) fn next_change(&self) -> Option<(Change, AppId, Release)> {
        let mut table = self.table();
        while let Some(id) = table.dirty.pop_front() {
            let Table { records, hosts, .. } = &mut *table;
            let Some(record) = records.get_mut(&id) else { continue };
            record.is_dirty = false;
            let Some(object) = &record.object else {
                let was_told = record.told.take().is_some();
                if record.uid.is_none() && record.stance.slices().is_empty() {
                    records.remove(&id);
                }
                if was_told {
                    return Some((Change::Gone(id.clone()), id, Release::UpTo(0)));
                }
                continue;
            };
            let lost = hosts.lost(&id, &object.app.hosts);
            let now = Instant::now();
            let is_over =
                |state: &WakeState| matches!(state, WakeState::Failed { retry_at, .. } if *retry_at <= now);
            let failed = record.failed.take_if(|state| !is_over(state));
            record.failed.clone_from(&failed);
            let entry = object.entry(&id, &record.stance, &lost, failed.as_ref());
            let release = if record.anew { Release::All } else { Release::UpTo(record.stance.ended()) };
            if record.told.as_deref() == Some(&entry) {
                self.release_in(&mut table, &id, release);
                continue;
            }
            let entry = Arc::new(entry);
            record.told = Some(entry.clone());
            return Some((Change::App(entry), id, release));
        }
        None
    }

    /// Waits until [`next_change`](Self::next_change) may have something.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The data plane has taken over what [`next_change`](Self::next_change) said.
    pub(crate) fn release(&self, id: &AppId, release: Release) {
        self.release_in(&mut self.table(), id, release);
    }

    fn release_in(&self, table: &mut Table, id: &AppId, release: Release) {
        let Some(app) = self.data_plane_app(id) else { return };
        match (release, table.records.get_mut(id)) {
            (Release::UpTo(epoch), _) => app.end_leases(epoch),
            (Release::All, Some(record)) if record.anew => {
                record.anew = false;
                app.end_leases(u64::MAX);
            }
            (Release::All, _) => {}
        }
    }
}

impl Table {
    /// A watch names the app.
    fn is_named(&mut self, id: &AppId) {
        for scope in ["", &*id.namespace] {
            if let Some(named) = self.relisted_apps.get_mut(scope) {
                named.insert(id.clone());
            }
        }
    }
}

impl Record {
    fn begin_anew(&mut self) {
        self.stance.begin_anew();
        self.anew = true;
    }

    fn complain(&mut self, id: &AppId, reason: String) {
        if self.complaint.as_ref() == Some(&reason) {
            return;
        }
        let kept = if self.object.is_some() { "what was last known of it holds" } else { "it is not served" };
        tracing::warn!(app = %id, %reason, "the ScaledApp cannot be used; {kept}");
        self.complaint = Some(reason);
    }
}
