//! The controller of a cluster, joined: stands by until it leads, leads until it does not any more.

use std::{convert::Infallible, sync::Arc};

use kube::Client;
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;

use super::{
    by_hand::Board,
    config::Config,
    events::Reports,
    lead::{Broken, lead},
    leader,
    ports::Ports,
    world::{Parts, World},
};
use crate::metrics::Metrics;

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Names of metrics are taken.
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part that must not end has ended.
    #[error("{0}")]
    Broken(String),
}

impl From<Broken> for RunError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.to_string())
    }
}

/// Runs until it is dropped. `leads` says whether this process leads: whatever it does ends the moment that it does not.
///
/// # Errors
/// If it cannot go on, which is a bug.
pub async fn run(
    client: Client,
    config: &Config,
    parts: Parts,
    board: Arc<Board>,
    mut leads: watch::Receiver<bool>,
    registry: &Registry,
) -> Result<Infallible, RunError> {
    let leader = IntGauge::new("reveille_leader", "1 while this controller leads, 0 while it stands by.")?;
    registry.register(Box::new(leader.clone()))?;
    let metrics = Metrics::register(registry)?;
    loop {
        if leads.wait_for(|leads| *leads).await.is_err() {
            return Err(RunError::Broken("the election has ended".to_owned()));
        }
        leader.set(1);
        tracing::info!("it leads");
        tokio::select! {
            biased;
            lost = leads.wait_for(|leads| !leads) => {
                if lost.is_err() {
                    return Err(RunError::Broken("the election has ended".to_owned()));
                }
            }
            broken = lead(&client, &config.watch_namespaces, |stores| World {
                client: client.clone(),
                ports: Ports::new(client.clone(), &config.namespace, &config.ports_config_map, config.port_range.clone()),
                reports: Reports::new(client.clone(), &config.identity),
                metrics: Arc::clone(&metrics),
                parts: parts.clone(),
                board: Arc::clone(&board),
                sleep_delay: config.sleep_delay,
                looks: World::looks(),
                stores,
            }) => match broken? {},
            never = mark(&client, config) => match never {},
        }
        leader.set(0);
        tracing::warn!("it does not lead any more; everything that was in progress is dropped");
        metrics.clear();
    }
}

/// Leads the API's Service here, if the API is served.
async fn mark(client: &Client, config: &Config) -> Infallible {
    match config.api {
        Some(_) => leader::mark(client, &config.namespace, &config.identity).await,
        None => std::future::pending().await,
    }
}
