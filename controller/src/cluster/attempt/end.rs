//! Step 6: how an attempt ends, its own or one that was found.

use std::time::Duration;

use futures_util::future::join_all;
use reveille_core::control::AttemptOutcome;
use tokio::time::Instant;

use super::{Attempt, check::Abort};
use crate::{
    cluster::{
        fleet::Member,
        jitter::jittered,
        traits::{AnnounceError, Announcement, AttemptEnd, ScaleError},
    },
    sleep::SleepOutcome,
};

/// The pauses between tries to find out how an attempt ended.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// For how long an end that was found is tried to be found out at a stretch. Then the caller looks at the app anew: what it
/// was asked to do may be another thing by now.
const SETTLE_FOR: Duration = Duration::from_secs(30);

/// How an attempt is found to have ended.
enum Found {
    /// 0 replicas are wanted.
    Zero,
    /// Some are wanted, and one serves: nothing was committed, or the app was woken since and the new ones serve already.
    Serves,
    /// Some are wanted and none serves: it was committed, and the app was woken since.
    Woken,
}

impl Attempt<'_> {
    /// 6a. Whoever is not told, or comes too late, finds 0 by itself when its lease ends.
    pub(super) async fn committed(self) -> AttemptEnd {
        self.tell_all(AttemptOutcome::Asleep).await;
        match self.app.announce(Announcement::Asleep { epoch: self.epoch }).await {
            Ok(()) => AttemptEnd::Asleep,
            Err(AnnounceError::Conflict) => {
                tracing::info!(app = %self.app.id(), epoch = self.epoch, "that it sleeps was announced by somebody else");
                AttemptEnd::Asleep
            }
            Err(error @ AnnounceError::Unknown(_)) => AttemptEnd::Unsettled(error.to_string()),
        }
    }

    /// 6b. First the announcement, then the gates: an activator that starts in between goes by it.
    pub(super) async fn call_off(self, abort: Abort) -> AttemptEnd {
        match self.app.announce(Announcement::Awake { epoch: self.epoch }).await {
            // If somebody else has ended this attempt, what is certain of it stays so.
            Ok(()) | Err(AnnounceError::Conflict) => {
                self.tell_all(AttemptOutcome::Awake).await;
                AttemptEnd::Aborted(abort.outcome(), abort.to_string())
            }
            Err(error @ AnnounceError::Unknown(_)) => AttemptEnd::Unsettled(format!("{abort}; {error}")),
        }
    }

    /// 6c, of its own attempt. It does not end before it is settled: until then every lease has to be renewed.
    pub(super) async fn settle(self, known: Vec<Member>) -> AttemptEnd {
        let found = self.renewing(known, self.find_out(None)).await;
        self.conclude(found).await
    }

    /// 6c, of an attempt whose controller is gone.
    pub(super) async fn settle_found(self) -> AttemptEnd {
        let found = self.renewing(Vec::new(), self.find_out(Some(Instant::now() + SETTLE_FOR))).await;
        self.conclude(found).await
    }

    async fn conclude(self, found: Result<Found, String>) -> AttemptEnd {
        let (announcement, end) = match found {
            Err(why) => return AttemptEnd::Unsettled(why),
            Ok(Found::Zero) => return self.committed().await,
            Ok(Found::Woken) => (Announcement::Asleep { epoch: self.epoch }, AttemptEnd::Asleep),
            Ok(Found::Serves) => {
                let why = "its replicas were not set to 0, or were raised again since".to_owned();
                let end = AttemptEnd::Aborted(SleepOutcome::AbortedConflict, why);
                (Announcement::Awake { epoch: self.epoch }, end)
            }
        };
        // No gate is opened: it may have been committed, and then the slices that an activator knows may be those of before.
        // Each finds out by itself when its lease ends.
        match self.app.announce(announcement).await {
            Ok(()) | Err(AnnounceError::Conflict) => end,
            Err(error @ AnnounceError::Unknown(_)) => AttemptEnd::Unsettled(error.to_string()),
        }
    }

    /// Fences, reads the count, then lists what serves; each until it is done, in that order.
    async fn find_out(self, until: Option<Instant>) -> Result<Found, String> {
        let (namespace, target, scales) = (&*self.app.id().namespace, self.app.target(), &self.world.scales);
        self.insist(until, || async {
            match scales.fence(namespace, target).await {
                // What is gone takes no commit: another of its name has another version.
                Ok(()) | Err(ScaleError::NotFound(_)) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        let count = || async {
            match scales.get(namespace, target).await {
                Ok(scale) => Ok(Some(scale.replicas)),
                Err(ScaleError::NotFound(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        if self.insist(until, count).await? == Some(0) {
            return Ok(Found::Zero);
        }
        let serves = self.insist(until, || self.app.serves()).await?;
        Ok(if serves { Found::Serves } else { Found::Woken })
    }

    /// Tries again until it succeeds, or the time is over.
    async fn insist<T, F: Future<Output = Result<T, String>>>(
        self,
        until: Option<Instant>,
        mut what: impl FnMut() -> F,
    ) -> Result<T, String> {
        let mut pause = FIRST_PAUSE;
        loop {
            let why = match what().await {
                Ok(done) => return Ok(done),
                Err(why) => why,
            };
            if until.is_some_and(|until| Instant::now() + pause >= until) {
                return Err(why);
            }
            tracing::warn!(app = %self.app.id(), epoch = self.epoch, why, "how its attempt to sleep ended is not known yet");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn tell_all(self, outcome: AttemptOutcome) {
        let members = match self.world.fleet.list().await {
            Ok(members) => members,
            Err(why) => {
                return tracing::warn!(app = %self.app.id(), why, "no activator is told how its attempt to sleep ended");
            }
        };
        let told = join_all(
            members.iter().map(|member| self.world.fleet.open(member, self.app.id(), self.epoch, outcome)),
        );
        for error in told.await.into_iter().filter_map(Result::err) {
            tracing::debug!(app = %self.app.id(), epoch = self.epoch, %error, "it is not told how the attempt ended");
        }
    }
}
