//! The activator's side of Kubernetes: it watches apps and their pods, wakes apps, and takes part in the protocol of falling
//! asleep. `tests/model/README.md` says what it has to do, and why.
//!
//! ```text
//! API server --watch--> watch -----+                 +--> directory --> data plane
//! controller --HTTPS--> control ---+--> apps (stance) --> waker <------- (a request waits)
//!                                                         `--api--> API server
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `stance` | how it stands to one app in the protocol: pure |
//! | `slices` | what an app's slices show, by lists and by the watch |
//! | `object` | a `ScaledApp`, and the data plane's entry composed of it and a stance |
//! | `hosts` | which of two apps has a host |
//! | `apps` | all of them; where everything meets |
//! | `directory` | the data plane's source |
//! | `watch` | what the API server says by itself |
//! | `waker`, `pace` | what it is asked and told, and how often |
//! | `api` | the calls |
//! | `control`, `auth`, `guests`, `tls` | the port for the controller, who may use it, how long strangers may stay, its certificate |
//!
//! Without the API server it serves from what it knows: awake apps are served, held requests stay held.

mod api;
mod apps;
mod auth;
mod control;
mod directory;
mod guests;
mod hosts;
mod object;
mod pace;
mod slices;
mod stance;
#[cfg(test)]
mod tests;
mod tls;
mod waker;
mod watch;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use kube::Client;
use tokio::{net::TcpListener, sync};

pub use self::tls::CertFiles;
use self::{
    api::{KubeCluster, said_in_full},
    apps::Apps,
    auth::{Auth, KubeReview},
    control::Control,
    directory::ClusterDirectory,
    waker::ClusterWaker,
};
use crate::{Activator, config};

/// How an activator of a cluster is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data plane.
    pub activator: config::Config,
    /// On which address it listens for apps; the ports are those of their status.
    pub bind: IpAddr,
    /// Where the control port is.
    pub control: SocketAddr,
    /// Its certificate.
    pub cert: CertFiles,
    /// The user of the controller's account: `system:serviceaccount:NAMESPACE:NAME`.
    pub controller_user: String,
    /// The namespaces to watch. None: all.
    pub namespaces: Vec<String>,
}

/// A running activator of a cluster.
pub struct ClusterActivator {
    activator: Activator,
    draining: sync::watch::Sender<bool>,
    control: SocketAddr,
    background: tokio::task::JoinSet<&'static str>,
}

/// Builds an activator of the cluster that this process belongs to, or else that `kubeconfig` names. Returns once it knows
/// all apps and their pods, and has opened their ports.
///
/// Runs its tasks on the runtime that it is called from. If one of them panics, apps would not wake any more: the caller
/// has to end the process then.
///
/// # Errors
/// If there is no cluster in reach, or it does not allow what is needed; if a port or the certificate is of no use.
pub async fn build(config: Config, registry: &prometheus::Registry) -> io::Result<ClusterActivator> {
    let other = |what: &str, why: String| io::Error::other(format!("{what}: {why}"));
    let tls = tls::watched(config.cert.clone())?;
    let listener = TcpListener::bind(config.control).await.map_err(|error| {
        other("the control port cannot be opened", format!("{}: {error}", config.control))
    })?;
    let control_address = listener.local_addr()?;
    let client = Client::try_default()
        .await
        .map_err(|error| other("there is no cluster to connect to", said_in_full(&error)))?;
    let (apps, arrivals) = Apps::new(config.bind);
    let mut watches = watch::start(&client, &config.namespaces, &apps);
    watches.listed().await.map_err(|why| other("the cluster does not answer as it has to", why))?;
    let directory = Box::new(ClusterDirectory::new(apps.clone()));
    let waker = Arc::new(ClusterWaker::new(apps.clone()));
    // Not before the data plane can be asked who waits. What has rung until then still rings.
    let activator = crate::build(config.activator, directory, waker, registry).await?;
    apps.join(activator.shared());
    let cluster: Arc<dyn api::Cluster> = Arc::new(KubeCluster::new(client.clone()));
    let (draining, is_draining) = sync::watch::channel(false);
    let control = Control {
        apps: apps.clone(),
        cluster: cluster.clone(),
        auth: Arc::new(Auth::new(Box::new(KubeReview(client)), config.controller_user)),
        ports: activator.ports(),
        draining: is_draining,
        boot: format!("{:032x}", fastrand::u128(..)),
        first_revision: u64::from(fastrand::u32(..)) << 16,
    };
    let mut background = tokio::task::JoinSet::new();
    background.spawn(async {
        waker::run(apps, cluster, arrivals).await;
        "what runs the errands of apps"
    });
    background.spawn(async {
        control::serve(listener, tls, control).await;
        "the control port"
    });
    Ok(ClusterActivator { activator, draining, control: control_address, background })
}

impl ClusterActivator {
    /// The data plane.
    pub fn activator(&self) -> &Activator {
        &self.activator
    }

    /// Where the control port is.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Ends it without losing anything, as [`Activator::drain`] says. The controller learns of it at once, and is answered
    /// until the end: a draining activator counts as live.
    pub async fn drain(&self, force: impl Future<Output = ()>) {
        self.draining.send_replace(true);
        self.activator.drain(force).await;
    }

    /// Completes if something ends that should not: the process cannot go on.
    pub async fn failed(&mut self) -> String {
        tokio::select! {
            what = self.activator.failed() => what,
            Some(what) = self.background.join_next() => match what {
                Ok(what) => format!("{what} has ended"),
                Err(error) => format!("a background task has ended: {error}"),
            },
        }
    }
}
