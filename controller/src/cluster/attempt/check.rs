//! Why an attempt is called off, and the comparison that finds out.

use std::time::Duration;

use reveille_core::{control::ActivityReport, invariants};

use crate::{
    cluster::fleet::{ControlError, Member},
    sleep::SleepOutcome,
};

/// Why an attempt is called off. Nothing was committed, for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Abort {
    /// Somebody called.
    #[error("somebody called meanwhile, by activator {0}")]
    Called(String),
    /// Somebody called a pod.
    #[error("somebody called meanwhile: {0}")]
    CalledDirectly(String),
    /// What the pods count is not known.
    #[error("what its pods count is not known: {0}")]
    Unscraped(String),
    /// Work did not end in time.
    #[error("in flight for more than {} s, requests or open streams and connections: {in_service}", waited.as_secs())]
    InUse {
        /// How many.
        in_service: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// An activator did not do what it was asked for.
    #[error(transparent)]
    Fleet(#[from] ControlError),
    /// Which activators there are is not known.
    #[error("{0}")]
    Unlisted(String),
    /// There is none that would wake the app again.
    #[error("there is no activator")]
    NoActivator,
    /// One is not one of those that the decision was made on.
    #[error("activator {0} has joined meanwhile")]
    Joined(String),
    /// One has begun to count anew.
    #[error("activator {0} has started again meanwhile")]
    Restarted(String),
    /// One is gone, and may have served before.
    #[error("activator {0} has left meanwhile")]
    Left(String),
    /// Leases may end before a commit arrives.
    #[error("shutting the gates took {} ms, which is too long", .0.as_millis())]
    Late(Duration),
    /// The pods could not be taken off the direct path.
    #[error("its pods could not be taken off the direct path: {0}")]
    Path(String),
    /// Somebody does not want it to sleep any more.
    #[error("it is to be awake, is deleted or suspended")]
    Unwanted,
    /// The replicas were changed.
    #[error("its workload was changed meanwhile")]
    Conflict,
    /// The commit was refused.
    #[error("its replicas could not be set to 0: {0}")]
    Refused(String),
}

impl Abort {
    /// How the attempt counts.
    pub(super) fn outcome(&self) -> SleepOutcome {
        match self {
            Self::Called(_) | Self::CalledDirectly(_) | Self::Unscraped(_) | Self::InUse { .. } => {
                SleepOutcome::AbortedBusy
            }
            Self::Fleet(_)
            | Self::Unlisted(_)
            | Self::NoActivator
            | Self::Joined(_)
            | Self::Restarted(_)
            | Self::Left(_)
            | Self::Late(_) => SleepOutcome::AbortedFleet,
            Self::Path(_) | Self::Unwanted | Self::Conflict | Self::Refused(_) => {
                SleepOutcome::AbortedConflict
            }
        }
    }
}

/// The check of step 4: those who were asked at the decision and those who were shut are the same runs of the same
/// activators, and nothing passed at any.
///
/// One that was not there at the decision calls the attempt off even if it has counted nothing: it may have served and
/// started again since.
pub(super) fn nothing_passed(
    reported: &[(String, ActivityReport)],
    at_shut: &[(Member, ActivityReport)],
) -> Result<(), Abort> {
    for (member, counted) in at_shut {
        let Some((_, before)) = reported.iter().find(|(name, _)| *name == member.name) else {
            return Err(Abort::Joined(member.name.clone()));
        };
        if before.boot != counted.boot {
            return Err(Abort::Restarted(member.name.clone()));
        }
        if !invariants::nothing_passed(&before.activity(), &counted.activity()) {
            return Err(Abort::Called(member.name.clone()));
        }
    }
    let is_missing = |name: &&String| !at_shut.iter().any(|(member, _)| member.name == **name);
    match reported.iter().map(|(name, _)| name).find(is_missing) {
        Some(name) => Err(Abort::Left(name.clone())),
        None => Ok(()),
    }
}
