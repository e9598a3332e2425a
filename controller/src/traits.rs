//! The narrow traits by which the control plane meets the world: one implementation each for processes on
//! one machine and for Kubernetes.

use std::time::Duration;

pub use futures_util::future::BoxFuture;
use reveille_core::{
    activity::Activity,
    api::{AppStatus, SleepRequest},
    app::AppId,
    decide::Report,
    phase::Phase,
    scale::{DeploymentStatus, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};

/// Every activator: what they saw, and the switch to hold an app's requests on all of them.
pub trait Fleet: Send + Sync {
    /// What each live activator last said about the app; one that said nothing is [`Report::Silent`].
    fn reports<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Vec<Report>>;

    /// Shuts the app's gate on every activator for at most `lease`, and returns what each one counted as of
    /// that instant, in the order of [`reports`](Self::reports). Shutting again with the same epoch renews the
    /// lease.
    ///
    /// # Errors
    /// If any activator did not answer: the others may have shut, so the caller opens.
    fn shut<'a>(
        &'a self,
        app: &'a AppId,
        epoch: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<Activity>, FleetError>>;

    /// Ends the lease of that epoch on every activator.
    fn open<'a>(&'a self, app: &'a AppId, epoch: u64) -> BoxFuture<'a, ()>;
}

/// An activator did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("activator {activator} did not answer: {reason}")]
pub struct FleetError {
    /// Which one.
    pub activator: String,
    /// What is known of why.
    pub reason: String,
}

/// The replicas of apps.
pub trait Workloads: Send + Sync {
    /// Names the state that a later [`set_zero`](Self::set_zero) depends on: any change of the app's
    /// replicas changes it.
    fn version<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<u64>>;

    /// Sets the app's replicas to 0 if nothing changed since `version`. Returns once that is committed; the
    /// replicas may still be stopping.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if something changed: nothing was done.
    fn set_zero<'a>(&'a self, app: &'a AppId, version: u64) -> BoxFuture<'a, Result<(), CommitError>>;
}

/// Replicas were not set to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Something changed since it was observed; nothing was done.
    #[error("the app's replicas changed meanwhile")]
    Conflict,
    /// The app is no longer there.
    #[error("the app is gone")]
    Gone,
}

/// Who receives an app's traffic.
pub trait Traffic: Send + Sync {
    /// Leads the app's traffic to the activators, and returns when it has taken effect everywhere.
    fn to_activators<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, ()>;

    /// Lets the app's traffic go to the app directly, where its mode allows that.
    fn to_app<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, ()>;
}

/// What the admin port can see and do.
pub trait Apps: Send + Sync {
    /// Every app, sorted by namespace and name.
    fn list(&self) -> BoxFuture<'_, Vec<AppStatus>>;

    /// One app.
    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>>;

    /// Starts a wake, or joins the one in progress. Returns at once with where it stands. The app is not put to
    /// sleep before `keep` has passed; none leaves what an earlier call said of that.
    ///
    /// # Errors
    /// A [`Refusal`].
    fn wake<'a>(
        &'a self,
        app: &'a AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>>;

    /// Puts the app to sleep by hand: skips the TTL, waits up to 10 s for work in flight. Returns when its
    /// replicas are committed to 0.
    ///
    /// # Errors
    /// A [`Refusal`].
    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>>;

    /// Whether the process serves: false before it is up and while it drains.
    fn is_ready(&self) -> bool;
}

/// What the Scale API can see and do: of every Deployment, whether it is an app or not. In local mode an app stands
/// for the Deployment of its name.
///
/// What comes in is checked: reasons have their length, times are not over, replicas are at least 1.
pub trait Deployments: Send + Sync {
    /// Whether calls can be served, and what `kubernetes` says then.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> BoxFuture<'_, Result<&'static str, String>>;

    /// The replicas as they stand.
    ///
    /// # Errors
    /// A [`DeploymentError`].
    fn status<'a>(&'a self, of: &'a AppId) -> BoxFuture<'a, Result<DeploymentStatus, DeploymentError>>;

    /// Scales to zero: returns when that is committed, and when the scale-up, if one is scheduled, is stored so that it
    /// happens whatever becomes of this process. Without one, an earlier one is called off.
    ///
    /// # Errors
    /// A [`DeploymentError`]: nothing was changed, nor is an earlier schedule.
    fn scale_to_zero<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleToZero,
    ) -> BoxFuture<'a, Result<ScaledToZero, DeploymentError>>;

    /// Scales to so many replicas: returns when that is asked for. An earlier schedule is called off.
    ///
    /// # Errors
    /// A [`DeploymentError`]: nothing was changed.
    fn scale_up<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleUp,
    ) -> BoxFuture<'a, Result<ScaledUp, DeploymentError>>;
}

/// When it last began to wake or to fall asleep. It has done neither before its first wake.
pub(crate) fn last_scaled(app: &AppStatus) -> Option<jiff::Timestamp> {
    let wake = app.wake.as_ref()?;
    match app.phase {
        Phase::Waking | Phase::Awake => Some(wake.started),
        Phase::Asleep | Phase::FallingAsleep => Some(app.since),
    }
}

/// Why a call of the Scale API failed. Each holds a sentence that says what happened, to which Deployment, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeploymentError {
    /// There is no such Deployment or namespace.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be scaled so.
    #[error("{0}")]
    Invalid(String),
    /// It is in use, or on its way elsewhere.
    #[error("{0}")]
    Conflict(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// It cannot be done now.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When another attempt may be made, in seconds from now, if that is known.
        retry_in_s: Option<u64>,
    },
}

impl From<Refusal> for DeploymentError {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.to_string();
        match refusal {
            Refusal::UnknownApp(app) => Self::NotFound(format!("there is no Deployment {app}")),
            Refusal::InUse { .. } | Refusal::WrongPhase { .. } | Refusal::NotPossible { .. } => {
                Self::Conflict(reason)
            }
            Refusal::Blocked { retry_in_s, .. } => Self::Unavailable { reason, retry_in_s: Some(retry_in_s) },
            Refusal::OutOfReach { .. } | Refusal::Stopping => Self::Unavailable { reason, retry_in_s: None },
        }
    }
}

/// Why a call by hand was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such app.
    #[error("there is no app {0}; `reveille status` lists them")]
    UnknownApp(AppId),
    /// Work is in flight and did not end in time.
    #[error(
        "{app} is in use, still after {waited_s} s: requests or open streams and connections in flight: {in_service}"
    )]
    InUse {
        /// Which app.
        app: AppId,
        /// Requests that its endpoints are serving.
        in_service: u64,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// The app is in a phase in which this cannot be done.
    #[error("{app} is {phase}; wait until it is awake or asleep, then try again")]
    WrongPhase {
        /// Which app.
        app: AppId,
        /// Where it stands.
        phase: Phase,
    },
    /// Its last wake failed and another attempt would be pointless so soon.
    #[error("{app} could not be woken: {reason}; the next attempt is possible in {retry_in_s} s")]
    Blocked {
        /// Which app.
        app: AppId,
        /// Why the last wake failed.
        reason: String,
        /// When another attempt may be made, in seconds from now.
        retry_in_s: u64,
    },
    /// Something stands in the way, be it of its spec, its workload or its work.
    #[error("{app}: {reason}")]
    NotPossible {
        /// Which app.
        app: AppId,
        /// What, and what to do.
        reason: String,
    },
    /// Nothing can be done now, and whether something was is shown by the app's status.
    #[error("{app}: {reason}; its status shows what becomes of it")]
    OutOfReach {
        /// Which app.
        app: AppId,
        /// Why.
        reason: String,
    },
    /// Reveille is stopping.
    #[error("Reveille is stopping")]
    Stopping,
}
