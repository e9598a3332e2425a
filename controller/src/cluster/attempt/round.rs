//! A round: every activator that exists is listed and shut, and has answered.

use std::convert::Infallible;

use futures_util::future::try_join_all;
use reveille_core::control::{ActivityReport, Shut};
use tokio::time::Instant;

use super::{
    Attempt, Occasion,
    check::{self, Abort},
};
use crate::{
    cluster::fleet::Member,
    sleep::{LEASE, RENEW_EVERY, WAIT_FOR_WORK},
};

/// How often it is looked whether work in service has ended.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// What a round brought.
#[derive(Debug)]
pub(super) struct Round {
    /// Before the list was asked for: no lease that it gave, and none that an activator gave itself that is not in the list,
    /// began before this.
    pub(super) began: Instant,
    /// What each counted as it was shut.
    pub(super) counted: Vec<(Member, ActivityReport)>,
}

impl Round {
    pub(super) fn members(&self) -> Vec<Member> {
        self.counted.iter().map(|(member, _)| member.clone()).collect()
    }

    fn in_service(&self) -> u64 {
        self.counted.iter().map(|(_, counted)| counted.activity().in_service()).sum()
    }
}

impl Attempt<'_> {
    pub(super) fn shut(self) -> Shut {
        Shut { epoch: self.epoch, lease_ms: LEASE.as_millis().try_into().unwrap_or(u64::MAX) }
    }

    /// Lists and shuts all of them, in parallel. The first that does not answer ends it.
    pub(super) async fn round(self) -> Result<Round, Abort> {
        let began = Instant::now();
        let members = self.world.fleet.list().await.map_err(Abort::Unlisted)?;
        if members.is_empty() {
            return Err(Abort::NoActivator);
        }
        let shut = self.shut();
        let shuts = members.into_iter().map(|member| {
            let shut = &shut;
            async move {
                let counted = self.world.fleet.shut(&member, self.app.id(), shut).await?;
                Ok::<_, Abort>((member, counted))
            }
        });
        Ok(Round { began, counted: try_join_all(shuts).await? })
    }

    /// Keeps every gate shut while `work` goes on, and ends it as soon as it is in vain.
    pub(super) async fn holding<T>(
        self,
        occasion: &Occasion,
        work: impl Future<Output = Result<T, Abort>>,
    ) -> Result<T, Abort> {
        let keep = async {
            loop {
                let round = self.round().await?;
                if let Occasion::Idle(evidence) = occasion {
                    check::nothing_passed(&evidence.reports, &round.counted)?;
                }
                tokio::time::sleep_until(round.began + RENEW_EVERY).await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            kept = keep => {
                let abort: Result<Infallible, Abort> = kept;
                match abort { Err(abort) => Err(abort), Ok(never) => match never {} }
            }
        }
    }

    /// Rounds until nothing is in service any more. Held requests wait on, and wake the app again.
    pub(super) async fn until_unused(self) -> Result<Round, Abort> {
        let start = Instant::now();
        loop {
            let round = self.round().await?;
            let in_service = round.in_service();
            if in_service == 0 {
                return Ok(round);
            }
            if start.elapsed() >= WAIT_FOR_WORK {
                return Err(Abort::InUse { in_service, waited: start.elapsed() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
