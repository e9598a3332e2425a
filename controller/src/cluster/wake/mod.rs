//! How a wake goes on, as pods and events show it: pure.
//!
//! A wake stands where its furthest pod stands. It is hopeless once something is seen that time alone does not mend.

mod hopeless;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use reveille_core::wake::Step;

pub(crate) use self::hopeless::{Hopeless, hopeless};
use super::pods::{ContainerState, Place, PodView};

/// How long a pod without a node may be one that is about to get one: the autoscaler looks every 10 s, and only its word
/// tells whether a node is coming.
const AUTOSCALER_LOOKS: i64 = 12;
/// Of how many pods of a wake the events are read: the first ones that are not ending. Hundreds may be started alike.
pub(crate) const PODS_TOLD: usize = 3;

/// An event about a pod or about what makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventView {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// How often.
    pub(crate) count: u32,
    /// When it was seen last.
    pub(crate) last: Option<Timestamp>,
}

impl EventView {
    pub(crate) fn new(event: Event) -> Self {
        let series = event.series.as_ref();
        let times = [
            series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0),
            event.last_timestamp.as_ref().map(|time| time.0),
            event.event_time.as_ref().map(|time| time.0),
            event.first_timestamp.as_ref().map(|time| time.0),
            event.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ];
        let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
        Self {
            kind: event.involved_object.kind.unwrap_or_default(),
            name: event.involved_object.name.unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: u32::try_from(count).unwrap_or(1).max(1),
            last: times.into_iter().flatten().next(),
        }
    }

    pub(super) fn is_about(&self, pod: &PodView) -> bool {
        self.kind == "Pod" && self.name == pod.name
    }
}

/// Where a wake stands, and what it waits for, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) step: Step,
    pub(crate) reason: Option<String>,
}

/// Where the wake of an app with these pods stands.
pub(crate) fn progress(now: Timestamp, pods: &[PodView], events: &[EventView], target: &str) -> Progress {
    let alive = pods.iter().filter(|pod| !pod.ending);
    let furthest = alive.map(|pod| of_pod(now, pod, events)).max_by_key(|progress| progress.step);
    furthest.unwrap_or_else(|| {
        let refused = events.iter().rfind(|event| hopeless::is_refusal(event, target));
        Progress { step: Step::Requested, reason: refused.map(|event| event.message.clone()) }
    })
}

fn of_pod(now: Timestamp, pod: &PodView, events: &[EventView]) -> Progress {
    let last = |reasons: &[&str]| {
        let about = events.iter().filter(|event| event.is_about(pod));
        about.filter(|event| reasons.contains(&event.reason.as_str())).max_by_key(|event| event.last)
    };
    if let Place::Wanted { since, why } = &pod.place {
        let autoscaler = last(&["TriggeredScaleUp", "NotTriggerScaleUp"]);
        let waited = since.map_or(0, |since| now.as_second() - since.as_second());
        let step = match autoscaler.map(|event| event.reason.as_str()) {
            Some("TriggeredScaleUp") => Step::NodeProvisioning,
            None if waited < AUTOSCALER_LOOKS => Step::Requested,
            _ => Step::Scheduling,
        };
        let reason = autoscaler.map(|event| event.message.clone()).or_else(|| why.clone());
        return Progress { step, reason };
    }
    if pod.usable {
        return Progress { step: Step::Ready, reason: None };
    }
    let waiting = pod.containers.iter().find_map(|container| match &container.state {
        ContainerState::Waiting { reason, message } => Some((reason.as_str(), message.clone())),
        ContainerState::Running | ContainerState::Ended(_) => None,
    });
    match waiting {
        None if pod.containers.iter().any(|container| container.state == ContainerState::Running) => {
            let unhealthy = last(&["Unhealthy"]);
            Progress { step: Step::Probing, reason: unhealthy.map(|event| event.message.clone()) }
        }
        // Its node has not said anything of it yet.
        None if pod.containers.is_empty() => Progress { step: Step::Scheduling, reason: None },
        None => Progress { step: Step::Starting, reason: None },
        Some((reason, message)) if hopeless::is_pull(reason) => {
            Progress { step: Step::Pulling, reason: message.or_else(|| Some(reason.to_owned())) }
        }
        Some((reason, message)) => {
            // Without a word of its image the step is not known, and steps only go forward.
            let step = match last(&["Pulling", "Pulled"]).map(|event| event.reason.as_str()) {
                Some("Pulling") => Step::Pulling,
                Some(_) => Step::Starting,
                None => Step::Scheduling,
            };
            let trouble = last(&["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"]);
            let plain = matches!(reason, "" | "ContainerCreating" | "PodInitializing");
            let reason = match plain {
                true => trouble.map(|event| event.message.clone()),
                false => message.or_else(|| Some(reason.to_owned())),
            };
            Progress { step, reason }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
