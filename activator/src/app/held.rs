//! A request that is held, and what it gets when it is let go.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    App, Endpoint, Verdict,
    hopeless::{Since, eta},
};
use crate::{
    error::{Error, Kind},
    hold::{Exceeded, Ticket, Waiter},
};

/// Leave to send one request.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The place in the queue that it had.
    pub(crate) ticket: Ticket,
    /// It was the so-manieth to be admitted from the queue.
    pub(crate) admitted: u64,
    /// How long the wake took that it waited for, if it waited for one.
    pub(crate) wake: Option<Duration>,
    /// Its slot at an endpoint.
    pub(crate) slot: Slot,
}

/// A place at an endpoint; dropping it gives it to the next.
pub(crate) struct Slot {
    app: Arc<App>,
    endpoint: Arc<Endpoint>,
    since: Instant,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({} #{})", self.app.id, self.endpoint.generation)
    }
}

/// A request in the queue. Dropping it leaves the queue, and frees what it was charged.
pub(crate) struct Held {
    app: Arc<App>,
    ticket: Ticket,
    verdict: oneshot::Receiver<Verdict>,
}

/// A request was not taken into the hold.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Error);

impl Slot {
    /// A slot that was taken at the endpoint before.
    pub(super) fn new(app: Arc<App>, endpoint: Arc<Endpoint>) -> Self {
        Self { app, endpoint, since: Instant::now() }
    }

    /// Takes a slot if the endpoint has one free within the hard limit.
    pub(crate) fn try_take(app: &Arc<App>, endpoint: &Arc<Endpoint>, hard: u32) -> Option<Self> {
        endpoint.try_take(hard).then(|| Self::new(app.clone(), endpoint.clone()))
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The endpoint answered: the release after a wake may go faster.
    pub(crate) fn response_head(&self) {
        if self.app.waiting() > 0 {
            self.endpoint.answered(self.since.elapsed());
            self.app.look_again();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.endpoint.give_back();
        // One that came to wait said so before it tried for a slot (`settle`): either it finds this one, or it
        // is seen here.
        if self.app.waiting() > 0 {
            self.app.look_again();
        }
    }
}

impl App {
    /// Takes a request into the hold, or says why not. `back` is set for one that was admitted and could not
    /// be delivered: it goes before all others, with the ticket it had, and the bounds do not stop it.
    pub(crate) fn hold(self: &Arc<Self>, bytes: u64, back: Option<Option<Ticket>>) -> Result<Held, Refused> {
        let (sender, verdict) = oneshot::channel();
        let ticket = self.change(|state| {
            if let Some(error) = self.hopeless(state, Since::Now) {
                return Err(error);
            }
            let (requests, held_bytes) = (state.queue.len() as u64, state.queue.bytes());
            let hold = &state.entry.policy.hold;
            let full = |kind, what: &str| {
                let detail = format!("{requests} requests wait for {} already, {what}", self.id);
                Err(Error::new(kind, detail).for_app(&self.id).retry_after(eta(&state.entry)))
            };
            if back.is_none() && (requests >= hold.max_requests.into() || held_bytes + bytes > hold.max_bytes)
            {
                state.wanted = true;
                return full(Kind::HoldFull, "as many as its hold allows");
            }
            // One that comes back is charged if there is room and held even if there is none: it was promised.
            let bytes = match (self.shared.budget.charge(bytes, requests, held_bytes), back) {
                (Ok(()), _) => bytes,
                (Err(Exceeded), None) => {
                    state.wanted = true;
                    return full(
                        Kind::HoldFullTotal,
                        "and there is no more room for it in the hold of all apps",
                    );
                }
                (Err(Exceeded), Some(_)) => {
                    self.shared.budget.charge_anyway(bytes);
                    bytes
                }
            };
            let back = back.map(|had| state.back_ticket(had));
            Ok(state.queue.push(Waiter { verdict: sender, bytes }, back))
        });
        match ticket {
            Ok(ticket) => Ok(Held { app: self.clone(), ticket, verdict }),
            Err(error) => Err(Refused(error)),
        }
    }

    /// Charges a held request what it really takes up, which is no more than what it was charged before.
    pub(crate) fn recharge(self: &Arc<Self>, ticket: Ticket, bytes: u64) {
        let freed = self.change(|state| state.queue.recharge(ticket, bytes));
        self.shared.budget.give_back_bytes(freed);
    }

    /// For `Retry-After`: what remains of the wake.
    pub(crate) fn eta(&self) -> Duration {
        eta(&self.lock().entry)
    }
}

impl Held {
    /// The place in the queue.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Waits for the verdict. Cancel-safe.
    pub(crate) async fn verdict(&mut self) -> Verdict {
        match (&mut self.verdict).await {
            Ok(verdict) => verdict,
            // The queue tells everyone whom it takes out.
            Err(_) => {
                Err(Error::new(Kind::AppRemoved, format!("{} is gone", self.app.id)).for_app(&self.app.id))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let ticket = self.ticket;
        let app = &self.app;
        let left = app.change(|state| {
            let left = state.queue.remove(ticket);
            // The wake was asked for on behalf of those who waited: the next one asks again.
            state.asked &= !state.queue.is_empty() || state.wanted;
            left
        });
        if let Some(waiter) = left {
            app.shared.budget.refund(waiter.bytes);
        }
        // If it was admitted meanwhile, the verdict in the channel is dropped with it, and its slot is free.
    }
}
