//! What the leader shows and where orders are left: the one place where those who call the API meet the workers.
//!
//! It outlives leadership: while this controller stands by nothing is on it, and nobody takes orders.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reveille_core::{api::AppStatus, app::AppId};
use tokio::sync::{mpsc, oneshot};

use super::{
    order::{Order, What},
    view::{Counts, View},
};
use crate::{cluster::world::World, feed::Feed, traits::Refusal};

/// For how long after a call somebody is taken to be looking.
const LOOKS_FOR_S: i64 = 10;

/// See the [module](self).
pub struct Board {
    feed: Arc<Feed>,
    shown: RwLock<Shown>,
    desks: Mutex<HashMap<AppId, mpsc::UnboundedSender<Order>>>,
    /// What the workers act on, while this controller leads. Weak, as that has this.
    world: RwLock<Weak<World>>,
    /// When somebody last looked, in seconds since 1970.
    looked: AtomicI64,
}

#[derive(Default)]
struct Shown {
    views: BTreeMap<AppId, View>,
    counts: HashMap<AppId, Counts>,
}

impl Shown {
    fn counts(&self, app: &AppId) -> Counts {
        self.counts.get(app).copied().unwrap_or_default()
    }
}

impl Board {
    /// An empty one. What changes on it is told to that feed.
    pub fn new(feed: Arc<Feed>) -> Arc<Self> {
        Arc::new(Self {
            feed,
            shown: RwLock::default(),
            desks: Mutex::default(),
            world: RwLock::default(),
            looked: AtomicI64::new(i64::MIN),
        })
    }

    /// What changes on it.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// This controller leads until what is returned is dropped.
    pub(crate) fn open(self: &Arc<Self>, world: &Arc<World>) -> Open {
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(world);
        Open(Arc::clone(self))
    }

    /// What the workers act on, if this controller leads.
    pub(crate) fn world(&self) -> Option<Arc<World>> {
        self.world.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Whether this controller leads.
    pub fn leads(&self) -> bool {
        self.world().is_some()
    }

    /// Shows an app as its worker sees it.
    pub(crate) fn show(&self, view: View) {
        let now = Timestamp::now();
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let counts = shown.counts(&view.id);
        self.feed.note(now, view.at(now, counts));
        shown.views.insert(view.id.clone(), view);
    }

    /// Shows what is under way, at all activators together.
    pub(crate) fn count(&self, counts: HashMap<AppId, Counts>) {
        let now = Timestamp::now();
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut shown.counts, counts);
        for (id, view) in &shown.views {
            let counts = shown.counts(id);
            if before.get(id).copied().unwrap_or_default() != counts {
                self.feed.note(now, view.at(now, counts));
            }
        }
    }

    /// The app is gone.
    pub(crate) fn gone(&self, app: &AppId) {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).views.remove(app);
        self.desks().remove(app);
        self.feed.gone(Timestamp::now(), app);
    }

    /// Every app, sorted by namespace and name.
    pub(super) fn list(&self) -> Vec<AppStatus> {
        self.look();
        let (now, shown) = (Timestamp::now(), self.shown.read().unwrap_or_else(PoisonError::into_inner));
        shown.views.iter().map(|(id, view)| view.at(now, shown.counts(id))).collect()
    }

    /// One app.
    pub(super) fn get(&self, app: &AppId) -> Option<AppStatus> {
        self.look();
        let (now, shown) = (Timestamp::now(), self.shown.read().unwrap_or_else(PoisonError::into_inner));
        shown.views.get(app).map(|view| view.at(now, shown.counts(app)))
    }

    /// Whether it is worth to ask the activators what is under way.
    pub(crate) fn is_looked_at(&self) -> bool {
        let now = Timestamp::now().as_second();
        self.feed.is_read() || now.saturating_sub(self.looked.load(Ordering::Relaxed)) < LOOKS_FOR_S
    }

    fn look(&self) {
        self.looked.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// Where the app's worker takes orders.
    pub(crate) fn desk(&self, app: &AppId) -> mpsc::UnboundedReceiver<Order> {
        let (sender, orders) = mpsc::unbounded_channel();
        self.desks().insert(app.clone(), sender);
        orders
    }

    /// Leaves an order with the app's worker, and waits until it is carried out, for at most so long.
    pub(super) async fn order(&self, app: &AppId, what: What, within: Duration) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let sent = self.desks().get(app).map(|desk| desk.send(Order { what, reply }).is_ok());
        if sent != Some(true) {
            return Err(Refusal::UnknownApp(app.clone()));
        }
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(done)) => done,
            // The worker has ended: it leads no more.
            Ok(Err(_)) => Err(Refusal::Stopping),
            Err(_) => Err(Refusal::OutOfReach {
                app: app.clone(),
                reason: format!(
                    "whether it was done is not known within {} s, and it may still be; see its status and the controller's log",
                    within.as_secs()
                ),
            }),
        }
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<AppId, mpsc::UnboundedSender<Order>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leadership, as far as the board goes.
pub(crate) struct Open(Arc<Board>);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.world.write().unwrap_or_else(PoisonError::into_inner) = Weak::new();
        self.0.desks().clear();
        *self.0.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown::default();
        // Whoever reads begins anew at the one that leads next.
        self.0.feed.begin_anew();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{cluster::fixtures::app, feed::Kind};

    fn view(phase: &str) -> View {
        View::new(&app(json!({}), json!({"phase": phase})), None)
    }

    #[tokio::test]
    async fn what_changes_is_told_and_counts_are_added() {
        let feed = Feed::new();
        let board = Board::new(Arc::clone(&feed));
        let (mut reader, _) = feed.reader(None).unwrap();
        board.show(view("Asleep"));
        assert_eq!(reader.next().await.unwrap().kind, Kind::Changed);
        let id = AppId::new("team", "web");
        board.count([(id.clone(), Counts { in_flight: 3, held: 2 })].into());
        let event = reader.next().await.unwrap();
        assert!(event.data.contains(r#""held":2"#), "{}", event.data);
        assert_eq!(board.get(&id).map(|app| app.in_flight), Some(3));
        board.gone(&id);
        assert_eq!(reader.next().await.unwrap().kind, Kind::Gone);
        assert_eq!(board.list(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn orders_reach_the_worker_or_are_refused() {
        let board = Board::new(Feed::new());
        let id = AppId::new("team", "web");
        let wake = || What::Wake { trigger: "me".into(), keep: None, replicas: None };
        let within = Duration::from_secs(5);
        assert_eq!(board.order(&id, wake(), within).await, Err(Refusal::UnknownApp(id.clone())));
        let mut orders = board.desk(&id);
        let worker = async {
            let order = orders.recv().await.unwrap();
            assert_eq!(order.what, wake());
            order.reply.send(Ok(())).unwrap();
            let late = orders.recv().await.unwrap();
            tokio::time::sleep(2 * within).await;
            assert!(late.reply.is_closed(), "nobody waits any more");
        };
        let caller = async {
            assert_eq!(board.order(&id, wake(), within).await, Ok(()));
            assert!(matches!(board.order(&id, wake(), within).await, Err(Refusal::OutOfReach { .. })));
        };
        tokio::join!(worker, caller);
        drop(orders);
        assert_eq!(board.order(&id, wake(), within).await, Err(Refusal::UnknownApp(id)));
    }
}
