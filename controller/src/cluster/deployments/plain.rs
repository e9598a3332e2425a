//! Deployments without a `ScaledApp`: scaled as asked, each write over the version that was read.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::Deployment,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
};
use kube::{Api, Client, core::PartialObjectMeta};
use reveille_core::{
    app::AppId,
    resource::{TargetSpec, names},
    scale::{DeploymentStatus, ScaleState, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};

use super::{
    failed,
    schedule::{self, Scheduled},
};
use crate::{
    cluster::{
        jitter::jittered,
        traits::{Commit, Scale, ScaleError, Scales},
    },
    traits::DeploymentError,
};

/// How often a write is tried against writes of others.
const TRIES: u32 = 8;
/// The pause before it is tried again: up to so long, doubling.
const PAUSE: Duration = Duration::from_millis(20);

/// See the [module](self).
pub(super) struct Plain {
    pub(super) client: Client,
    pub(super) scales: Arc<dyn Scales>,
    /// Whether this controller leads.
    pub(super) leads: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Why the count was not set, as far as is known.
struct NotSet {
    error: DeploymentError,
    /// The answer to the last write was lost: it may still be done.
    may_be_done: bool,
}

impl Plain {
    pub(super) async fn to_zero(
        &self,
        which: &AppId,
        order: ScaleToZero,
    ) -> Result<ScaledToZero, DeploymentError> {
        let before = self.scale(which).await?;
        let known = schedule::of(&self.metadata(which).await?);
        // First, so that nothing is put to sleep that would not be woken.
        let wanted = order.scheduled_scale_up.map(|at| Scheduled {
            at,
            replicas: Some(before.replicas)
                .filter(|replicas| *replicas > 0)
                .or(known.as_ref().map(|known| known.replicas))
                .unwrap_or(1),
            reason: order.reason.clone(),
        });
        // And one that is called off must not come in between.
        if wanted != known {
            self.reschedule(which, wanted.as_ref()).await?;
        }
        let previous = match self.set(which, 0).await {
            Ok(previous) => previous,
            // A schedule for what may still be scaled to zero stays: without it that would not come back.
            Err(NotSet { error, may_be_done }) => {
                if wanted != known
                    && !may_be_done
                    && let Err(error) = self.reschedule(which, known.as_ref()).await
                {
                    tracing::error!(deployment = %which, %error, "it was not scaled to zero, but its new schedule could not be undone");
                }
                return Err(error);
            }
        };
        if let Some(wanted) = wanted.filter(|wanted| wanted.at <= Timestamp::now()) {
            self.still_scheduled(which, &wanted).await?;
        }
        Ok(ScaledToZero {
            name: which.name.to_string(),
            namespace: which.namespace.to_string(),
            previous_replicas: previous,
            current_replicas: 0,
            target_replicas: 0,
            target_status: "scaled-to-zero".to_owned(),
            scaling_reason: order.reason,
            scheduled_scale_up: order.scheduled_scale_up,
            phase: None,
        })
    }

    /// Its time came before the count was 0: it had replicas still, and the schedule was taken off as done.
    async fn still_scheduled(&self, which: &AppId, wanted: &Scheduled) -> Result<(), DeploymentError> {
        if !schedule::is_scheduled(&self.metadata(which).await?) && self.scale(which).await?.replicas == 0 {
            self.reschedule(which, Some(wanted)).await?;
        }
        Ok(())
    }

    pub(super) async fn up(&self, which: &AppId, order: ScaleUp) -> Result<ScaledUp, DeploymentError> {
        let previous = self.set(which, order.replicas).await.map_err(|not_set| not_set.error)?;
        let metadata = self.metadata(which).await?;
        if schedule::is_scheduled(&metadata) {
            let taken_off = schedule::take_off(&self.client, which, &metadata).await;
            taken_off.map_err(|error| failed(which, &error))?;
        }
        let existing = self.scale(which).await?.existing;
        Ok(ScaledUp {
            name: which.name.to_string(),
            namespace: which.namespace.to_string(),
            previous_replicas: previous,
            current_replicas: existing,
            target_replicas: order.replicas,
            target_status: "scaling-up".to_owned(),
            scaling_reason: order.reason,
            phase: None,
        })
    }

    /// Sets the count, and returns the one before.
    async fn set(&self, which: &AppId, replicas: u32) -> Result<u32, NotSet> {
        let mut may_be_done = false;
        let set = self.try_to_set(which, replicas, &mut may_be_done).await;
        set.map_err(|error| NotSet { error, may_be_done })
    }

    async fn try_to_set(
        &self,
        which: &AppId,
        replicas: u32,
        may_be_done: &mut bool,
    ) -> Result<u32, DeploymentError> {
        let target = target(which);
        let mut pause = PAUSE;
        let mut previous = None;
        for _ in 0..TRIES {
            let scale = self.scale(which).await?;
            if scale.replicas == replicas {
                if previous.is_some() {
                    // By a write of ours before this, most likely.
                    self.note_scaled(which).await;
                }
                return Ok(previous.unwrap_or(scale.replicas));
            }
            previous = Some(scale.replicas);
            // Another one that leads by now may have been told something else since.
            if !(self.leads)() {
                return Err(not_leading());
            }
            match self.scales.set(&which.namespace, &target, &scale.version, replicas).await {
                Commit::Done => {
                    self.note_scaled(which).await;
                    return Ok(scale.replicas);
                }
                // Then no write before it, over the same version or an older one, can be done any more.
                Commit::Conflict => *may_be_done = false,
                // Whether it was done shows when it is read again.
                Commit::Unknown(_) => *may_be_done = true,
                Commit::Refused(why) => {
                    *may_be_done = false;
                    return Err(DeploymentError::Failed(format!("{which} cannot be scaled: {why}")));
                }
            }
            tokio::time::sleep(jittered(pause)).await;
            pause *= 2;
        }
        Err(DeploymentError::Conflict(format!(
            "the Deployment {which} is written by others all the time, or the API server does not say how it ended; see its status and try again"
        )))
    }

    /// Best effort, as it is for people to see.
    async fn note_scaled(&self, which: &AppId) {
        if let Err(error) = schedule::note_scaled(&self.client, which).await {
            tracing::warn!(deployment = %which, %error, "when it was scaled is not noted");
        }
    }

    async fn scale(&self, which: &AppId) -> Result<Scale, DeploymentError> {
        self.scales.get(&which.namespace, &target(which)).await.map_err(|error| match error {
            ScaleError::NotFound(_) => DeploymentError::NotFound(format!("there is no Deployment {which}")),
            ScaleError::NotScalable(why) | ScaleError::NotPermitted(why) => DeploymentError::Failed(why),
            ScaleError::Unreachable(_) => {
                DeploymentError::Unavailable { reason: error.to_string(), retry_in_s: None }
            }
        })
    }

    async fn metadata(&self, which: &AppId) -> Result<ObjectMeta, DeploymentError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &which.namespace);
        let found: Result<PartialObjectMeta<Deployment>, _> = api.get_metadata(&which.name).await;
        found.map(|found| found.metadata).map_err(|error| failed(which, &error))
    }

    async fn reschedule(&self, which: &AppId, to: Option<&Scheduled>) -> Result<(), DeploymentError> {
        schedule::write(&self.client, which, to).await.map_err(|error| failed(which, &error))
    }
}

/// What is asked of a controller that does not lead, or not any more.
pub(super) fn not_leading() -> DeploymentError {
    DeploymentError::Unavailable { reason: "this controller stands by".to_owned(), retry_in_s: Some(1) }
}

/// A Deployment as a target.
pub(crate) fn target(which: &AppId) -> TargetSpec {
    TargetSpec {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: which.name.to_string(),
    }
}

/// The replicas as they stand: pure.
pub(super) fn status(of: &AppId, deployment: &Deployment) -> DeploymentStatus {
    let count = |count: Option<i32>| u32::try_from(count.unwrap_or_default()).unwrap_or_default();
    // A count that is left out is 1: the API server fills it in.
    let desired = count(deployment.spec.replicas.or(Some(1)));
    let status = deployment.status.as_ref();
    let current = count(status.and_then(|status| status.replicas));
    DeploymentStatus {
        name: of.name.to_string(),
        namespace: of.namespace.to_string(),
        deployment: of.name.to_string(),
        current_replicas: current,
        desired_replicas: desired,
        available_replicas: count(status.and_then(|status| status.available_replicas)),
        status: ScaleState::of(current, desired),
        last_scale_time: last_scaled(&deployment.metadata),
        scheduled_scale_up: None,
        phase: None,
    }
}

/// When it was last scaled: by the API as that has noted, by others as the API server keeps of writes of `/scale`, which it
/// does not of a count of 0. What `kubectl apply` does to the count is told apart from the rest of a manifest by nothing,
/// and so is not counted.
fn last_scaled(metadata: &ObjectMeta) -> Option<Timestamp> {
    let noted = metadata.annotations.as_ref().and_then(|all| all.get(names::LAST_SCALED));
    let noted = noted.and_then(|text| text.parse().ok());
    let of_scale = |entry: &&ManagedFieldsEntry| entry.subresource.as_deref() == Some("scale");
    let managers = metadata.managed_fields.iter().flatten().filter(of_scale);
    managers.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).chain(noted).max()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{
        fixtures::{Asked, api_server, problem, scale},
        scales::{KubeScales, Once},
    };

    fn shown(desired: &Value, status: &Value, managers: &Value) -> DeploymentStatus {
        let deployment = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": managers},
            "spec": {"replicas": desired, "selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap();
        status_of(&deployment)
    }

    fn status_of(deployment: &Deployment) -> DeploymentStatus {
        status(&AppId::new("team", "web"), deployment)
    }

    #[test]
    fn replicas_are_shown_as_they_stand() {
        let none = shown(&json!(0), &json!({}), &json!([]));
        assert_eq!((none.status, none.last_scale_time), (ScaleState::Inactive, None));
        let scaling = shown(&json!(3), &json!({"replicas": 1, "availableReplicas": 1}), &json!([]));
        assert_eq!((scaling.status, scaling.current_replicas), (ScaleState::Scaling, 1));
        let active = shown(&json!(2), &json!({"replicas": 2, "availableReplicas": 2}), &json!([]));
        assert_eq!((active.status, active.available_replicas), (ScaleState::Active, 2));
        assert_eq!(shown(&Value::Null, &json!({"replicas": 1}), &json!([])).desired_replicas, 1);
    }

    #[test]
    fn it_was_last_scaled_when_somebody_wrote_its_scale_and_not_when_it_was_made() {
        let managers = json!([
            {"manager": "kubectl", "operation": "Update", "time": "2026-01-09T00:00:00Z"},
            {"manager": "kubectl", "operation": "Update", "subresource": "scale", "time": "2026-01-02T00:00:00Z"},
            {"manager": "reveille", "operation": "Update", "subresource": "scale", "time": "2026-01-03T00:00:00Z"},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-01-08T00:00:00Z"},
        ]);
        let time = shown(&json!(1), &json!({"replicas": 1}), &managers).last_scale_time;
        assert_eq!(time, Some("2026-01-03T00:00:00Z".parse().unwrap()));
        let noted = ObjectMeta {
            annotations: Some([(names::LAST_SCALED.to_owned(), "2026-01-04T00:00:00Z".to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(last_scaled(&noted), Some("2026-01-04T00:00:00Z".parse().unwrap()));
    }

    fn plain(answers: Vec<(u16, Value)>) -> (Plain, Asked) {
        let (client, asked) = api_server(answers);
        let scales = Arc::new(KubeScales::new(client.clone(), Once(client.clone())));
        (Plain { client, scales, leads: Box::new(|| true) }, asked)
    }

    /// The Deployment's metadata, with that in its annotation.
    fn metadata(scheduled: Option<&str>) -> (u16, Value) {
        let annotations = scheduled.map(|text| json!({names::SCHEDULED_SCALE_UP: text}));
        let object = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "web", "namespace": "team", "resourceVersion": "7", "annotations": annotations},
        });
        (200, object)
    }

    fn written() -> (u16, Value) {
        (200, json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}))
    }

    fn order(at: &str) -> ScaleToZero {
        let at = Some(at.parse().unwrap());
        ScaleToZero { reason: "night".into(), scheduled_scale_up: at, wake_on_request: true }
    }

    /// What was written into the annotation, in order.
    fn schedules(asked: &Asked) -> Vec<Option<String>> {
        let asked = asked.lock().unwrap();
        let written = asked.iter().filter_map(|(_, _, body)| {
            body["metadata"]["annotations"].as_object()?.get(names::SCHEDULED_SCALE_UP)
        });
        written.map(|text| text.as_str().map(str::to_owned)).collect()
    }

    #[tokio::test]
    async fn a_schedule_whose_time_comes_before_the_count_is_0_is_not_lost() {
        let two = || scale("7", &json!({"replicas": 2}));
        let begin = || vec![two(), metadata(None), written(), two(), scale("8", &json!({})), written()];
        // Taken off as done, as there were replicas still; or not.
        for (found, wanted) in [(None, 2), (Some("{}"), 1)] {
            let end = [metadata(found), scale("8", &json!({})), written()];
            let (plain, asked) = plain(begin().into_iter().chain(end).collect());
            plain.to_zero(&AppId::new("team", "web"), order("1970-01-01T00:00:00Z")).await.unwrap();
            let schedules = schedules(&asked);
            assert_eq!(schedules.len(), wanted, "{schedules:?}");
            assert!(schedules.iter().all(|one| *one == schedules[0] && one.is_some()), "{schedules:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_schedule_is_undone_only_if_it_is_certain_that_nothing_sleeps() {
        let two = || scale("7", &json!({"replicas": 2}));
        let begin = || vec![two(), metadata(None), written()];
        for (answer, undone) in [(problem(409, "Conflict"), true), (problem(504, "Timeout"), false)] {
            let tries = (0..TRIES).flat_map(|_| [two(), answer.clone()]);
            let (plain, asked) = plain(begin().into_iter().chain(tries).chain([written()]).collect());
            let end = plain.to_zero(&AppId::new("team", "web"), order("2999-01-01T00:00:00Z")).await;
            assert!(matches!(end, Err(DeploymentError::Conflict(_))), "{end:?}");
            let schedules = schedules(&asked);
            assert!(schedules[0].is_some());
            assert_eq!(schedules[1..], [None; 1][..usize::from(undone)], "{schedules:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_written_by_one_that_does_not_lead_any_more() {
        let (mut plain, asked) = plain(vec![scale("7", &json!({"replicas": 2}))]);
        plain.leads = Box::new(|| false);
        let up = ScaleUp { replicas: 3, reason: "day".into() };
        let end = plain.up(&AppId::new("team", "web"), up).await;
        assert!(matches!(end, Err(DeploymentError::Unavailable { .. })), "{end:?}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}
