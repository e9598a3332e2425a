//! What time alone does not mend.

use jiff::Timestamp;
use reveille_core::resource::Reason;

use super::{
    super::pods::{ContainerState, Place, PodView},
    EventView, PODS_TOLD,
};

/// How long the autoscaler's refusal must have stood: it can be transient.
const NO_NODE_AFTER: i64 = 60;
/// How often a pull must have failed.
const PULLS: u32 = 2;
/// How often a container must have ended.
const RESTARTS: u32 = 3;
/// How often pods must have been refused: a webhook that is starting refuses some.
const REFUSALS: u32 = 3;

/// Why a wake cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hopeless {
    pub(crate) reason: Reason,
    /// What happened, as a clause.
    pub(crate) happened: String,
}

/// Whether the wake that began then is hopeless: only if all of its pods are. Of those whose events were not read it is
/// enough that they look no better.
pub(crate) fn hopeless(
    now: Timestamp,
    since: Timestamp,
    pods: &[PodView],
    events: &[EventView],
    target: &str,
) -> Option<Hopeless> {
    let alive: Vec<_> = pods.iter().filter(|pod| !pod.ending).collect();
    if alive.is_empty() {
        return refused(since, events, target);
    }
    let (told, others) = alive.split_at(alive.len().min(PODS_TOLD));
    if others.iter().any(|pod| looks_well(pod)) {
        return None;
    }
    let verdicts: Option<Vec<_>> = told.iter().map(|pod| of_pod(now, pod, events)).collect();
    verdicts.and_then(|verdicts| verdicts.into_iter().next())
}

/// Whether a pod may come up, by what it says itself.
fn looks_well(pod: &PodView) -> bool {
    let waits_for_image =
        |state: &ContainerState| matches!(state, ContainerState::Waiting { reason, .. } if is_pull(reason));
    match pod.place {
        Place::Wanted { .. } => false,
        Place::Found => {
            pod.usable
                || crashing(pod).is_none()
                    && !pod.containers.iter().any(|container| waits_for_image(&container.state))
        }
    }
}

fn of_pod(now: Timestamp, pod: &PodView, events: &[EventView]) -> Option<Hopeless> {
    if pod.usable {
        return None;
    }
    match &pod.place {
        Place::Wanted { since, .. } => no_node(now, *since, pod, events),
        Place::Found => not_pulled(pod, events).or_else(|| crashing(pod)),
    }
}

fn no_node(
    now: Timestamp,
    since: Option<Timestamp>,
    pod: &PodView,
    events: &[EventView],
) -> Option<Hopeless> {
    let waited = now.as_second() - since?.as_second();
    let about = |reasons: &[&str]| {
        let about = events.iter().filter(|event| event.is_about(pod));
        about.filter(|event| reasons.contains(&event.reason.as_str())).max_by_key(|event| event.last)
    };
    about(&["FailedScheduling"])?;
    let autoscaler = about(&["TriggeredScaleUp", "NotTriggerScaleUp"])?;
    (autoscaler.reason == "NotTriggerScaleUp" && waited > NO_NODE_AFTER).then(|| Hopeless {
        reason: Reason::NoNode,
        happened: format!("no node has a place for the pod {}: {}", pod.name, autoscaler.message),
    })
}

/// Whether a container waits for its image, and a pull has failed.
pub(super) fn is_pull(reason: &str) -> bool {
    matches!(reason, "ErrImagePull" | "ImagePullBackOff") || is_final_pull(reason)
}

/// A failure that another try does not change.
fn is_final_pull(reason: &str) -> bool {
    matches!(reason, "InvalidImageName" | "ErrImageNeverPull")
}

fn not_pulled(pod: &PodView, events: &[EventView]) -> Option<Hopeless> {
    let failed: u32 = events
        .iter()
        .filter(|event| {
            event.is_about(pod) && event.reason == "Failed" && event.message.contains("pull image")
        })
        .map(|event| event.count)
        .sum();
    pod.containers.iter().find_map(|container| {
        let ContainerState::Waiting { reason, message } = &container.state else { return None };
        let is_final = is_final_pull(reason) || (is_pull(reason) && failed >= PULLS);
        is_final.then(|| Hopeless {
            reason: Reason::ImageNotPulled,
            happened: format!(
                "an image of the pod {} was not pulled: {}",
                pod.name,
                message.as_ref().unwrap_or(reason)
            ),
        })
    })
}

fn crashing(pod: &PodView) -> Option<Hopeless> {
    pod.containers.iter().find_map(|container| {
        let backs_off = matches!(&container.state, ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff");
        // One that runs may have restarted long before this wake: it is not ready, no more.
        let is_down = container.state != ContainerState::Running;
        (backs_off || is_down && container.restarts >= RESTARTS).then(|| Hopeless {
            reason: Reason::KeepsCrashing,
            happened: format!("a container of the pod {} has ended {} times", pod.name, container.restarts.max(1)),
        })
    })
}

/// Whether pods of this workload were refused. A Deployment's are made by its replica sets, named after it.
pub(super) fn is_refusal(event: &EventView, target: &str) -> bool {
    let is_maker = event.name == target
        || (event.kind == "ReplicaSet"
            && event
                .name
                .strip_prefix(target)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|hash| !hash.contains('-')));
    event.reason == "FailedCreate" && is_maker
}

fn refused(since: Timestamp, events: &[EventView], target: &str) -> Option<Hopeless> {
    // Their times are of whole seconds.
    let is_new = |event: &&EventView| event.last.is_some_and(|last| last.as_second() >= since.as_second());
    let refusals: Vec<_> = events.iter().filter(|event| is_refusal(event, target)).filter(is_new).collect();
    let count: u32 = refusals.iter().map(|event| event.count).sum();
    let last = refusals.iter().max_by_key(|event| event.last)?;
    (count >= REFUSALS).then(|| Hopeless {
        reason: Reason::PodsRefused,
        happened: format!("its pods are refused: {}", last.message),
    })
}
