//! Which of the controllers leads, by a Lease of `coordination.k8s.io`.
//!
//! Clocks are compared with nobody's: the holder counts from when it *sent* its last renewal, a standby from when it
//! *saw* the last change. So the holder has called itself deposed at least [`DURATION`] - [`DEADLINE`] before any other can
//! hold the Lease, however their clocks run, and has that long to end what it was writing.

mod store;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

pub use self::store::{KubeLeases, LeaseRecord, LeaseStore, StoreError};

/// How long a Lease that nobody renews keeps others out.
pub const DURATION: Duration = Duration::from_secs(10);
/// After so long without a renewal its holder does not lead any more.
pub const DEADLINE: Duration = Duration::from_secs(7);
/// How often it is renewed, and looked at by those who stand by.
const EVERY: Duration = Duration::from_millis(1500);
/// How long one request to the API server may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// One controller's part in the election.
pub struct Election {
    store: Arc<dyn LeaseStore>,
    /// Another one for each process, as a restarted one knows nothing of the writes of the one before.
    identity: String,
    leads: watch::Sender<bool>,
    /// As it was last seen, and when it was first seen so.
    seen: Option<(LeaseRecord, Instant)>,
    /// When the last renewal was sent that succeeded.
    held_since: Option<Instant>,
}

impl Election {
    /// A controller stands for election. `name` is that of its pod.
    pub fn new(store: Arc<dyn LeaseStore>, name: &str) -> Self {
        let identity = format!("{name}_{:016x}", fastrand::u64(..));
        Self { store, identity, leads: watch::Sender::new(false), seen: None, held_since: None }
    }

    /// Whether it leads. Becomes false before any other may lead.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Takes part until `stop` resolves, then gives the Lease back, so that another leads at once: whatever this one did as
    /// the leader has to have ended by then. Dropped instead, it is as if the process had died.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = stop => {}
            never = self.take_part() => match never {},
        }
        self.release().await;
    }

    async fn take_part(&mut self) -> Infallible {
        loop {
            let next = Instant::now() + spread(EVERY);
            // A request that does not return must not keep it from noticing that its time is over.
            let deadline = self.held_since.map(|since| since + DEADLINE);
            let over = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = over => self.depose("it could not renew its Lease in time"),
                () = self.try_once() => {
                    let until = self.held_since.map_or(next, |since| next.min(since + DEADLINE));
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }

    /// Renews the Lease if it is its own, takes it if it is free, and else only looks.
    async fn try_once(&mut self) {
        let read = tokio::time::timeout(TIMEOUT, self.store.get()).await;
        let record = match read {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => return tracing::warn!(%error, "the Lease of the election cannot be read"),
            Err(_) => return tracing::warn!("the Lease of the election cannot be read in time"),
        };
        let now = Instant::now();
        let Some(record) = record else { return self.write(None).await };
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record.clone(), now));
        }
        let first_seen = self.seen.as_ref().map_or(now, |(_, at)| *at);
        let is_own = record.holder.as_deref() == Some(&*self.identity);
        let is_free = record.holder.is_none();
        // That of another release may be longer.
        let is_over = now.duration_since(first_seen) >= record.duration.max(DURATION);
        if is_own || is_free || is_over {
            self.write(Some(&record)).await;
        } else {
            self.depose("another controller holds the Lease");
        }
    }

    /// Writes its name into the Lease, provided that it is as it was read.
    async fn write(&mut self, before: Option<&LeaseRecord>) {
        let sent = Instant::now();
        let written = tokio::time::timeout(TIMEOUT, self.store.hold(before, &self.identity)).await;
        match written {
            Ok(Ok(())) => {
                self.held_since = Some(sent);
                if !self.leads.send_replace(true) {
                    tracing::info!(identity = self.identity, "this controller leads");
                }
            }
            // The next look tells who it was, or whether it was this one after all.
            Ok(Err(error)) => tracing::debug!(%error, "the Lease of the election was not written"),
            Err(_) => tracing::warn!("the Lease of the election was not written in time"),
        }
    }

    fn depose(&mut self, why: &str) {
        self.held_since = None;
        if self.leads.send_replace(false) {
            tracing::warn!(identity = self.identity, why, "this controller leads no more");
        }
    }

    /// Leaves the Lease to whoever comes first.
    async fn release(&mut self) {
        self.depose("it stops");
        let Ok(Ok(Some(record))) = tokio::time::timeout(TIMEOUT, self.store.get()).await else { return };
        if record.holder.as_deref() != Some(&*self.identity) {
            return;
        }
        match tokio::time::timeout(TIMEOUT, self.store.free(&record)).await {
            Ok(Ok(())) => tracing::info!("the Lease of the election is given back"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease is not given back, another leads when it runs out");
            }
            Err(_) => tracing::warn!("the Lease is not given back in time, another leads when it runs out"),
        }
    }
}

/// Up to a fifth more or less, as the time between tries is bounded by the lease, so that not all try at the same time.
fn spread(of: Duration) -> Duration {
    of.mul_f64(0.8 + 0.4 * fastrand::f64())
}
