//! The activators: which there are, and what can be asked of each.
//!
//! | module | holds |
//! |---|---|
//! | `pods` | what a pod says of the activator in it, and the consistent list of them |
//! | `control` | the client of their control ports |
//! | `credentials` | what it trusts and what it shows, both read again as they are renewed |
//! | `watch`, `roster` | what is known of them all the time, for those who lead traffic to them |
//!
//! The sleep protocol goes by [`Fleet`] alone, which asks anew each time. What is watched may be old, and is good enough to
//! say where traffic goes.

mod control;
mod credentials;
mod pods;
mod roster;
mod watch;

use std::{net::IpAddr, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use reveille_core::{
    app::AppId,
    control::{ActivityReport, AllActivity, AttemptOutcome, Open, Shut},
};

pub use self::{
    control::Control,
    credentials::{Credentials, CredentialsError},
    watch::KubeActivators,
};
use super::traits::BoxFuture;

/// How long a list of the activators may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// What the decision and the sleep protocol ask of the activators.
pub trait Fleet: Send + Sync {
    /// All that exist now, ready or not, draining ones included: whoever was made before this was called and is not over is
    /// among them.
    ///
    /// # Errors
    /// Why that is not known.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Member>, String>>;

    /// What one counted of an app.
    fn report<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>>;

    /// What is under way at one, for people to see.
    fn under_way<'a>(&'a self, member: &'a Member) -> BoxFuture<'a, Result<AllActivity, ControlError>>;

    /// Shuts an app's gate on one, or renews its lease; answers what it counted as of that instant.
    fn shut<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
        shut: &'a Shut,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>>;

    /// Tells one how an attempt ended.
    fn open<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
        epoch: u64,
        outcome: AttemptOutcome,
    ) -> BoxFuture<'a, Result<(), ControlError>>;
}

/// An activator, as the list of pods names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of its pod.
    pub name: String,
    /// Where it is asked. None before its pod has an address.
    pub address: Option<IpAddr>,
}

/// An activator did not do what it was asked for. Each names its pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It cannot be asked yet.
    #[error("activator {0} has no address yet")]
    NoAddress(String),
    /// It gave no answer, or none that can be read.
    #[error("activator {pod} does not answer: {why}")]
    Silent {
        /// Its pod.
        pod: String,
        /// Why not.
        why: String,
    },
    /// It answered that it will not.
    #[error("activator {pod} refuses ({status}): {detail}")]
    Refused {
        /// Its pod.
        pod: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
}

/// The [`Fleet`] of a cluster.
pub struct KubeFleet {
    pods: Api<Pod>,
    selector: String,
    control: Arc<Control>,
}

impl KubeFleet {
    /// The activators are the pods of that namespace that match the selector.
    pub fn new(client: Client, namespace: &str, selector: &str, control: Arc<Control>) -> Self {
        Self { pods: Api::namespaced(client, namespace), selector: selector.to_owned(), control }
    }

    async fn members(&self) -> Result<Vec<Member>, String> {
        // Without a resourceVersion a list is consistent: it sees every write that was answered before.
        let which = ListParams::default().labels(&self.selector);
        let listed = tokio::time::timeout(LIST_TIMEOUT, self.pods.list(&which)).await;
        let listed = listed.map_err(|_| format!("no answer within {} s", LIST_TIMEOUT.as_secs()));
        let listed = listed.and_then(|listed| listed.map_err(|error| error.to_string()));
        let pods = listed.map_err(|why| format!("the pods of the activators cannot be listed: {why}"))?;
        Ok(pods.items.iter().filter_map(pods::PodFacts::of).map(|facts| facts.member()).collect())
    }
}

impl Fleet for KubeFleet {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Member>, String>> {
        Box::pin(self.members())
    }

    fn report<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>> {
        Box::pin(self.control.activity(member, app))
    }

    fn under_way<'a>(&'a self, member: &'a Member) -> BoxFuture<'a, Result<AllActivity, ControlError>> {
        Box::pin(self.control.under_way(member))
    }

    fn shut<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
        shut: &'a Shut,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>> {
        Box::pin(self.control.shut(member, app, shut))
    }

    fn open<'a>(
        &'a self,
        member: &'a Member,
        app: &'a AppId,
        epoch: u64,
        outcome: AttemptOutcome,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { self.control.open(member, app, &Open { epoch, outcome }).await })
    }
}
