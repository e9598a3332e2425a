//! How the parts are joined over the API server.

use std::{convert::Infallible, sync::Arc};

use kube::Client;

use super::{
    attempt::ClusterAttempts,
    by_hand::Board,
    config::Config,
    election::{Election, KubeLeases},
    fleet::{Control, Credentials, CredentialsError, Fleet, KubeActivators, KubeFleet},
    idle::ClusterIdleness,
    scales::{KubeScales, Once},
    scrape::{HttpScraper, Scraper},
    traits::{BoxFuture, Scales},
    world::Parts,
};
use crate::feed::Feed;

/// A controller that does not run yet.
pub struct Joined {
    /// For [`run`](fn@super::run).
    pub client: Client,
    /// For [`run`](fn@super::run).
    pub parts: Parts,
    /// What is shown of the apps, and where orders are left.
    pub board: Arc<Board>,
    /// To be run beside, and to be stopped after everything that is done as the leader has ended.
    pub election: Election,
    /// What keeps the activators up to date. To be polled all the time.
    pub follow: BoxFuture<'static, Infallible>,
}

/// Why a controller cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The API server's address or credentials are wrong.
    #[error("there is no way to the API server: {0}")]
    Client(#[from] kube::Error),
    /// What the activators are asked with is wrong.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Joins one.
///
/// # Errors
/// What of the configuration is wrong.
pub async fn join(api: kube::Config, config: &Config) -> Result<Joined, JoinError> {
    let once = Once::connect(api.clone())?;
    let client = Client::try_from(api)?;
    let credentials = Credentials::new(config.control_ca.clone(), config.control_token.clone());
    credentials.check().await?;
    let control = Arc::new(Control::new(credentials, config.control_port));
    let (namespace, selector) = (&config.namespace, &config.activator_selector);
    let (activators, follow) = KubeActivators::new(client.clone(), namespace, selector, Arc::clone(&control));
    let fleet: Arc<dyn Fleet> = Arc::new(KubeFleet::new(client.clone(), namespace, selector, control));
    let scraper: Arc<dyn Scraper> = Arc::new(HttpScraper);
    let scales: Arc<dyn Scales> = Arc::new(KubeScales::new(client.clone(), once));
    let attempts = ClusterAttempts::new(
        Arc::clone(&scales),
        Arc::clone(&fleet),
        Arc::clone(&scraper),
        config.sleep_delay,
    );
    let leases = KubeLeases::new(client.clone(), namespace, &config.lease_name);
    Ok(Joined {
        board: Board::new(Feed::new()),
        election: Election::new(Arc::new(leases), &config.identity),
        parts: Parts {
            activators: Arc::new(activators),
            scales,
            idleness: Arc::new(ClusterIdleness::new(Arc::clone(&fleet), scraper)),
            fleet,
            attempts: Arc::new(attempts),
        },
        client,
        follow,
    })
}
