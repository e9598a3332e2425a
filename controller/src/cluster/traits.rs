//! What the parts of the cluster's control plane need of each other: the activators, the replicas, the decision that an
//! app is idle, and the attempt to put it to sleep. Each has one implementation and a fake in tests.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reveille_core::{
    app::AppId,
    control::AppPort,
    decide::Stay,
    policy::Policy,
    resource::{Reason, Scrape, TargetSpec, TrafficMode},
};
use tokio::sync::watch;

pub use crate::traits::BoxFuture;

/// The activators, as their pods and their control ports show them.
pub trait Activators: Send + Sync {
    /// All whose pods exist, sorted by name. Changes when one of them does, or what it listens on.
    fn watch(&self) -> watch::Receiver<Arc<[ActivatorPod]>>;
}

/// One activator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatorPod {
    /// The name of its pod.
    pub name: String,
    /// The pod's unique id.
    pub uid: String,
    /// The pod's addresses, one for each family; none before it has any.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Whether it takes traffic.
    pub standing: Standing,
    /// Where it listens, as it said last.
    pub open: Arc<BTreeSet<AppPort>>,
}

/// Whether an activator takes traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its pod is not ready yet.
    Starting,
    /// It is ready, and has said where it listens.
    Ready,
    /// It is about to end and takes no new work.
    Draining,
    /// Its pod exists, but it does not answer, and this is why.
    Silent(String),
}

/// Replicas, by the `/scale` of whatever has one.
pub trait Scales: Send + Sync {
    /// Reads the scale.
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
    ) -> BoxFuture<'a, Result<Scale, ScaleError>>;

    /// Sets the replicas if the version is still that one. Sent once, and never repeated by anything on its way.
    fn set<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
        version: &'a str,
        replicas: u32,
    ) -> BoxFuture<'a, Commit>;

    /// Writes something that moves the version and changes nothing else, so that a write that is still on its way
    /// conflicts.
    fn fence<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
    ) -> BoxFuture<'a, Result<(), ScaleError>>;
}

/// What `/scale` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Replicas that are asked for.
    pub replicas: u32,
    /// Replicas that exist.
    pub existing: u32,
    /// Which pods are its replicas, as a label selector in text. None if it does not say.
    pub selector: Option<String>,
    /// Changes with every write.
    pub version: String,
}

/// Why a scale is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// There is no such object, or no such kind.
    #[error("{0}")]
    NotFound(String),
    /// It has no `/scale`.
    #[error("{0}")]
    NotScalable(String),
    /// Reveille may not.
    #[error("{0}")]
    NotPermitted(String),
    /// Whatever passes by itself.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
}

/// How a write of the replicas ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is committed.
    Done,
    /// Something was written since the version: nothing was done.
    Conflict,
    /// It was refused, and this is why: nothing was done.
    Refused(String),
    /// Nobody can tell: it may be committed yet.
    Unknown(String),
}

/// What is to fall asleep: what the decision and the protocol have to know of an app, and what they say about it.
pub trait Sleeper: Send + Sync {
    /// Which app.
    fn id(&self) -> &AppId;

    /// Its workload.
    fn target(&self) -> &TargetSpec;

    /// Its policy.
    fn policy(&self) -> &Policy;

    /// How its traffic reaches it while it is awake.
    fn mode(&self) -> TrafficMode;

    /// Where activity is seen that does not pass the activators.
    fn scrape(&self) -> Option<&Scrape>;

    /// Its pods that are not terminating, to be scraped: the name of each, and where [`scrape`](Self::scrape) finds it. A
    /// port that it names is that of the Service, so whoever lists the pods resolves it.
    fn pods(&self) -> BoxFuture<'_, Result<Vec<(String, SocketAddr)>, String>>;

    /// Writes the phase: a compare-and-set of the status.
    fn announce(&self, what: Announcement) -> BoxFuture<'_, Result<(), AnnounceError>>;

    /// Bypass: takes the pods off the direct path by a write that names the epoch. Returns when it is written; the nodes
    /// hear of it later. Nothing to do for [`TrafficMode::Proxy`].
    ///
    /// # Errors
    /// Why it could not be done: the attempt is called off.
    fn leave_direct_path(&self, epoch: u64) -> BoxFuture<'_, Result<(), String>>;

    /// Resolves once it is not to fall asleep any more. An attempt is called off by that until its commit is sent.
    fn is_unwanted(&self) -> BoxFuture<'_, ()>;

    /// Whether a replica serves: it is in the private Service's slices, ready and not terminating. A consistent list.
    fn serves(&self) -> BoxFuture<'_, Result<bool, String>>;
}

/// What is announced of an app that falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// It falls asleep. Only if the status is as it was read when the attempt began; `former` replicas are noted.
    FallingAsleep {
        /// Which time.
        epoch: u64,
        /// The replicas that it had.
        former: u32,
    },
    /// It is asleep. Only if the status is still falling asleep by that epoch.
    Asleep {
        /// Which time.
        epoch: u64,
    },
    /// It is awake as before, likewise.
    Awake {
        /// Which time.
        epoch: u64,
    },
}

/// An announcement was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// The status is another one by now: nothing was written.
    #[error("its status was changed by somebody else")]
    Conflict,
    /// It may have been made, or not.
    #[error("its status could not be written: {0}")]
    Unknown(String),
}

/// Whether apps are idle.
pub trait Idleness: Send + Sync {
    /// Decides on fresh reports of every activator, and on what is scraped. `awake_for` is how long the app is awake.
    fn look<'a>(&'a self, app: &'a dyn Sleeper, awake_for: Duration) -> BoxFuture<'a, Idle>;

    /// The app is gone, or not awake: what was remembered of it is forgotten.
    fn forget(&self, app: &AppId);
}

/// Whether an app is idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It may be put to sleep, on this.
    Yes(Evidence),
    /// It may not.
    No {
        /// Why.
        why: Stay,
        /// More about it, for people.
        detail: Option<String>,
        /// When to look again.
        recheck_after: Option<Duration>,
    },
    /// Nobody knows, so it may not.
    Unknown {
        /// Who does not say what is needed for it.
        reason: Reason,
        /// Which activator is silent or which scrape failed, for people.
        detail: String,
        /// When to look again.
        recheck_after: Option<Duration>,
    },
}

/// Why an app is put to sleep, and what has to hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was found idle: nothing may have come since.
    Idle(Evidence),
    /// Somebody wants it: it is waited for that nothing is in service, and held requests wait on.
    ByHand,
    /// Its wake failed: the same, but that its pods, which cannot answer, are not asked.
    WakeFailed,
}

/// What an app was found idle by, to be compared with what is counted once its gates are shut. Opaque to others than the
/// implementations of [`Idleness`] and [`Attempts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What each activator counted, by the name of its pod.
    pub reports: Vec<(String, reveille_core::control::ActivityReport)>,
    /// What each pod's counters were: by the name of the pod, each series and its value as it was printed.
    pub counters: Vec<(String, Vec<(String, String)>)>,
}

/// The attempts to put apps to sleep.
pub trait Attempts: Send + Sync {
    /// Puts an app to sleep: steps 1 to 6 of the protocol. Returns when its end is announced, or cannot be.
    ///
    /// Dropped in the middle it is as if the controller had died: [`settle`](Self::settle) has to follow.
    fn sleep<'a>(&'a self, app: &'a dyn Sleeper, epoch: u64, occasion: Occasion)
    -> BoxFuture<'a, AttemptEnd>;

    /// Finds out how an attempt of that epoch ended whose controller is gone, by a fence first: step 6c.
    fn settle<'a>(&'a self, app: &'a dyn Sleeper, epoch: u64) -> BoxFuture<'a, AttemptEnd>;
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The replicas are committed to 0, and that is announced.
    Asleep,
    /// It is awake as before, for this reason.
    Aborted(crate::sleep::SleepOutcome, String),
    /// Its end is not announced: [`Attempts::settle`] has to follow.
    Unsettled(String),
}
