//! Errands: what this activator asks and tells the API server of an app, one task an app. It wakes it, finds out how a
//! lease ended, and lifts the bar.
//!
//! Level-triggered: a task looks at what [has to be done](super::stance::Need), does one thing, and looks again; what it
//! forgets to do now is still to be done then. How often is said by [`Pace`]. It needs no controller: where a wake
//! stands, and whether it comes to anything, is the controller's to say; that it is sent is not.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use reveille_core::{
    app::AppId,
    directory::WakeState,
    resource::{TargetSpec, names},
    wake::WakeId,
};
use tokio::sync::mpsc;

use super::{
    api::{ApiError, Cluster},
    apps::{Apps, Bell},
    object::failure,
    pace::{Outcome, Pace},
    stance::{Need, Next, Scale, Ticket, Urgency},
};
use crate::traits::Waker;

/// Looked at so often even if nothing rings: what is lost then costs time, no request.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// How long requests are refused after there was no target, or it did not take the count.
const REFUSE_FOR: Duration = Duration::from_secs(5);

/// Rings for the errands of an app. It takes no lock but that of the bells: see [`Apps`].
pub(crate) struct ClusterWaker(Arc<Apps>);

impl ClusterWaker {
    pub(crate) fn new(apps: Arc<Apps>) -> Self {
        Self(apps)
    }
}

impl Waker for ClusterWaker {
    fn wake(&self, app: &AppId, _: usize) {
        if let Some(bell) = self.0.bell(app) {
            bell.asked.store(true, Ordering::Release);
            bell.ring.notify_one();
        }
    }

    /// The controller sees by itself when a replica can answer.
    fn usable(&self, _: &AppId, _: u64) {}
}

/// Runs the errands of each app that arrives, until it is gone.
pub(crate) async fn run(
    apps: Arc<Apps>,
    cluster: Arc<dyn Cluster>,
    mut arrivals: mpsc::UnboundedReceiver<(AppId, Arc<Bell>)>,
) {
    while let Some((id, bell)) = arrivals.recv().await {
        let errands =
            Errands { apps: apps.clone(), cluster: cluster.clone(), id, bell, said: None, conflicted: None };
        tokio::spawn(errands.run());
    }
}

struct Errands {
    apps: Arc<Apps>,
    cluster: Arc<dyn Cluster>,
    id: AppId,
    bell: Arc<Bell>,
    /// The trouble that was logged last.
    said: Option<ApiError>,
    /// The version over which a raise was taken for one that came too late.
    conflicted: Option<String>,
}

impl Errands {
    async fn run(mut self) {
        let mut pace = Pace::new(Instant::now());
        while !self.bell.gone.load(Ordering::Acquire) {
            let now = Instant::now();
            let need = self.apps.need(&self.id, &self.bell, now);
            let at = match need {
                Need::Nothing(until) => until.unwrap_or(now + LOOK_ANYWAY),
                Need::List(_) | Need::Look(_, Urgency::Settle) => pace.urgent_from(),
                Need::Look(_, Urgency::Wake) => pace.from(),
            };
            if at > now || matches!(need, Need::Nothing(_)) {
                // What can be put off must not put off the end of a lease.
                let lease = self.apps.lease_until(&self.id).unwrap_or(at);
                self.wait(at.min(lease).min(now + LOOK_ANYWAY)).await;
                continue;
            }
            let done = match need {
                Need::Nothing(_) => continue,
                Need::List(ticket) => self.list(ticket).await.map(|_| Outcome::Listed),
                Need::Look(ticket, urgency) => self.look(ticket, urgency, &pace).await,
            };
            let outcome = self.judge(done);
            pace.note(outcome, Instant::now(), fastrand::f64());
        }
    }

    async fn wait(&self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.bell.ring.notified() => {}
        }
    }

    async fn list(&self, ticket: Ticket) -> Result<Next, ApiError> {
        let list = self.cluster.slices(&self.id).await?;
        Ok(self.apps.listed(&self.id, ticket, list))
    }

    /// Reads the count, then lists the slices if that tells more, then raises the count if that is what follows.
    async fn look(&mut self, ticket: Ticket, urgency: Urgency, pace: &Pace) -> Result<Outcome, ApiError> {
        let Some((target, replicas)) = self.apps.target(&self.id) else { return Ok(Outcome::Up) };
        let scale = self.cluster.scale(&self.id, &target).await?;
        let mut next = self.apps.scale_read(&self.id, ticket, scale);
        if next == Next::List {
            next = self.list(ticket).await?;
        }
        let is_wanted = self.apps.is_wanted(&self.id, &self.bell, Instant::now());
        match (next, urgency) {
            (Next::Up, _) => Ok(Outcome::Up),
            (Next::List | Next::TooLate, _) => Ok(Outcome::LookAtOnce),
            // It was for a lease that had ended. What is to be done now is another question.
            (_, Urgency::Settle) if !is_wanted => Ok(Outcome::Listed),
            (_, Urgency::Wake) if !is_wanted => Ok(Outcome::Down),
            (Next::Stopping, _) => Ok(Outcome::LookSoon),
            (Next::Raise(_), _) if !pace.may_write(Instant::now()) => Ok(Outcome::LookSoon),
            (Next::Raise(read), _) => self.raise(ticket, &target, &read, replicas).await,
        }
    }

    async fn raise(
        &mut self,
        ticket: Ticket,
        target: &TargetSpec,
        read: &Scale,
        replicas: u32,
    ) -> Result<Outcome, ApiError> {
        match self.cluster.raise(&self.id, target, read, replicas).await {
            Ok(scale) => {
                tracing::info!(app = %self.id, kind = target.kind, name = target.name, replicas, "woken");
                // The count was seen above 0: what the slices show after that is of this wake.
                if self.apps.scale_read(&self.id, ticket, scale) == Next::List {
                    self.list(ticket).await?;
                }
                Ok(Outcome::Raised)
            }
            // Twice over one version: nobody was quicker.
            Err(ApiError::Conflict(why)) if self.conflicted.as_ref() == Some(&read.version) => {
                Err(ApiError::Refused(why))
            }
            Err(ApiError::Conflict(why)) => {
                self.conflicted = Some(read.version.clone());
                tracing::debug!(app = %self.id, why, "somebody else was quicker, or the app changed");
                Ok(Outcome::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// Says what went wrong, to the log once, to those who wait if it is final.
    fn judge(&mut self, done: Result<Outcome, ApiError>) -> Outcome {
        let error = match done {
            Ok(outcome) => {
                if matches!(outcome, Outcome::Up | Outcome::Raised) {
                    self.bell.asked.store(false, Ordering::Release);
                }
                if self.said.take().is_some() {
                    tracing::info!(app = %self.id, "the API server answers again");
                }
                return outcome;
            }
            Err(error) => error,
        };
        let outcome = match &error {
            ApiError::NotFound(_) => Outcome::NotFound,
            ApiError::Forbidden(_) => Outcome::Forbidden,
            ApiError::Refused(_) => Outcome::Refused,
            ApiError::Conflict(_) | ApiError::Unavailable(_) => Outcome::Unavailable,
        };
        if self.said.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&error)) {
            let app = &self.id;
            match &error {
                ApiError::NotFound(why) => {
                    tracing::warn!(%app, why, "there is nothing to wake; correct spec.target, or make it");
                }
                ApiError::Forbidden(why) => tracing::error!(
                    %app, why,
                    "{} may not do what a wake needs: get and patch on the target's scale, list on endpointslices; see the chart's roles",
                    names::ACTIVATOR
                ),
                ApiError::Refused(why) => tracing::error!(
                    %app, why,
                    "the API server does not take the count; correct wake.replicas, or the policy that refuses it"
                ),
                ApiError::Conflict(why) | ApiError::Unavailable(why) => {
                    tracing::warn!(%app, why, "the API server cannot be asked; requests stay held meanwhile");
                }
            }
        }
        if let ApiError::NotFound(why) | ApiError::Refused(why) = &error {
            let retry_at = Instant::now() + REFUSE_FOR;
            let id = WakeId::new(&self.id.name, 0);
            self.apps
                .cannot_wake(&self.id, WakeState::Failed { id, failure: failure(why.clone()), retry_at });
        }
        self.said = Some(error);
        outcome
    }
}
