//! The Scale API over a cluster: every Deployment, whether a `ScaledApp` names it or not. One that has a `ScaledApp` goes
//! through its worker, and so through the sleep protocol; the others are scaled as asked.
//!
//! | module | holds |
//! |---|---|
//! | `plain` | Deployments without a `ScaledApp` |
//! | `schedule` | their scale-ups that are to come, kept as an annotation of the Deployment |
//! | `events` | the Events that tell who did what |

mod events;
mod plain;
mod schedule;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use reveille_core::{
    app::AppId,
    scale::{DeploymentStatus, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};

pub use self::events::Witness;
pub(crate) use self::{
    plain::target,
    schedule::{is_scheduled, of as schedule_of, run as run_schedules, take_off as take_off_schedule},
};
use super::by_hand::{Board, ByHand};
use crate::traits::{BoxFuture, DeploymentError, Deployments, last_scaled};

/// How long the API server may take to say that it is there.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// See the [module](self).
pub struct KubeDeployments {
    client: Client,
    board: Arc<Board>,
    by_hand: Arc<ByHand>,
}

impl KubeDeployments {
    /// Those that this client reaches.
    pub fn new(client: Client, board: Arc<Board>, by_hand: Arc<ByHand>) -> Self {
        Self { client, board, by_hand }
    }

    fn api(&self, of: &AppId) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &of.namespace)
    }

    async fn read(&self, of: &AppId) -> Result<Deployment, DeploymentError> {
        self.api(of).get(&of.name).await.map_err(|error| failed(of, &error))
    }

    fn plain(&self) -> Result<plain::Plain, DeploymentError> {
        let world = self.board.world().ok_or_else(plain::not_leading)?;
        let board = Arc::clone(&self.board);
        Ok(plain::Plain {
            client: self.client.clone(),
            scales: Arc::clone(&world.parts.scales),
            leads: Box::new(move || board.leads()),
        })
    }
}

impl Deployments for KubeDeployments {
    fn ready(&self) -> BoxFuture<'_, Result<&'static str, String>> {
        Box::pin(async {
            if !self.board.leads() {
                return Err("this controller stands by; another one leads".to_owned());
            }
            match tokio::time::timeout(READY_WITHIN, self.client.apiserver_version()).await {
                Ok(Ok(_)) => Ok("connected"),
                Ok(Err(error)) => Err(format!("the API server does not answer: {error}")),
                Err(_) => Err(format!("the API server does not answer within {} s", READY_WITHIN.as_secs())),
            }
        })
    }

    fn status<'a>(&'a self, of: &'a AppId) -> BoxFuture<'a, Result<DeploymentStatus, DeploymentError>> {
        Box::pin(async move {
            let deployment = self.read(of).await?;
            let app = self.by_hand.app_of(of).and_then(|app| self.by_hand.shown(&app));
            let plain = plain::status(of, &deployment);
            let last_scale_time = match &app {
                Some(app) => last_scaled(app),
                None => plain.last_scale_time,
            };
            let scheduled = match &app {
                Some(app) => app.schedule.as_ref().map(|schedule| schedule.at),
                None => schedule::of(&deployment.metadata).map(|schedule| schedule.at),
            };
            Ok(DeploymentStatus {
                scheduled_scale_up: scheduled,
                phase: app.map(|app| app.phase),
                last_scale_time,
                ..plain
            })
        })
    }

    fn scale_to_zero<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleToZero,
    ) -> BoxFuture<'a, Result<ScaledToZero, DeploymentError>> {
        Box::pin(async move {
            match self.by_hand.app_of(which) {
                Some(app) => Ok(self.by_hand.scale_to_zero(which, &app, order).await?),
                None => self.plain()?.to_zero(which, order).await,
            }
        })
    }

    fn scale_up<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleUp,
    ) -> BoxFuture<'a, Result<ScaledUp, DeploymentError>> {
        Box::pin(async move {
            if i32::try_from(order.replicas).is_err() {
                let most = i32::MAX;
                return Err(DeploymentError::Invalid(format!("replicas is at most {most}")));
            }
            match self.by_hand.app_of(which) {
                Some(app) => Ok(self.by_hand.scale_up(which, &app, order).await?),
                None => self.plain()?.up(which, order).await,
            }
        })
    }
}

/// What the API server's refusal means to whoever calls.
fn failed(of: &AppId, error: &kube::Error) -> DeploymentError {
    match error {
        kube::Error::Api(status) if status.is_not_found() => {
            DeploymentError::NotFound(format!("there is no Deployment {of}"))
        }
        kube::Error::Api(status) if status.is_forbidden() => DeploymentError::Failed(format!(
            "Reveille may not do this with the Deployment {of}: {}; grant it to its ServiceAccount, or let the chart do that (rbac.namespaces)",
            status.message
        )),
        kube::Error::Api(status) if status.is_conflict() => DeploymentError::Conflict(format!(
            "the Deployment {of} is written by others all the time; try again"
        )),
        kube::Error::Api(status) if matches!(status.code, 429 | 503 | 504) => DeploymentError::Unavailable {
            reason: format!("the API server cannot serve the Deployment {of} now: {}", status.message),
            retry_in_s: None,
        },
        kube::Error::Api(status) => {
            DeploymentError::Failed(format!("the API server refuses the Deployment {of}: {}", status.message))
        }
        other => DeploymentError::Unavailable {
            reason: format!("the API server does not answer for the Deployment {of}: {other}"),
            retry_in_s: None,
        },
    }
}
