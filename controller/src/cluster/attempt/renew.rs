//! Renewing every lease while something is waited for whose outcome decides what becomes of the gates.
//!
//! Also those of activators that have joined since. What one of them answers, or whether it does, changes nothing any more:
//! an activator that cannot be reached loses its lease and settles it by itself.

use std::convert::Infallible;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior};

use super::Attempt;
use crate::{cluster::fleet::Member, sleep::RENEW_EVERY};

impl Attempt<'_> {
    /// Does `work` and renews meanwhile, `known` first. The work begins before the first renewal is sent.
    pub(super) async fn renewing<T>(self, known: Vec<Member>, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.renew(known) => match never {},
        }
    }

    async fn renew(self, known: Vec<Member>) -> Infallible {
        let shut = self.shut();
        let mut members = known;
        let mut every = tokio::time::interval_at(Instant::now(), RENEW_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Neither a list nor a shut that takes its time holds up the renewal of the others.
        let mut lists = FuturesUnordered::new();
        let mut shuts = FuturesUnordered::new();
        let renew = |member: Member| {
            let shut = &shut;
            async move { self.world.fleet.shut(&member, self.app.id(), shut).await }
        };
        loop {
            tokio::select! {
                _ = every.tick() => {
                    if lists.is_empty() {
                        lists.push(self.world.fleet.list());
                    }
                    shuts.extend(members.iter().cloned().map(renew));
                }
                Some(listed) = lists.next() => match listed {
                    Ok(listed) => {
                        let joined = listed.iter().filter(|member| !members.contains(member)).cloned();
                        shuts.extend(joined.map(renew));
                        members = listed;
                    }
                    Err(why) => tracing::warn!(app = %self.app.id(), why, "leases of those that are known are renewed"),
                },
                Some(answer) = shuts.next() => if let Err(error) = answer {
                    tracing::debug!(app = %self.app.id(), epoch = self.epoch, %error, "a lease is not renewed");
                },
            }
        }
    }
}
