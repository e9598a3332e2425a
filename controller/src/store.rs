//! The table of apps: what the data plane is told and what the admin port shows come from here alone.
//!
//! Each app has one writer (its supervisor). A view is published whole; subscribers get every app's present
//! state first and then each change, with no gap between the two, because both happen under one lock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reveille_core::{
    api::AppStatus,
    app::AppId,
    decide::{Observed, Report},
    directory::{AppEntry, Change, WakeState},
    invariants,
    phase::Phase,
};
use tokio::sync::{mpsc, watch};

use crate::{
    idle,
    metrics::Metrics,
    wakes::{Record, millis},
};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For durations.
    pub at: Instant,
    /// For people.
    pub wall: Timestamp,
}

impl Moment {
    /// The present.
    pub fn now() -> Self {
        Self { at: crate::clock::now(), wall: Timestamp::now() }
    }

    /// So long after it; the end of time if there is no such moment.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let wall =
            jiff::SignedDuration::try_from(duration).ok().and_then(|by| self.wall.checked_add(by).ok());
        Self { at: self.at + duration, wall: wall.unwrap_or(Timestamp::MAX) }
    }
}

/// What a follower of the table is told.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An app as it stands: it was published, or something about it changed that is not kept here.
    App(Arc<View>),
    /// There is no such app any more.
    Gone(AppId),
}

/// Everything that is known about one app.
#[derive(Clone, Debug)]
pub struct View {
    /// What the data plane is told.
    pub entry: Arc<AppEntry>,
    /// Since when it is in its phase.
    pub since: Moment,
    /// Changes with every change of its replicas.
    pub version: u64,
    /// Replicas that exist, stopping ones included.
    pub replicas: u32,
    /// The wake in progress, or the last one.
    pub wake: Option<Record>,
    /// How long its wakes usually take.
    pub usual: Option<Duration>,
    /// Until when it stays awake, as somebody asked.
    pub pin: Option<Moment>,
    /// What a changed configuration has not changed yet.
    pub pending: Option<String>,
}

impl View {
    /// The app as users see it, with what the activators last said of it. What it saved is told by the metrics.
    pub fn status(&self, now: Instant, reports: Vec<Report>) -> AppStatus {
        let entry = &self.entry;
        let said = |count: fn(&reveille_core::activity::Activity) -> u64| -> u64 {
            reports
                .iter()
                .map(|report| match report {
                    Report::Said { activity, .. } => count(activity),
                    Report::Silent => 0,
                })
                .sum()
        };
        let retry_in = match &entry.wake {
            WakeState::Failed { retry_at, .. } => {
                Some(retry_at.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
            WakeState::None | WakeState::InProgress { .. } => None,
        };
        let (in_flight, held) = (said(|activity| activity.in_flight), said(|activity| activity.held));
        let observed = Observed {
            phase: entry.phase,
            since: self.since.at,
            pinned_until: self.pin.map(|pin| pin.at),
            reports,
        };
        AppStatus {
            id: entry.id.clone(),
            phase: entry.phase,
            since: self.since.wall,
            replicas: self.replicas,
            in_flight,
            held,
            sleeps_in_ms: idle::sleeps_in(now, &observed, &entry.policy).map(millis),
            ttl: entry.policy.idle.ttl.to_string(),
            listen: entry.ports.iter().map(|port| port.listen.to_string()).collect(),
            hosts: entry.hosts.to_vec(),
            wake: self.wake.as_ref().map(|wake| wake.status(now, self.usual)),
            wake_on_request: entry.wake_on_request,
            retry_in_ms: retry_in.map(millis),
            awake_until: self.pin.filter(|pin| pin.at > now).map(|pin| pin.wall),
            schedule: None,
            asleep_ms: 0,
            saved: None,
            problem: None,
            pending: self.pending.clone(),
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Store {
    /// Guards rows and subscribers together, so that a subscriber misses no change. A plain lock: it is held
    /// for a few sends to unbounded channels and never over an await.
    table: Mutex<Table>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Table {
    /// A watch channel each, so that an idle loop sees its own app's changes only.
    rows: BTreeMap<AppId, watch::Sender<Arc<View>>>,
    /// Unbounded, so that publishing never waits: a change is small and the receiver only stores it.
    subscribers: Vec<mpsc::UnboundedSender<Change>>,
    /// Who shows apps to people. Unbounded for the same reason.
    followers: Vec<mpsc::UnboundedSender<Seen>>,
}

impl Store {
    /// An empty table.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { table: Mutex::default(), metrics }
    }

    /// First the present state of all apps, then each change.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut table = self.lock();
        for row in table.rows.values() {
            // Cannot fail: the receiver is still in this function.
            let _ = sender.send(Change::App(Arc::clone(&row.borrow().entry)));
        }
        table.subscribers.push(sender);
        receiver
    }

    /// First all apps as they stand, then each that is published, whether the data plane has to know or not.
    pub fn follow(&self) -> mpsc::UnboundedReceiver<Seen> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut table = self.lock();
        for row in table.rows.values() {
            // Cannot fail: the receiver is still in this function.
            let _ = sender.send(Seen::App(Arc::clone(&row.borrow())));
        }
        table.followers.push(sender);
        receiver
    }

    /// Something about the app changed that is not kept here: the followers look at it again.
    pub fn touch(&self, app: &AppId) {
        let mut table = self.lock();
        if let Some(view) = table.rows.get(app).map(|row| Arc::clone(&row.borrow())) {
            table.show(&Seen::App(view));
        }
    }

    /// Adds or replaces an app's view, and tells the subscribers if the data plane has to know.
    pub fn publish(&self, view: View) {
        let (entry, view) = (Arc::clone(&view.entry), Arc::new(view));
        debug_assert!(invariants::asleep_has_no_endpoint(&entry), "{entry:?}");
        debug_assert!(invariants::endpoints_cover_ports(&entry), "{entry:?}");
        let mut table = self.lock();
        let news = match table.rows.get(&entry.id) {
            Some(row) => {
                let before = row.send_replace(Arc::clone(&view));
                debug_assert!(invariants::phases_follow(before.entry.phase, entry.phase), "{entry:?}");
                before.entry != entry
            }
            None => {
                self.metrics.add(&entry.id);
                table.rows.insert(entry.id.clone(), watch::Sender::new(Arc::clone(&view)));
                true
            }
        };
        if news {
            self.metrics.deadline(&entry.id, entry.policy.wake.deadline);
            self.metrics.costs(&entry.id, entry.policy.cost, 1);
            self.metrics.phase(&entry.id, entry.phase);
            table.tell(&Change::App(entry));
        }
        table.show(&Seen::App(view));
    }

    /// Takes an app out; its watchers' channels close.
    pub fn remove(&self, app: &AppId) {
        let mut table = self.lock();
        if table.rows.remove(app).is_some() {
            self.metrics.remove(app);
            table.tell(&Change::Gone(app.clone()));
            table.show(&Seen::Gone(app.clone()));
        }
    }

    /// One app.
    pub fn view(&self, app: &AppId) -> Option<Arc<View>> {
        self.lock().rows.get(app).map(|row| Arc::clone(&row.borrow()))
    }

    /// Where it stands.
    pub fn phase(&self, app: &AppId) -> Option<Phase> {
        self.view(app).map(|view| view.entry.phase)
    }

    /// Every app, sorted by namespace and name.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.lock().rows.values().map(|row| Arc::clone(&row.borrow())).collect()
    }

    /// One app's views as they change.
    pub fn watch(&self, app: &AppId) -> Option<watch::Receiver<Arc<View>>> {
        self.lock().rows.get(app).map(watch::Sender::subscribe)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Table {
    /// Tells all subscribers, and forgets those that have gone.
    fn tell(&mut self, change: &Change) {
        self.subscribers.retain(|subscriber| subscriber.send(change.clone()).is_ok());
    }

    /// Likewise, for the followers.
    fn show(&mut self, seen: &Seen) {
        self.followers.retain(|follower| follower.send(seen.clone()).is_ok());
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
