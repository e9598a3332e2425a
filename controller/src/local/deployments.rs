//! The Scale API in local mode: an app `web` is the Deployment `local/web`, of 0 replicas or 1.

use reveille_core::{
    api::{AppStatus, Schedule},
    app::AppId,
    phase::Phase,
    scale::{DeploymentStatus, ScaleState, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};

use super::Local;
use crate::traits::{Apps, BoxFuture, DeploymentError, Deployments, Refusal, last_scaled};

/// What `kubernetes` says where there is none.
const NOT_USED: &str = "not used";

impl Deployments for Local {
    fn ready(&self) -> BoxFuture<'_, Result<&'static str, String>> {
        let ready = if self.is_ready() { Ok(NOT_USED) } else { Err("it is starting or draining".to_owned()) };
        Box::pin(std::future::ready(ready))
    }

    fn status<'a>(&'a self, of: &'a AppId) -> BoxFuture<'a, Result<DeploymentStatus, DeploymentError>> {
        Box::pin(async move { Ok(deployment(&self.known(of).await?)) })
    }

    fn scale_to_zero<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleToZero,
    ) -> BoxFuture<'a, Result<ScaledToZero, DeploymentError>> {
        Box::pin(async move {
            let previous = self.known(which).await?;
            // Two at a time would each undo what the other has set.
            let Some(_deciding) = self.schedules.decide(which) else {
                return Err(Refusal::WrongPhase { app: which.clone(), phase: Phase::FallingAsleep }.into());
            };
            let schedule = order.scheduled_scale_up.map(|at| Schedule { at, reason: order.reason.clone() });
            // First, so that nothing is put to sleep that would not be woken.
            let before = match &schedule {
                Some(_) => {
                    Some(self.reschedule(which, schedule.clone()).await.map_err(DeploymentError::Failed)?)
                }
                None => None,
            };
            if let Err(refusal) = self.sleep_by_hand(which, &order.reason, order.wake_on_request).await {
                if let Some(before) = before
                    && let Err(error) = self.reschedule(which, before).await
                {
                    tracing::error!(app = %which, "it stays awake, but its new schedule could not be undone: {error}");
                }
                return Err(refusal.into());
            }
            if schedule.is_none() {
                self.call_off(which).await;
            }
            let now = self.known(which).await?;
            Ok(ScaledToZero {
                name: which.name.to_string(),
                namespace: which.namespace.to_string(),
                previous_replicas: current(&previous),
                current_replicas: 0,
                target_replicas: 0,
                target_status: "scaled-to-zero".to_owned(),
                scaling_reason: order.reason,
                scheduled_scale_up: order.scheduled_scale_up,
                phase: Some(now.phase),
            })
        })
    }

    fn scale_up<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleUp,
    ) -> BoxFuture<'a, Result<ScaledUp, DeploymentError>> {
        Box::pin(async move {
            let previous = self.known(which).await?;
            if order.replicas != 1 {
                return Err(DeploymentError::Invalid(format!(
                    "{which} cannot have {} replicas: in local mode an app is one process; ask for 1",
                    order.replicas
                )));
            }
            self.wake_by_hand(which, format!("Scale API: {}", order.reason), None).await?;
            self.call_off(which).await;
            let now = self.known(which).await?;
            Ok(ScaledUp {
                name: which.name.to_string(),
                namespace: which.namespace.to_string(),
                previous_replicas: current(&previous),
                current_replicas: current(&now),
                target_replicas: order.replicas,
                target_status: "scaling-up".to_owned(),
                scaling_reason: order.reason,
                phase: Some(now.phase),
            })
        })
    }
}

/// A process that cannot answer yet is no replica yet; one that is stopping still is.
fn current(app: &AppStatus) -> u32 {
    match app.phase {
        Phase::Waking => 0,
        Phase::Asleep | Phase::Awake | Phase::FallingAsleep => app.replicas,
    }
}

fn deployment(app: &AppStatus) -> DeploymentStatus {
    let (desired, available) = match app.phase {
        Phase::Asleep | Phase::FallingAsleep => (0, 0),
        Phase::Waking => (1, 0),
        Phase::Awake => (1, 1),
    };
    DeploymentStatus {
        name: app.id.name.to_string(),
        namespace: app.id.namespace.to_string(),
        deployment: app.id.name.to_string(),
        current_replicas: current(app),
        desired_replicas: desired,
        available_replicas: available,
        status: ScaleState::of(current(app), desired),
        last_scale_time: last_scaled(app),
        scheduled_scale_up: app.schedule.as_ref().map(|schedule| schedule.at),
        phase: Some(app.phase),
    }
}

#[cfg(test)]
#[path = "deployments_tests.rs"]
mod tests;
