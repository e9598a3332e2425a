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

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reveille_core::{
    activity::Activity,
    app::AppId,
    control::{AttemptOutcome, Open},
    directory::{AppEntry, Change, WakeState},
    resource::{ScaledApp, TargetSpec},
};
use tokio::sync::{Notify, mpsc};

use super::{
    api::{ApiError, Cluster},
    hosts::Hosts,
    object::{Now, Object, stands},
    slices::{Slice, SliceList, Version},
    stance::{Need, Next, Refused, Scale, Stance, Ticket},
};
use crate::{
    app::{App, LeaseEnd},
    server::Shared,
};

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

/// A shut came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShutError {
    #[error("this activator does not know the app {0} (yet)")]
    Unknown(AppId),
    #[error("the attempt {asked} to put {app} to sleep is over; the newest that is known is {seen}")]
    Old { app: AppId, asked: u64, seen: u64 },
    #[error("the slices of {0} cannot be listed, and no gate is shut without: {1}")]
    Unavailable(AppId, ApiError),
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

    /// The watch says how an app is.
    pub(crate) fn heard(&self, id: &AppId, object: &ScaledApp, now: Now) {
        let mut table = self.table();
        table.is_named(id);
        let Table { records, hosts, .. } = &mut *table;
        let record = records.entry(id.clone()).or_default();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let known = record.uid.replace(uid.clone());
        if known.as_ref().is_some_and(|known| *known != uid) {
            record.begin_anew();
        }
        let mut touched = Default::default();
        match Object::read(object, self.bind, now, record.object.as_ref()) {
            Ok(new) => {
                let before = record.object.as_ref().map(|old| (&old.age, &*old.app.hosts));
                touched = hosts.change(id, before, Some((&new.age, &*new.app.hosts)));
                record.complaint = None;
                record.object = Some(new);
            }
            Err(reason) => record.complain(id, reason),
        }
        let (phase, epoch) = stands(object);
        if let Some(epoch) = record.stance.heard(now.here, phase, epoch) {
            tracing::debug!(app = %id, epoch, "it falls asleep: shut");
            record.anew = false;
            if let Some(app) = self.data_plane_app(id) {
                app.shut(epoch, LeaseEnd::WhenTold);
            }
        }
        for other in touched {
            self.touch(&mut table, &other);
        }
        self.touch(&mut table, id);
        drop(table);
        self.welcome(id);
        self.ring(id);
    }

    /// The watch brought an app that cannot be read: what was last known of it holds.
    pub(crate) fn heard_unreadable(&self, id: &AppId, reason: String) {
        let mut table = self.table();
        table.is_named(id);
        table.records.entry(id.clone()).or_default().complain(id, reason);
    }

    fn welcome(&self, id: &AppId) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if !bells.contains_key(id) {
            let bell = Arc::<Bell>::default();
            bells.insert(id.clone(), bell.clone());
            // Nobody listens only while the process ends.
            let _ = self.newcomers.send((id.clone(), bell));
        }
    }

    /// The watch says that an app is gone.
    pub(crate) fn heard_gone(&self, id: &AppId) {
        let mut table = self.table();
        let Table { records, hosts, .. } = &mut *table;
        let Some(record) = records.get_mut(id) else { return };
        record.uid = None;
        record.complaint = None;
        record.failed = None;
        record.begin_anew();
        if let Some(old) = record.object.take() {
            for other in hosts.change(id, Some((&old.age, &*old.app.hosts)), None) {
                self.touch(&mut table, &other);
            }
        }
        self.touch(&mut table, id);
        drop(table);
        if let Some(bell) = self.bells.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            bell.gone.store(true, Ordering::Release);
            bell.ring.notify_one();
        }
    }

    /// The watch of the apps of a namespace, or of all, begins anew.
    pub(crate) fn apps_relist_begins(&self, namespace: Option<&str>) {
        self.table().relisted_apps.insert(scope(namespace), HashSet::new());
    }

    /// It has named them all: others are gone.
    pub(crate) fn apps_relist_ends(&self, namespace: Option<&str>) {
        let gone: Vec<_> = {
            let mut table = self.table();
            let Some(named) = table.relisted_apps.remove(&scope(namespace)) else { return };
            let known = table.records.iter().filter(|(_, record)| record.uid.is_some());
            let ids = known.map(|(id, _)| id).filter(|id| is_within(id, namespace));
            ids.filter(|id| !named.contains(id)).cloned().collect()
        };
        for id in gone {
            self.heard_gone(&id);
        }
    }

    /// The watch says how a slice is.
    pub(crate) fn heard_slice(&self, id: &AppId, name: &str, slice: Slice) {
        let mut table = self.table();
        let news = table.records.entry(id.clone()).or_default().stance.slices_mut().heard(name, slice);
        self.slices_changed(table, id, news);
    }

    /// The watch says that a slice is gone.
    pub(crate) fn heard_slice_gone(&self, id: &AppId, name: &str, version: Version) {
        let mut table = self.table();
        let Some(record) = table.records.get_mut(id) else { return };
        let news = record.stance.slices_mut().heard_gone(name, version);
        self.slices_changed(table, id, news);
    }

    fn slices_changed(&self, mut table: MutexGuard<'_, Table>, id: &AppId, news: bool) {
        if news {
            self.touch(&mut table, id);
            drop(table);
            self.ring(id);
        }
    }

    /// The watch of the slices of a namespace, or of all, begins anew.
    pub(crate) fn slices_relist_begins(&self, namespace: Option<&str>) {
        let mut table = self.table();
        for (_, record) in table.records.iter_mut().filter(|(id, _)| is_within(id, namespace)) {
            record.stance.slices_mut().relist_begins();
        }
    }

    /// It has named them all: others are gone.
    pub(crate) fn slices_relist_ends(&self, namespace: Option<&str>) {
        let mut touched = Vec::new();
        let mut table = self.table();
        for (id, record) in table.records.iter_mut().filter(|(id, _)| is_within(id, namespace)) {
            match record.stance.slices_mut().relist_ends() {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => record.stance.is_unsure(),
            }
            touched.push(id.clone());
        }
        for id in &touched {
            self.touch(&mut table, id);
        }
        drop(table);
        for id in &touched {
            self.ring(id);
        }
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

    /// What it counted of an app.
    pub(crate) fn activity(&self, id: &AppId) -> Option<Activity> {
        Some(self.data_plane_app(id)?.activity())
    }

    /// The controller asks for a shut: list the slices, write the gate, read the counts.
    pub(crate) async fn shut(
        &self,
        cluster: &dyn Cluster,
        id: &AppId,
        epoch: u64,
        lease: Duration,
    ) -> Result<Activity, ShutError> {
        let unknown = || ShutError::Unknown(id.clone());
        let old = |Refused { seen }| ShutError::Old { app: id.clone(), asked: epoch, seen };
        let renews = {
            let table = self.table();
            let record =
                table.records.get(id).filter(|record| record.object.is_some()).ok_or_else(unknown)?;
            record.stance.check(epoch).map_err(old)?;
            record.stance.renews(epoch)
        };
        let list = if renews {
            None
        } else {
            let listed = cluster.slices(id).await;
            Some(listed.map_err(|error| ShutError::Unavailable(id.clone(), error))?)
        };
        let mut table = self.table();
        let record =
            table.records.get_mut(id).filter(|record| record.object.is_some()).ok_or_else(unknown)?;
        let app = self.data_plane_app(id).ok_or_else(unknown)?;
        record.stance.shut(Instant::now(), epoch, lease, list).map_err(old)?;
        record.anew = false;
        let activity = app.shut(epoch, LeaseEnd::WhenTold);
        self.touch(&mut table, id);
        drop(table);
        self.ring(id);
        activity.ok_or_else(|| old(Refused { seen: epoch }))
    }

    /// The controller says how an attempt ended.
    pub(crate) fn told(&self, id: &AppId, Open { epoch, outcome }: &Open) -> Option<()> {
        self.with(id, |record| {
            record.object.as_ref()?;
            record.stance.told(Instant::now(), *epoch, *outcome);
            if *outcome == AttemptOutcome::Asleep {
                tracing::debug!(app = %id, epoch, "it sleeps");
            }
            Some(())
        })??;
        self.ring(id);
        Some(())
    }

    /// What the errands of an app have to do now.
    pub(crate) fn need(&self, id: &AppId, bell: &Bell, now: Instant) -> Need {
        let app = self.data_plane_app(id);
        let mut table = self.table();
        let Some(record) = table.records.get_mut(id) else { return Need::Nothing(None) };
        if record.object.is_none() {
            return Need::Nothing(None);
        }
        let wake = record.is_wanted(app.as_deref(), bell, now);
        record.stance.need(now, wake)
    }

    /// Whether somebody waits for the app whom a wake would help.
    pub(crate) fn is_wanted(&self, id: &AppId, bell: &Bell, now: Instant) -> bool {
        let app = self.data_plane_app(id);
        self.table().records.get(id).is_some_and(|record| record.is_wanted(app.as_deref(), bell, now))
    }

    /// What wakes the app, and with how many replicas.
    pub(crate) fn target(&self, id: &AppId) -> Option<(TargetSpec, u32)> {
        let table = self.table();
        let object = table.records.get(id)?.object.as_ref()?;
        Some((object.app.target.clone(), object.replicas()))
    }

    /// The count was read.
    pub(crate) fn scale_read(&self, id: &AppId, ticket: Ticket, scale: Scale) -> Next {
        let read = self.with(id, |record| {
            record.failed = None;
            record.stance.scale_read(ticket, scale)
        });
        read.unwrap_or(Next::TooLate)
    }

    /// The slices were listed.
    pub(crate) fn listed(&self, id: &AppId, ticket: Ticket, list: SliceList) -> Next {
        self.with(id, |record| record.stance.slices_listed(ticket, list)).unwrap_or(Next::TooLate)
    }

    /// This activator cannot wake the app, for now: whoever waits is told.
    pub(crate) fn cannot_wake(&self, id: &AppId, why: WakeState) {
        self.with(id, |record| record.failed = Some(why));
    }
}

fn scope(namespace: Option<&str>) -> String {
    namespace.unwrap_or_default().to_owned()
}

fn is_within(id: &AppId, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| namespace == &*id.namespace)
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
    fn is_wanted(&self, app: Option<&App>, bell: &Bell, now: Instant) -> bool {
        let pauses = matches!(&self.failed, Some(WakeState::Failed { retry_at, .. }) if now < *retry_at);
        let may = !pauses && self.object.as_ref().is_some_and(|object| object.may_wake(now));
        let is_open = app.is_some_and(|app| app.gate.word().is_open());
        let waits = app.is_some_and(|app| app.waiting() > 0) || bell.asked.load(Ordering::Acquire);
        may && waits && !is_open
    }

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
