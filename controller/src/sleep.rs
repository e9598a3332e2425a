//! The sleep protocol: how an app falls asleep without losing a request.
//!
//! 1. Read the version of the app's replicas.
//! 2. *Announce* the phase `FallingAsleep`, so that an activator that comes now holds.
//! 3. Lead all traffic to the activators.
//! 4. *Shut* every gate under a lease; each activator answers with what it counted as of that instant.
//! 5. *Check*: an idle app's counts are those that were decided on. For a sleep by hand, wait until nothing is
//!    in service; held requests wait on and wake the app again.
//! 6. *Stop*: set the replicas to 0, provided that the version is still the same.
//!
//! Invariant: whatever happens after step 1, the lease ends. [`Lease`] sees to it, also when the caller is
//! dropped in the middle: the app is announced awake again unless its replicas were committed to 0, and the
//! gates open. If the commit had gone through unseen, that is harmless: the announcement is void, and a gate
//! without endpoints stays shut.

use std::{sync::Arc, time::Duration};

use reveille_core::{activity::Activity, app::AppId, decide::Report, invariants, phase::Phase};
use tokio::time::Instant;

use crate::traits::{BoxFuture, CommitError, Fleet, FleetError, Traffic, Workloads};

/// How long a shut holds if nobody renews it: longer than the protocol takes, short enough for a client to
/// wait out a controller that died.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often the shut is renewed while a sleep by hand waits.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long a sleep by hand waits for work in flight.
pub const WAIT_FOR_WORK: Duration = Duration::from_secs(10);
/// How often the activators are asked whether that work has ended.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Why an app is put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was idle, going by these reports, one of each activator.
    Idle {
        /// In the order in which the fleet names its activators.
        reports: Vec<Activity>,
    },
    /// Somebody asked for it.
    ByHand {
        /// Whether the next request wakes it.
        wake_on_request: bool,
    },
}

/// Tells everyone where the app stands while the protocol runs.
pub trait Announce: Send + Sync {
    /// The app is `FallingAsleep` from now on. The epoch names this attempt.
    ///
    /// # Errors
    /// [`Abort::NotAwake`] if it is not awake (another attempt may be under way), [`Abort::Gone`].
    fn falling_asleep<'a>(
        &'a self,
        app: &'a AppId,
        epoch: u64,
        occasion: &'a Occasion,
    ) -> BoxFuture<'a, Result<(), Abort>>;

    /// The attempt of that epoch was called off: the app is `Awake` as before. Does nothing if the app is no
    /// longer in that attempt.
    fn awake_again<'a>(&'a self, app: &'a AppId, epoch: u64) -> BoxFuture<'a, ()>;
}

/// What the protocol acts on.
#[derive(Clone)]
pub struct World {
    /// The activators.
    pub fleet: Arc<dyn Fleet>,
    /// The replicas.
    pub workloads: Arc<dyn Workloads>,
    /// Who receives the traffic.
    pub traffic: Arc<dyn Traffic>,
    /// The phase that everyone sees.
    pub announce: Arc<dyn Announce>,
}

/// Why an app did not fall asleep. It is as awake as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// Somebody called since it was found idle.
    #[error("somebody called meanwhile")]
    Called,
    /// Work in flight did not end in time.
    #[error("in flight for more than {} s, requests or open streams and connections: {in_service}", waited.as_secs())]
    InUse {
        /// Requests that its endpoints are serving.
        in_service: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Its replicas changed meanwhile.
    #[error("{}", CommitError::Conflict)]
    Conflict,
    /// An activator's count is not known.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// It was not awake to begin with.
    #[error("it is {0}")]
    NotAwake(Phase),
    /// There is no such app.
    #[error("{}", CommitError::Gone)]
    Gone,
}

impl Abort {
    /// How the attempt counts; `None` if there was nothing to attempt.
    pub fn outcome(&self) -> Option<SleepOutcome> {
        match self {
            Self::Called | Self::InUse { .. } => Some(SleepOutcome::AbortedBusy),
            Self::Conflict => Some(SleepOutcome::AbortedConflict),
            Self::Fleet(_) => Some(SleepOutcome::AbortedFleet),
            Self::NotAwake(_) | Self::Gone => None,
        }
    }
}

impl From<CommitError> for Abort {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::Conflict,
            CommitError::Gone => Self::Gone,
        }
    }
}

/// How an attempt to put an app to sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepOutcome {
    /// Its replicas are committed to 0.
    Slept,
    /// Somebody called, or work did not end.
    AbortedBusy,
    /// Its replicas changed meanwhile.
    AbortedConflict,
    /// An activator did not answer.
    AbortedFleet,
}

impl SleepOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Slept, Self::AbortedBusy, Self::AbortedConflict, Self::AbortedFleet];

    /// The value of the metric label `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slept => "slept",
            Self::AbortedBusy => "aborted_busy",
            Self::AbortedConflict => "aborted_conflict",
            Self::AbortedFleet => "aborted_fleet",
        }
    }
}

/// Puts the app to sleep. Returns once its replicas are committed to 0, with the lease that still shuts the
/// gates: the caller ends it once the activators must have heard that the endpoints are gone, at the latest
/// when the replicas are.
///
/// # Errors
/// An [`Abort`]; the gates are open again.
pub async fn fall_asleep(
    world: &World,
    app: &AppId,
    epoch: u64,
    occasion: &Occasion,
) -> Result<Lease, Abort> {
    let version = world.workloads.version(app).await.ok_or(Abort::Gone)?;
    let mut lease = Lease { world: world.clone(), app: app.clone(), epoch, stands: Stands::Announced };
    if let Err(refused) = world.announce.falling_asleep(app, epoch, occasion).await {
        lease.stands = Stands::Ended;
        return Err(refused);
    }
    match shut_check_stop(world, app, epoch, occasion, version).await {
        Ok(()) => {
            lease.stands = Stands::Committed;
            Ok(lease)
        }
        Err(abort) => {
            lease.end().await;
            Err(abort)
        }
    }
}

async fn shut_check_stop(
    world: &World,
    app: &AppId,
    epoch: u64,
    occasion: &Occasion,
    version: u64,
) -> Result<(), Abort> {
    world.traffic.to_activators(app).await;
    match occasion {
        Occasion::Idle { reports } => {
            let counted = world.fleet.shut(app, epoch, LEASE).await?;
            if !invariants::nothing_passed_anywhere(reports, &counted) {
                return Err(Abort::Called);
            }
        }
        Occasion::ByHand { .. } => wait_for_work(world, app, epoch).await?,
    }
    Ok(world.workloads.set_zero(app, version).await?)
}

/// Keeps the gates shut until nothing is in service any more.
async fn wait_for_work(world: &World, app: &AppId, epoch: u64) -> Result<(), Abort> {
    let start = Instant::now();
    let give_up = start + WAIT_FOR_WORK;
    loop {
        // The answer to a shut is what counts; the reports in between only say when to ask again.
        let counted = world.fleet.shut(app, epoch, LEASE).await?;
        let in_service: u64 = counted.iter().map(Activity::in_service).sum();
        if in_service == 0 {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(Abort::InUse { in_service, waited: start.elapsed() });
        }
        let renew = give_up.min(Instant::now() + RENEW_EVERY);
        while Instant::now() < renew {
            tokio::time::sleep_until(renew.min(Instant::now() + POLL_EVERY)).await;
            let quiet = |report: &Report| matches!(report, Report::Said { activity, .. } if activity.in_service() == 0);
            if world.fleet.reports(app).await.iter().all(quiet) {
                break;
            }
        }
    }
}

/// The shut of an app's gates. Ends when [`end`](Self::end) is called or it is dropped.
#[must_use = "dropping it opens the gates"]
pub struct Lease {
    world: World,
    app: AppId,
    epoch: u64,
    stands: Stands,
}

/// How far the attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// It may have been announced, and gates may be shut.
    Announced,
    /// The replicas are committed to 0.
    Committed,
    /// Nothing is left to undo.
    Ended,
}

impl Lease {
    /// Opens the gates, after announcing the app awake again if its replicas were not committed to 0.
    pub async fn end(mut self) {
        if let Some(undo) = self.undo() {
            // In a task of its own: once begun it is brought to its end, even if this future is dropped.
            // It can only fail by a panic, which the runtime has reported.
            let _ = tokio::spawn(undo).await;
        }
    }

    fn undo(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let stands = std::mem::replace(&mut self.stands, Stands::Ended);
        let (world, app, epoch) = (self.world.clone(), self.app.clone(), self.epoch);
        (stands != Stands::Ended).then_some(async move {
            if stands == Stands::Announced {
                world.announce.awake_again(&app, epoch).await;
            }
            world.fleet.open(&app, epoch).await;
            if stands == Stands::Announced {
                world.traffic.to_app(&app).await;
            }
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(undo), Ok(runtime)) = (self.undo(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(undo);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({} epoch {} {:?})", self.app, self.epoch, self.stands)
    }
}

#[cfg(test)]
#[path = "sleep_tests.rs"]
mod tests;
