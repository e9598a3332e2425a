//! The attempt to put an app of a cluster to sleep: the controller's part of the protocol of `tests/model`, step by step.
//!
//! | step | where |
//! |---|---|
//! | 1 version, 2 announce | here |
//! | 3 direct path (Bypass) | `path` |
//! | 4 shut and check | `round`, `check` |
//! | 5 commit | here |
//! | 6a committed, 6b called off, 6c unknown | `end` |
//!
//! Time. A lease holds for [`LEASE`] from when an activator got it, so for that long from before it was sent. An activator that
//! hears of the announcement, or starts while it stands, has a lease of its own. So from the announcement on all are renewed
//! every second: by rounds that check what they answer, until the commit is sent; then by `renew`, which only renews. Every
//! round lists the activators anew, and only the last one before the commit counts: its list, its answers, its time.
//!
//! Dropping the future of an attempt ends it as the controller's death would: nothing goes on in the background, the leases
//! run out, and whoever leads next finds the app falling asleep and settles it.

mod check;
mod end;
#[cfg(test)]
pub(super) mod fake;
mod path;
mod renew;
mod round;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use reveille_core::resource::TrafficMode;
use tokio::time::Instant;

use self::check::Abort;
use super::{
    fleet::Fleet,
    scrape::Scraper,
    traits::{
        AnnounceError, Announcement, AttemptEnd, Attempts, BoxFuture, Commit, Occasion, Scale, Scales,
        Sleeper,
    },
};
use crate::sleep::{LEASE, SleepOutcome};

/// A commit is sent only if no lease can end within this: what lies between the look at the clock and the wire.
const MARGIN: Duration = Duration::from_secs(1);

/// The [`Attempts`] of a cluster.
pub struct ClusterAttempts {
    scales: Arc<dyn Scales>,
    fleet: Arc<dyn Fleet>,
    scraper: Arc<dyn Scraper>,
    /// How long nodes take to learn of changed endpoints.
    sleep_delay: Duration,
}

impl ClusterAttempts {
    /// Attempts on these replicas and activators. No node takes longer than `sleep_delay` to learn of changed endpoints.
    pub fn new(
        scales: Arc<dyn Scales>,
        fleet: Arc<dyn Fleet>,
        scraper: Arc<dyn Scraper>,
        sleep_delay: Duration,
    ) -> Self {
        Self { scales, fleet, scraper, sleep_delay }
    }
}

impl Attempts for ClusterAttempts {
    fn sleep<'a>(
        &'a self,
        app: &'a dyn Sleeper,
        epoch: u64,
        occasion: Occasion,
    ) -> BoxFuture<'a, AttemptEnd> {
        Box::pin(async move { Attempt { world: self, app, epoch }.run(&occasion).await })
    }

    fn settle<'a>(&'a self, app: &'a dyn Sleeper, epoch: u64) -> BoxFuture<'a, AttemptEnd> {
        Box::pin(async move { Attempt { world: self, app, epoch }.settle_found().await })
    }
}

/// One attempt, by its epoch.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    world: &'a ClusterAttempts,
    app: &'a dyn Sleeper,
    epoch: u64,
}

impl Attempt<'_> {
    async fn run(self, occasion: &Occasion) -> AttemptEnd {
        let (namespace, target) = (&*self.app.id().namespace, self.app.target());
        // Before anything else: whatever is written from here on makes the commit conflict.
        let scale = match self.world.scales.get(namespace, target).await {
            Ok(scale) => scale,
            Err(error) => return nothing_done(format!("its replicas are not known: {error}")),
        };
        if scale.replicas == 0 {
            return nothing_done("it has no replicas to begin with".to_owned());
        }
        let falling = Announcement::FallingAsleep { epoch: self.epoch, former: scale.replicas };
        match self.app.announce(falling).await {
            Ok(()) => {}
            Err(error @ AnnounceError::Conflict) => return nothing_done(error.to_string()),
            Err(error @ AnnounceError::Unknown(_)) => return AttemptEnd::Unsettled(error.to_string()),
        }
        let shut = tokio::select! {
            biased;
            () = self.app.is_unwanted() => Err(Abort::Unwanted),
            shut = self.shut_everything(occasion, &scale) => shut,
        };
        let (version, shut) = match shut {
            Ok(shut) => shut,
            Err(abort) => return self.call_off(abort).await,
        };
        if Instant::now() + MARGIN >= shut.began + LEASE {
            return self.call_off(Abort::Late(shut.began.elapsed())).await;
        }
        let commit = self.world.scales.set(namespace, target, &version, 0);
        // First the commit, then the first renewal: nothing comes between the look at the clock and the wire.
        match self.renewing(shut.members(), commit).await {
            Commit::Done => self.committed().await,
            Commit::Conflict => self.call_off(Abort::Conflict).await,
            Commit::Refused(why) => self.call_off(Abort::Refused(why)).await,
            Commit::Unknown(why) => {
                tracing::warn!(app = %self.app.id(), epoch = self.epoch, why, "whether it was committed to sleep is not known");
                self.settle(shut.members()).await
            }
        }
    }

    /// Steps 3 and 4, and the version to commit over.
    async fn shut_everything(
        self,
        occasion: &Occasion,
        scale: &Scale,
    ) -> Result<(String, round::Round), Abort> {
        self.leave_direct_path(occasion).await?;
        let version = match self.app.mode() {
            TrafficMode::Proxy => scale.version.clone(),
            TrafficMode::Bypass => self.holding(occasion, self.version_again(scale)).await?,
        };
        let round = match occasion {
            Occasion::Idle(evidence) => {
                let round = self.round().await?;
                check::nothing_passed(&evidence.reports, &round.counted)?;
                round
            }
            Occasion::ByHand | Occasion::WakeFailed => self.until_unused().await?,
        };
        Ok((version, round))
    }

    /// Pods that leave the direct path are not ready any more, which their workload's status says: its version has moved, by
    /// this very attempt. It is read again, and announced again that the app falls asleep. Whoever settles this attempt
    /// meanwhile has read the status before that and so cannot announce an end: it fences once more, after this version.
    async fn version_again(self, before: &Scale) -> Result<String, Abort> {
        let scale = self.world.scales.get(&self.app.id().namespace, self.app.target()).await;
        let scale = scale.map_err(|error| Abort::Path(error.to_string()))?;
        if scale.replicas != before.replicas {
            return Err(Abort::Conflict);
        }
        let falling = Announcement::FallingAsleep { epoch: self.epoch, former: before.replicas };
        match self.app.announce(falling).await {
            Ok(()) => Ok(scale.version),
            Err(AnnounceError::Conflict) => Err(Abort::Conflict),
            Err(AnnounceError::Unknown(why)) => Err(Abort::Path(why)),
        }
    }
}

/// Before the announcement there is nothing to undo.
fn nothing_done(why: String) -> AttemptEnd {
    AttemptEnd::Aborted(SleepOutcome::AbortedConflict, why)
}
