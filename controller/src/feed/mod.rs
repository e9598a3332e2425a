//! What happens to apps, in order, for people who watch: phases, wakes' steps, counts of requests.
//!
//! The last events are kept in a ring, and each reader has its place in it. Nobody who writes ever waits for a reader:
//! one that falls behind by a whole ring is let go, and comes back by the id of the last event that it has. If that is
//! still in the ring, it goes on where it was; else, or if the id is of another run of Reveille, it begins anew with
//! every app as it stands.
//!
//! | module | holds |
//! |---|---|
//! | `change` | which kind of event a new status is |
//! | `history` | an app's last wakes and errors |

mod change;
mod history;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use reveille_core::{
    api::{AppEvent, AppGone, AppHistory, AppStatus},
    app::AppId,
};
use tokio::sync::watch;

pub use self::change::Kind;
use self::{change::kind_of, history::History};

/// How many events are kept: minutes of a busy machine, a few MiB at most.
pub const RING: usize = 2048;

/// How many may read at a time, so that streams do not take all connections of the admin port.
pub const MAX_READERS: usize = 128;

/// See the [module](self).
#[derive(Debug)]
pub struct Feed {
    /// Tells the ids of this run from those of another one.
    boot: u32,
    /// Guards the ring and what each app was last said to be, so that both agree. A plain lock, held for a comparison
    /// and a push.
    log: Mutex<Log>,
    /// The number of the next event; `None` once the feed is closed. Readers wait for it to change.
    head: watch::Sender<Option<u64>>,
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Log {
    /// The number of the oldest event in the ring.
    oldest: u64,
    ring: VecDeque<Arc<Event>>,
    last: HashMap<AppId, (Timestamp, AppStatus)>,
    histories: HashMap<AppId, History>,
}

/// Something that happened to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// To be sent back as `Last-Event-ID`.
    pub id: String,
    /// What kind of thing.
    pub kind: Kind,
    /// To which app.
    pub app: AppId,
    /// [`AppEvent`], or [`AppGone`] for [`Kind::Gone`], as JSON.
    pub data: String,
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where it was.
    Resumed,
    /// With the state of all apps, to be told under this id before anything else.
    Anew {
        /// What the reader sends as `Last-Event-ID` if nothing happens meanwhile.
        id: String,
    },
}

/// Why nobody more may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReader {
    /// There are [`MAX_READERS`].
    #[error("there are {MAX_READERS} streams of events already; close one, or try again later")]
    TooMany,
    /// Reveille is stopping.
    #[error("Reveille is stopping")]
    Closed,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            boot: fastrand::u32(..),
            log: Mutex::default(),
            head: watch::Sender::new(Some(0)),
            readers: AtomicUsize::new(0),
        }
    }
}

impl Feed {
    /// Nothing has happened yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The app stands like this at `time`. Does nothing if that is no news.
    pub fn note(&self, time: Timestamp, status: AppStatus) {
        let mut log = self.lock();
        let before = log.last.get(&status.id);
        let Some(kind) = kind_of(before.map(|(time, status)| (*time, status)), (time, &status)) else {
            return;
        };
        let app = status.id.clone();
        log.histories.entry(app.clone()).or_default().note(time, &status);
        let event = AppEvent { time, app: status };
        self.push(&mut log, kind, &app, &event);
        log.last.insert(app, (time, event.app));
    }

    /// There is no such app any more.
    pub fn gone(&self, time: Timestamp, app: &AppId) {
        let mut log = self.lock();
        log.histories.remove(app);
        if log.last.remove(app).is_some() {
            self.push(&mut log, Kind::Gone, app, &AppGone { time, app: app.clone() });
        }
    }

    /// Forgets everything, and lets every reader go: each begins anew when it comes back.
    pub fn begin_anew(&self) {
        let mut log = self.lock();
        let Some(number) = *self.head.borrow() else { return };
        log.ring.clear();
        log.last.clear();
        log.histories.clear();
        log.oldest = number + 1;
        self.head.send_if_modified(|head| head.as_mut().map(|head| *head = number + 1).is_some());
    }

    /// What happened to an app lately; nothing of one that is not known.
    pub fn history(&self, app: &AppId) -> AppHistory {
        self.lock().histories.get(app).map(History::told).unwrap_or_default()
    }

    /// Whether anybody reads.
    pub fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    /// Ends every reader, and lets nobody read any more.
    pub fn close(&self) {
        self.head.send_replace(None);
    }

    /// Reads on after the event of that id, if it can; else from now on.
    ///
    /// # Errors
    /// [`NoReader`].
    pub fn reader(self: &Arc<Self>, after: Option<&str>) -> Result<(Reader, Start), NoReader> {
        let log = self.lock();
        let Some(head) = *self.head.borrow() else { return Err(NoReader::Closed) };
        if self.readers.fetch_add(1, Ordering::Relaxed) >= MAX_READERS {
            self.readers.fetch_sub(1, Ordering::Relaxed);
            return Err(NoReader::TooMany);
        }
        let resumed = after.and_then(|id| self.number(id)).map(|number| number.wrapping_add(1));
        let resumed = resumed.filter(|next| (log.oldest..=head).contains(next));
        let start = match resumed {
            Some(_) => Start::Resumed,
            None => Start::Anew { id: self.id(head.wrapping_sub(1)) },
        };
        let reader =
            Reader { feed: Arc::clone(self), next: resumed.unwrap_or(head), head: self.head.subscribe() };
        Ok((reader, start))
    }

    fn push(&self, log: &mut Log, kind: Kind, app: &AppId, data: &impl serde::Serialize) {
        let Some(number) = *self.head.borrow() else { return };
        let data = serde_json::to_string(data).expect("a status is plain JSON");
        log.ring.push_back(Arc::new(Event { id: self.id(number), kind, app: app.clone(), data }));
        if log.ring.len() > RING {
            log.ring.pop_front();
            log.oldest += 1;
        }
        // Not over a close that came in between.
        self.head.send_if_modified(|head| head.as_mut().map(|head| *head = number + 1).is_some());
    }

    fn id(&self, number: u64) -> String {
        format!("{:08x}-{:x}", self.boot, number)
    }

    /// The number in an id of this run. The one before the first event is `u64::MAX`, which is followed by 0.
    fn number(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        (u32::from_str_radix(boot, 16) == Ok(self.boot)).then_some(number)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who reads.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<Feed>,
    next: u64,
    head: watch::Receiver<Option<u64>>,
}

impl Reader {
    /// The next event, when there is one. `None`: the feed is closed, or the reader fell behind and has to begin anew.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        let next = self.next;
        let head =
            self.head.wait_for(|head| head.is_none_or(|head| head > next)).await.ok().and_then(|head| *head);
        head?;
        let log = self.feed.lock();
        let place = usize::try_from(next.checked_sub(log.oldest)?).ok()?;
        let event = Arc::clone(log.ring.get(place)?);
        self.next += 1;
        Some(event)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.readers.fetch_sub(1, Ordering::Relaxed);
    }
}
