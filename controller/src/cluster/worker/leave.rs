//! Giving the app back, step by step.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, Patch},
    core::PartialObjectMeta,
};
use reveille_core::resource::{ScaledApp, TrafficMode, names};
use serde_json::json;
use tokio::time::Instant;

use super::{Looked, Worker};
use crate::cluster::{
    apply,
    events::News,
    gather,
    give_back::{self, Stage},
    objects::{self, own_patch},
    observe::Observed,
    plan::Plan,
    traits::Commit,
    world::WorkError,
};

/// How often a wake is looked at.
const WATCH: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) async fn give_back(&mut self, mut seen: Observed, plan: Plan) -> Result<Looked, WorkError> {
        if give_back::without_ours(&seen.app).is_none() {
            // Others' finalizers keep it; there is nothing of ours any more.
            return Ok(Looked::Again(plan.look_after));
        }
        let ends = self.namespace_ends().await?;
        match give_back::stage(Timestamp::now(), &seen, plan.status.phase, ends) {
            Stage::Leave => self.leave(seen).await,
            Stage::Wake(replicas) => {
                self.apply(&mut seen, &plan).await?;
                self.wake(&seen, replicas).await
            }
            Stage::Wait => {
                self.apply(&mut seen, &plan).await?;
                Ok(Looked::Again(WATCH))
            }
        }
    }

    async fn namespace_ends(&self) -> Result<bool, WorkError> {
        let api: Api<Namespace> = Api::all(self.world.client.clone());
        let found = api.get_opt(&self.id.namespace).await?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }

    async fn wake(&self, seen: &Observed, replicas: u32) -> Result<Looked, WorkError> {
        let Ok(scale) = &seen.scale else { return Ok(Looked::Again(WATCH)) };
        if gather::still_shown(&self.world, &self.id, &seen.foreign).await? {
            return Ok(Looked::Again(WATCH));
        }
        let target = &seen.app.spec.target;
        match self.world.parts.scales.set(&self.id.namespace, target, &scale.version, replicas).await {
            Commit::Done => {
                tracing::info!(app = %self.id, replicas, "it is woken to be given back");
                self.world.reports.publish(&seen.app, &News::WokenToBeGivenBack).await;
                Ok(Looked::Again(WATCH))
            }
            Commit::Conflict => Err(WorkError::Conflict),
            Commit::Refused(why) | Commit::Unknown(why) => Err(WorkError::Passing(why)),
        }
    }

    /// What cannot be read cannot be woken, and must not stay for ever either. What was made for it goes with it, as it owns
    /// that.
    pub(super) async fn leave_unread(&mut self, metadata: ObjectMeta) -> Result<(), WorkError> {
        if let Some(uid) = &metadata.uid {
            self.world.ports.free(uid).await?;
        }
        let mut all = metadata.finalizers.unwrap_or_default();
        all.retain(|one| one != names::FINALIZER);
        let patch = json!({"metadata": {"resourceVersion": metadata.resource_version, "finalizers": all}});
        let api: Api<PartialObjectMeta<ScaledApp>> =
            Api::namespaced(self.world.client.clone(), &self.id.namespace);
        let patched = api.patch_metadata(&self.id.name, &own_patch(), &Patch::Merge(patch)).await.map(|_| ());
        apply::ignore_gone(patched)?;
        tracing::warn!(app = %self.id, "it could not be read, and was let go as it stood");
        Ok(())
    }

    /// Takes away everything of ours.
    async fn leave(&mut self, mut seen: Observed) -> Result<Looked, WorkError> {
        let (client, namespace) = (self.world.client.clone(), &self.id.namespace);
        if !seen.slices.is_empty() {
            apply::slices(&client, namespace, &seen, &[]).await?;
            let goes_on = seen.service.as_ref().is_ok_and(|service| service.mode == TrafficMode::Bypass);
            self.closes_at = goes_on.then(|| Instant::now() + self.world.sleep_delay);
        }
        // Until the nodes have heard of it they lead clients to the activators, which serve them as long as there is the app.
        if let Some(left) = self.closes_at.and_then(|at| at.checked_duration_since(Instant::now())) {
            return Ok(Looked::Again(left));
        }
        if let Some(uid) = &seen.app.metadata.uid {
            self.world.ports.free(uid).await?;
        }
        if seen.private.as_ref().is_some_and(|private| objects::is_owned(&private.metadata, &seen.app)) {
            let api: Api<Service> = Api::namespaced(client, namespace);
            let name = names::private_service(&self.id.name);
            apply::ignore_gone(api.delete(&name, &DeleteParams::default()).await.map(|_| ()))?;
        }
        if let Some(finalizers) = give_back::without_ours(&seen.app) {
            match self.set_finalizers(&mut seen.app, finalizers).await {
                // With the last finalizer the object goes.
                Err(WorkError::Passing(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        tracing::info!(app = %self.id, "it was given back");
        Ok(Looked::Again(Duration::from_millis(100)))
    }
}
