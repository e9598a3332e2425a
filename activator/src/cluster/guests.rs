//! Connections to the control port from callers that have not shown who they are.
//!
//! There is room for few of them, and each has little time. When one more comes, the oldest has to go: a crowd of
//! strangers that say nothing cannot keep the controller out, whose connections leave this room with their first request.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// Strangers at a time.
const MAX_STRANGERS: usize = 64;
/// How long somebody may stay a stranger, the TLS handshake included.
const STRANGER_FOR: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Default)]
pub(super) struct Guests(Mutex<VecDeque<Arc<Guest>>>);

#[derive(Default)]
struct Guest {
    /// Somebody newer needs the place.
    sent_away: Notify,
    /// It has shown who it is.
    known: Notify,
}

/// A connection, for as long as it lives.
#[derive(Clone)]
pub(super) struct Visit {
    guests: Arc<Guests>,
    guest: Arc<Guest>,
}

impl Guests {
    /// Somebody is at the door.
    pub(super) fn enter(self: &Arc<Self>) -> Visit {
        let guest = Arc::new(Guest::default());
        let mut strangers = self.strangers();
        if strangers.len() == MAX_STRANGERS
            && let Some(oldest) = strangers.pop_front()
        {
            oldest.sent_away.notify_one();
        }
        strangers.push_back(guest.clone());
        Visit { guests: self.clone(), guest }
    }

    fn leave(&self, guest: &Arc<Guest>) {
        self.strangers().retain(|stranger| !Arc::ptr_eq(stranger, guest));
    }

    fn strangers(&self) -> MutexGuard<'_, VecDeque<Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// It has shown who it is, and is welcome for as long as it likes.
    pub(super) fn is_known(&self) {
        self.guests.leave(&self.guest);
        self.guest.known.notify_one();
    }

    /// Serves it to its end, or until it has to go: too long a stranger, or the oldest of too many.
    pub(super) async fn during<T>(
        &self,
        serving: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let too_long = async {
            tokio::select! {
                () = self.guest.known.notified() => std::future::pending().await,
                () = self.guest.sent_away.notified() => "there are too many that have not shown a token",
                () = tokio::time::sleep(STRANGER_FOR) => "it has not shown a token in time",
            }
        };
        let served = tokio::select! {
            served = serving => served,
            why = too_long => Err(why.to_owned()),
        };
        self.guests.leave(&self.guest);
        served
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_little_time_and_somebody_known_has_all() {
        let guests = Arc::new(Guests::default());
        let began = Instant::now();
        let error = guests.enter().during(pending::<Result<(), _>>()).await.unwrap_err();
        assert!(error.contains("in time"), "{error}");
        assert_eq!(began.elapsed().as_secs(), STRANGER_FOR.as_secs());
        let known = guests.enter();
        known.is_known();
        assert!(timeout(100 * STRANGER_FOR, known.during(pending::<Result<(), _>>())).await.is_err());
        assert_eq!(guests.enter().during(ready(Ok(7))).await, Ok(7));
        assert!(guests.strangers().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_stranger_makes_room_and_nobody_known_does() {
        let guests = Arc::new(Guests::default());
        let known = guests.enter();
        known.is_known();
        let strangers: Vec<_> = (0..MAX_STRANGERS).map(|_| guests.enter()).collect();
        let [oldest, second, ..] = &strangers[..] else { panic!("there are many") };
        assert!(oldest.during(pending::<Result<(), _>>()).now_or_never().is_none());
        let newest = guests.enter();
        let error = oldest.during(pending::<Result<(), _>>()).now_or_never();
        assert!(error.is_some_and(|ended| ended.unwrap_err().contains("too many")));
        for visit in [&known, second, &newest] {
            assert!(visit.during(pending::<Result<(), _>>()).now_or_never().is_none());
        }
    }
}
