//! What every app's worker shares, and how its work fails.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::Semaphore;

use super::{
    by_hand::Board,
    events::Reports,
    fleet::Fleet,
    ports::{Ports, PortsError},
    stores::Stores,
    traits::{Activators, Attempts, Idleness, Scales},
};
use crate::metrics::Metrics;

/// How many apps are looked at at a time: all of them are when a leader begins.
const LOOKS: usize = 16;

/// Everything that a worker acts on.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) stores: Stores,
    pub(crate) ports: Ports,
    pub(crate) reports: Reports,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) parts: Parts,
    /// Where people see the apps, and ask something of them.
    pub(crate) board: Arc<Board>,
    /// How long nodes take to learn of changed endpoints.
    pub(crate) sleep_delay: Duration,
    /// One permit for each app that is being looked at. Not held while one is put to sleep, which takes its time.
    pub(crate) looks: Semaphore,
}

impl World {
    pub(crate) fn looks() -> Semaphore {
        Semaphore::new(LOOKS)
    }
}

/// The other half of the control plane.
#[derive(Clone)]
pub struct Parts {
    /// The activators.
    pub activators: Arc<dyn Activators>,
    /// The same, asked one by one.
    pub fleet: Arc<dyn Fleet>,
    /// The replicas.
    pub scales: Arc<dyn Scales>,
    /// The decision that an app is idle.
    pub idleness: Arc<dyn Idleness>,
    /// The attempts to put apps to sleep.
    pub attempts: Arc<dyn Attempts>,
}

/// Why an app could not be worked on. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// Somebody wrote at the same time: looked at again at once.
    #[error("it was written by somebody else meanwhile")]
    Conflict,
    /// The API server forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// Whatever passes by itself.
    #[error("{0}")]
    Passing(String),
}

impl From<kube::Error> for WorkError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict,
            kube::Error::Api(status) if status.is_forbidden() => Self::Forbidden(status.message),
            kube::Error::Api(status) => Self::Passing(status.message),
            other => Self::Passing(format!("the API server does not answer: {other}")),
        }
    }
}

impl From<PortsError> for WorkError {
    fn from(error: PortsError) -> Self {
        match error {
            PortsError::Api(error) => error.into(),
            PortsError::Full(_) | PortsError::Contested => Self::Passing(error.to_string()),
        }
    }
}
