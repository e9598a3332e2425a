//! Step 3: the pods leave the direct path, nodes hear of it, and what was on it comes to its end.
//!
//! A request that began just before moves no counter until it ends. Unless every pod shows what is in flight, the TTL is
//! waited for once more: that no request takes longer is what the user has said by setting it. Whoever puts the app to sleep by
//! hand does not wait for that: where pods do not show what is in flight it is given the time that is given to work by hand.

use std::time::Duration;

use reveille_core::{
    policy::Ttl,
    resource::{Scrape, TrafficMode},
};
use tokio::time::Instant;

use super::{Attempt, Occasion, check::Abort};
use crate::{
    cluster::{scrape, traits::Evidence},
    sleep::WAIT_FOR_WORK,
};

/// How often pods are asked whether work in flight has ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What every pod counted, by its name.
type Counters = Vec<(String, Vec<(String, String)>)>;

impl Attempt<'_> {
    /// Nothing to do unless traffic goes straight to the pods, but to look at what they count, if that is looked at.
    pub(super) async fn leave_direct_path(self, occasion: &Occasion) -> Result<(), Abort> {
        let is_bypass = self.app.mode() == TrafficMode::Bypass;
        if is_bypass {
            let leave = self.app.leave_direct_path(self.epoch);
            self.holding(occasion, async { leave.await.map_err(Abort::Path) }).await?;
            self.holding(occasion, pause(self.world.sleep_delay)).await?;
        }
        match (self.app.scrape(), occasion) {
            (Some(what), Occasion::Idle(evidence)) => {
                self.holding(occasion, self.quiet(what, evidence, is_bypass)).await
            }
            (what, Occasion::ByHand) if is_bypass => self.holding(occasion, self.until_not_busy(what)).await,
            _ => Ok(()),
        }
    }

    /// The counters are those of the decision, and stay so.
    async fn quiet(self, what: &Scrape, evidence: &Evidence, is_bypass: bool) -> Result<(), Abort> {
        let (counters, shows_in_flight) = self.scrape_again(what, &evidence.counters).await?;
        if !is_bypass || shows_in_flight {
            return Ok(());
        }
        let Ttl::After(ttl) = self.app.policy().idle.ttl else {
            return Err(Abort::Unscraped("its idle.ttl is never".to_owned()));
        };
        pause(ttl).await?;
        self.scrape_again(what, &counters).await.map(|_| ())
    }

    async fn scrape_again(self, what: &Scrape, before: &Counters) -> Result<(Counters, bool), Abort> {
        let samples = scrape::all(&*self.world.scraper, self.app, what).await.map_err(Abort::Unscraped)?;
        if samples.len() != before.len() {
            return Err(Abort::CalledDirectly("its pods are not those of before".to_owned()));
        }
        let (mut counters, mut shows_in_flight) = (Vec::new(), true);
        for (pod, sample) in samples {
            let sample = sample.map_err(Abort::Unscraped)?;
            if let Some(busy) = sample.busy {
                return Err(Abort::CalledDirectly(format!("pod {pod}: {busy}")));
            }
            let known = before.iter().find(|(name, _)| *name == pod);
            if !known.is_some_and(|(_, before)| scrape::stand_still(&what.format, before, &sample.counters)) {
                return Err(Abort::CalledDirectly(format!("what pod {pod} counts has moved")));
            }
            shows_in_flight &= sample.shows_in_flight;
            counters.push((pod, sample.counters));
        }
        Ok((counters, shows_in_flight))
    }

    /// By hand: it is waited for what is in flight, as far as pods show that.
    async fn until_not_busy(self, what: Option<&Scrape>) -> Result<(), Abort> {
        let Some(what) = what else { return pause(WAIT_FOR_WORK).await };
        let start = Instant::now();
        loop {
            let (mut busy, mut all_show) = (None, true);
            let samples =
                scrape::all(&*self.world.scraper, self.app, what).await.map_err(Abort::Unscraped)?;
            for (pod, sample) in samples {
                let sample = sample.map_err(Abort::Unscraped)?;
                all_show &= sample.shows_in_flight;
                busy = busy.or_else(|| sample.busy.map(|busy| format!("pod {pod}: {busy}")));
            }
            let is_over = start.elapsed() >= WAIT_FOR_WORK;
            match busy {
                Some(busy) if is_over => {
                    return Err(Abort::CalledDirectly(format!("it is in use still: {busy}")));
                }
                None if is_over || all_show => return Ok(()),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

async fn pause(time: Duration) -> Result<(), Abort> {
    tokio::time::sleep(time).await;
    Ok(())
}
