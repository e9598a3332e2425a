//! Scale-ups that are to come of Deployments without a `ScaledApp`: an annotation of the Deployment itself, so that it
//! outlives every controller and goes with its Deployment.
//!
//! It is written through `/status`, where Kubernetes takes annotations: that is a right that the controller has for its
//! fences anyway, while the right to write Deployments would let it change what they run.
//!
//! Each is done once: the count is raised over the version at which it was seen to be 0 *and* the annotation to be there, and
//! then the annotation goes, if it is still the same. So one that was called off or replaced in the meantime is not done. A
//! leader that ends in between leaves a Deployment that has replicas, of which the next one only takes the annotation off;
//! that, too, over the version at which it had them, as it may be on its way to 0.
//!
//! Of a Deployment that a `ScaledApp` names by now the schedule is handed over to that: see its worker.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch},
};
use reveille_core::{app::AppId, resource::names};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::target;
use crate::cluster::{
    jitter::jittered,
    objects::own_patch,
    traits::{Commit, Scales},
    world::World,
};

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many are scaled up side by side: many are due at the same time, such as 8 in the morning.
const AT_A_TIME: usize = 16;
/// How long one may take before it is tried anew.
const WITHIN: Duration = Duration::from_secs(15);
/// How soon one is tried again that was not done: others have their turn meanwhile.
const AGAIN: Duration = Duration::from_secs(2);

/// A scale-up that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scheduled {
    /// When.
    pub(crate) at: Timestamp,
    /// To how many replicas: what it had.
    pub(super) replicas: u32,
    /// Why, as whoever asked for it said.
    pub(crate) reason: String,
}

/// Whether there is one.
pub(crate) fn is_scheduled(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(names::SCHEDULED_SCALE_UP))
}

/// The one of a Deployment. What somebody has written there by hand and cannot be read is none.
pub(crate) fn of(metadata: &ObjectMeta) -> Option<Scheduled> {
    read(metadata)?.ok()
}

fn read(metadata: &ObjectMeta) -> Option<Result<Scheduled, serde_json::Error>> {
    let text = metadata.annotations.as_ref()?.get(names::SCHEDULED_SCALE_UP)?;
    Some(serde_json::from_str(text))
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
    let (mut under_way, mut pauses) = (HashSet::new(), HashMap::<AppId, Instant>::new());
    // Those of which it was said that theirs cannot be read.
    let mut complained = HashSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let now = Instant::now();
                pauses.retain(|_, until| *until > now);
                for (deployment, scheduled) in due(&world, &mut complained) {
                    if running.len() < AT_A_TIME
                        && !pauses.contains_key(&deployment)
                        && under_way.insert(deployment.clone())
                    {
                        running.push(one(&world, deployment, scheduled));
                    }
                }
            }
            Some((deployment, is_done)) = running.next() => {
                under_way.remove(&deployment);
                if !is_done {
                    pauses.insert(deployment, Instant::now() + jittered(AGAIN));
                }
            }
        }
    }
}

/// What is due, the longest first.
fn due(world: &World, complained: &mut HashSet<AppId>) -> Vec<(AppId, Scheduled)> {
    let now = Timestamp::now();
    let (mut due, mut unreadable) = (Vec::new(), HashSet::new());
    for (deployment, metadata) in world.stores.scheduled_deployments() {
        match read(&metadata) {
            Some(Ok(scheduled)) if scheduled.at <= now => due.push((deployment, scheduled)),
            Some(Err(error)) => {
                if !complained.contains(&deployment) {
                    tracing::warn!(%deployment, %error, "the annotation {} cannot be read, and nothing comes of it", names::SCHEDULED_SCALE_UP);
                }
                unreadable.insert(deployment);
            }
            Some(Ok(_)) | None => {}
        }
    }
    *complained = unreadable;
    due.sort_by_key(|(_, scheduled)| scheduled.at);
    due
}

/// Whether it is done is in the second part.
async fn one(world: &World, deployment: AppId, scheduled: Scheduled) -> (AppId, bool) {
    let fired = fire(&world.client, &*world.parts.scales, &deployment, &scheduled);
    let fired = tokio::time::timeout(WITHIN, fired).await;
    let Scheduled { at, replicas, reason } = scheduled;
    match fired.unwrap_or_else(|_| Err(format!("it is not done within {} s", WITHIN.as_secs()))) {
        Ok(Fired::Raised) => {
            let late_s = Timestamp::now().duration_since(at).as_secs();
            tracing::info!(%deployment, %at, replicas, reason, late_s, "scaled up as scheduled");
            let note = format!("scaled to {replicas} replicas as scheduled: {reason}");
            world.reports.deployment(&deployment, &world.stores, "ScaledUp", note).await;
        }
        Ok(Fired::HadReplicas) => {
            tracing::info!(%deployment, %at, reason, "its scheduled scale-up is over: it has replicas already");
        }
        Ok(Fired::CalledOff) => {
            tracing::debug!(%deployment, %at, "its scheduled scale-up was called off or replaced meanwhile");
        }
        Err(why) => {
            tracing::warn!(%deployment, %at, why, "its scheduled scale-up is not done yet");
            return (deployment, false);
        }
    }
    (deployment, true)
}

/// What came of a scale-up that was due.
#[derive(Debug, PartialEq, Eq)]
enum Fired {
    Raised,
    HadReplicas,
    /// Or replaced, or its Deployment is gone.
    CalledOff,
}

async fn fire(
    client: &Client,
    scales: &dyn Scales,
    deployment: &AppId,
    scheduled: &Scheduled,
) -> Result<Fired, String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &deployment.namespace);
    // What was listed may be old: the count and the schedule as they are at one version.
    let read = match api.get_opt(&deployment.name).await {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(Fired::CalledOff),
        Err(error) => return Err(error.to_string()),
    };
    if of(&read.metadata).as_ref() != Some(scheduled) {
        return Ok(Fired::CalledOff);
    }
    let fired = if read.spec.replicas == Some(0) {
        let version = read.metadata.resource_version.as_deref().unwrap_or_default();
        match scales.set(&deployment.namespace, &target(deployment), version, scheduled.replicas).await {
            Commit::Done => {}
            Commit::Conflict => return Err("it was written by somebody else meanwhile".to_owned()),
            Commit::Refused(why) | Commit::Unknown(why) => return Err(why),
        }
        // Best effort, as it is for people to see.
        let _ = note_scaled(client, deployment).await;
        take_off(client, deployment, &read.metadata).await.map(|_| Fired::Raised)
    } else {
        match take_off_over_version(client, deployment, &read.metadata).await {
            Ok(false) => return Err("it was written by somebody else meanwhile".to_owned()),
            other => other.map(|_| Fired::HadReplicas),
        }
    };
    fired.map_err(|error| error.to_string())
}

/// Takes the annotation off that this metadata has; not one that replaced it. Returns whether it did.
pub(crate) async fn take_off(client: &Client, of: &AppId, read: &ObjectMeta) -> Result<bool, kube::Error> {
    remove(client, of, read, Vec::new()).await
}

/// The same, only if nothing else has changed either.
async fn take_off_over_version(client: &Client, of: &AppId, read: &ObjectMeta) -> Result<bool, kube::Error> {
    let version = json!({"op": "test", "path": "/metadata/resourceVersion", "value": read.resource_version});
    remove(client, of, read, vec![version]).await
}

async fn remove(
    client: &Client,
    of: &AppId,
    read: &ObjectMeta,
    mut patch: Vec<serde_json::Value>,
) -> Result<bool, kube::Error> {
    let text = read.annotations.as_ref().and_then(|annotations| annotations.get(names::SCHEDULED_SCALE_UP));
    // RFC 6901: a slash in a name is ~1.
    let path = format!("/metadata/annotations/{}", names::SCHEDULED_SCALE_UP.replace('/', "~1"));
    patch.push(json!({"op": "test", "path": path, "value": text}));
    patch.push(json!({"op": "remove", "path": path}));
    let patch = Patch::<()>::Json(serde_json::from_value(patch.into()).expect("it is a patch"));
    let api: Api<Deployment> = Api::namespaced(client.clone(), &of.namespace);
    match api.patch_status(&of.name, &own_patch(), &patch).await {
        Ok(_) => Ok(true),
        // A test failed: it is another one by now, or gone.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cluster::{
        fixtures::{api_server, problem, scale},
        scales::{KubeScales, Once},
    };

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

    fn read(replicas: u32, scheduled: Option<&Scheduled>) -> (u16, Value) {
        let text = scheduled.map(|one| serde_json::to_string(one).unwrap());
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "team", "resourceVersion": "7",
                "annotations": {names::SCHEDULED_SCALE_UP: text.unwrap_or_default()}},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
        });
        (200, object)
    }

    async fn asked(answers: Vec<(u16, Value)>) -> (Result<Fired, String>, Vec<(String, Value)>) {
        let (client, asked) = api_server(answers);
        let scales = KubeScales::new(client.clone(), Once(client.clone()));
        let fired = fire(&client, &scales, &AppId::new("team", "web"), &scheduled(3)).await;
        let asked = std::mem::take(&mut *asked.lock().unwrap()).into_iter();
        let asked = asked.map(|(method, path, body)| (format!("{method} {}", shortened(&path)), body));
        (fired, asked.collect())
    }

    fn shortened(path: &str) -> &str {
        let path = path.split('?').next().unwrap_or_default();
        path.strip_prefix("/apis/apps/v1/namespaces/team/deployments/").unwrap_or(path)
    }

    fn scheduled(replicas: u32) -> Scheduled {
        Scheduled { at: Timestamp::UNIX_EPOCH, replicas, reason: "morning".into() }
    }

    #[tokio::test]
    async fn it_is_done_over_the_version_that_has_it_and_taken_off_if_it_is_the_same() {
        let due = scheduled(3);
        let raised = vec![read(0, Some(&due)), scale("8", &json!({})), read(3, None), read(3, None)];
        let (fired, calls) = asked(raised).await;
        assert_eq!(fired, Ok(Fired::Raised));
        let order: Vec<_> = calls.iter().map(|(call, _)| call.as_str()).collect();
        assert_eq!(order, ["GET web", "PATCH web/scale", "PATCH web/status", "PATCH web/status"]);
        assert_eq!(calls[1].1, json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}}));
        let path = "/metadata/annotations/reveille.dev~1scheduled-scale-up";
        let text = serde_json::to_string(&due).unwrap();
        assert_eq!(
            calls[3].1,
            json!([{"op": "test", "path": path, "value": text}, {"op": "remove", "path": path}])
        );
    }

    #[tokio::test]
    async fn one_that_was_called_off_or_replaced_is_not_done() {
        for now in [read(0, None), read(0, Some(&scheduled(5))), problem(404, "NotFound")] {
            let (fired, calls) = asked(vec![now]).await;
            assert_eq!((fired, calls.len()), (Ok(Fired::CalledOff), 1), "{calls:?}");
        }
        // Between the look and the write.
        let (fired, calls) = asked(vec![read(0, Some(&scheduled(3))), problem(409, "Conflict")]).await;
        assert!(fired.is_err() && calls.len() == 2, "{calls:?}");
        // It has replicas: only over the version at which it had them the annotation goes.
        let (fired, calls) = asked(vec![read(1, Some(&scheduled(3))), read(1, None)]).await;
        assert_eq!((fired, calls.len()), (Ok(Fired::HadReplicas), 2), "{calls:?}");
        assert_eq!(calls[1].1[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
        let (fired, calls) = asked(vec![read(1, Some(&scheduled(3))), problem(422, "Invalid")]).await;
        assert!(fired.is_err() && calls.len() == 2, "it is looked at again: {calls:?}");
    }
}
