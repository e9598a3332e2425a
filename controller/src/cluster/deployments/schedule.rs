//! Scale-ups that are to come of Deployments without a `ScaledApp`: an annotation of the Deployment itself, so that it
//! outlives every controller and goes with its Deployment.
//!
//! It is written through `/status`, where Kubernetes takes annotations: that is a right that the controller has for its
//! fences anyway, while the right to write Deployments would let it change what they run.
//!
//! Each is done once: first the count is raised over the version at which it was seen to be 0, then the annotation goes. A
//! leader that ends in between leaves a Deployment that has replicas, of which the next one only takes the annotation off.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch},
};
use reveille_core::{app::AppId, resource::names};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::target;
use crate::cluster::{
    objects::own_patch,
    traits::{Commit, ScaleError},
    world::World,
};

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A scale-up that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scheduled {
    /// When.
    pub(super) at: Timestamp,
    /// To how many replicas: what it had.
    pub(super) replicas: u32,
    /// Why, as whoever asked for it said.
    pub(super) reason: String,
}

/// Whether there is one.
pub(crate) fn is_scheduled(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(names::SCHEDULED_SCALE_UP))
}

/// The one of a Deployment. What somebody has written there by hand and cannot be read is none.
pub(super) fn of(metadata: &ObjectMeta) -> Option<Scheduled> {
    let text = metadata.annotations.as_ref()?.get(names::SCHEDULED_SCALE_UP)?;
    serde_json::from_str(text)
        .inspect_err(|error| {
            let of = crate::cluster::objects::id(metadata);
            tracing::warn!(deployment = %of, %error, "the annotation {} cannot be read", names::SCHEDULED_SCALE_UP);
        })
        .ok()
}

/// Writes it, or takes it off.
pub(super) async fn write(
    client: &Client,
    of: &AppId,
    scheduled: Option<&Scheduled>,
) -> Result<(), kube::Error> {
    let text = scheduled.map(|one| serde_json::to_string(one).expect("it is plain JSON"));
    annotate(client, of, names::SCHEDULED_SCALE_UP, text).await
}

/// Notes that it was scaled just now.
pub(super) async fn note_scaled(client: &Client, of: &AppId) -> Result<(), kube::Error> {
    annotate(client, of, names::LAST_SCALED, Some(Timestamp::now().to_string())).await
}

async fn annotate(client: &Client, of: &AppId, name: &str, text: Option<String>) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"annotations": {name: text}}});
    let api: Api<Deployment> = Api::namespaced(client.clone(), &of.namespace);
    api.patch_status(&of.name, &own_patch(), &Patch::Merge(patch)).await.map(|_| ())
}

/// Scales up what is due, until it is dropped.
pub(crate) async fn run(world: Arc<World>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Timestamp::now();
        for (deployment, metadata) in world.stores.scheduled_deployments() {
            let Some(scheduled) = of(&metadata).filter(|scheduled| scheduled.at <= now) else { continue };
            if let Err(why) = fire(&world, &deployment, &scheduled).await {
                tracing::warn!(%deployment, why, "its scheduled scale-up is not done yet");
            }
        }
    }
}

async fn fire(world: &World, deployment: &AppId, scheduled: &Scheduled) -> Result<(), String> {
    let (scales, target) = (&world.parts.scales, target(deployment));
    let scale = match scales.get(&deployment.namespace, &target).await {
        Ok(scale) => scale,
        Err(ScaleError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if scale.replicas == 0 {
        let raised = scales.set(&deployment.namespace, &target, &scale.version, scheduled.replicas).await;
        match raised {
            Commit::Done => {
                // Best effort, as it is for people to see.
                let _ = note_scaled(&world.client, deployment).await;
                let late_s = Timestamp::now().duration_since(scheduled.at).as_secs();
                let Scheduled { at, replicas, reason } = scheduled;
                tracing::info!(%deployment, %at, replicas, reason, late_s, "scaled up as scheduled");
                let note = format!("scaled to {replicas} replicas as scheduled: {reason}");
                world.reports.deployment(deployment, &world.stores, "ScaledUp", note).await;
            }
            Commit::Conflict => return Err("it was written by somebody else meanwhile".to_owned()),
            Commit::Refused(why) | Commit::Unknown(why) => return Err(why),
        }
    }
    write(&world.client, deployment, None).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_no_schedule_is_none() {
        let scheduled = Scheduled { at: Timestamp::UNIX_EPOCH, replicas: 3, reason: "morning".into() };
        let with = |text: String| ObjectMeta {
            annotations: Some([(names::SCHEDULED_SCALE_UP.to_owned(), text)].into()),
            ..ObjectMeta::default()
        };
        let metadata = with(serde_json::to_string(&scheduled).unwrap());
        assert!(is_scheduled(&metadata));
        assert_eq!(of(&metadata), Some(scheduled));
        assert_eq!(of(&with("tomorrow".into())), None);
        assert_eq!(of(&ObjectMeta::default()), None);
        assert!(!is_scheduled(&ObjectMeta::default()));
    }
}
