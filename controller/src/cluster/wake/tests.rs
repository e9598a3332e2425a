//! Where a wake stands by its pods and their events, and when it is hopeless.

use reveille_core::resource::Reason;
use serde_json::json;

use super::{super::pods::from_json, *};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn event(kind: &str, name: &str, reason: &str, message: &str, count: u32, second: i64) -> EventView {
    EventView {
        kind: kind.into(),
        name: name.into(),
        reason: reason.into(),
        message: message.into(),
        count,
        last: Some(at(second)),
    }
}

fn of_pod(reason: &str, message: &str, second: i64) -> EventView {
    event("Pod", "web-1", reason, message, 1, second)
}

fn pending(since: i64) -> PodView {
    from_json(json!({
        "metadata": {"name": "web-1"},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available", "lastTransitionTime": at(since).to_string()}]},
    }))
}

fn placed(state: serde_json::Value, restarts: i32, ready: bool) -> PodView {
    let mut container =
        json!({"name": "c", "image": "", "imageID": "", "ready": ready, "restartCount": restarts});
    container["state"] = state;
    from_json(json!({
        "metadata": {"name": "web-1"},
        "spec": {"nodeName": "n", "containers": []},
        "status": {
            "conditions": [{"type": "ContainersReady", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [container],
        },
    }))
}

fn waiting(reason: &str) -> PodView {
    placed(json!({"waiting": {"reason": reason, "message": format!("{reason}: words")}}), 0, false)
}

fn step(now: i64, pods: &[PodView], events: &[EventView]) -> (Step, Option<String>) {
    let progress = progress(at(now), pods, events, "web");
    (progress.step, progress.reason)
}

#[test]
fn a_wake_stands_where_its_furthest_pod_stands() {
    let up = of_pod("TriggeredScaleUp", "pod triggered scale-up", 3);
    assert_eq!(step(0, &[], &[]), (Step::Requested, None));
    assert_eq!(step(5, &[pending(0)], &[]), (Step::Requested, Some("0/1 nodes are available".into())));
    assert_eq!(step(20, &[pending(0)], &[]).0, Step::Scheduling);
    assert_eq!(
        step(20, &[pending(0)], std::slice::from_ref(&up)),
        (Step::NodeProvisioning, Some("pod triggered scale-up".into()))
    );
    let pulling = of_pod("Pulling", "", 4);
    let creating = waiting("ContainerCreating");
    assert_eq!(
        step(20, std::slice::from_ref(&creating), std::slice::from_ref(&pulling)),
        (Step::Pulling, None)
    );
    assert_eq!(
        step(20, std::slice::from_ref(&creating), &[pulling, of_pod("Pulled", "", 5)]),
        (Step::Starting, None)
    );
    assert_eq!(step(20, &[waiting("ErrImagePull")], &[]).1.as_deref(), Some("ErrImagePull: words"));
    let running = placed(json!({"running": {}}), 0, false);
    let unhealthy = of_pod("Unhealthy", "503", 6);
    assert_eq!(step(20, &[pending(0), running], &[up, unhealthy]), (Step::Probing, Some("503".into())));
    assert_eq!(step(20, &[placed(json!({"running": {}}), 0, true)], &[]), (Step::Ready, None));
}

fn verdict(now: i64, pods: &[PodView], events: &[EventView]) -> Option<Reason> {
    hopeless(at(now), at(0), pods, events, "web").map(|hopeless| hopeless.reason)
}

#[test]
fn images_that_cannot_be_pulled_are_hopeless_after_a_second_try() {
    let failed = |count| event("Pod", "web-1", "Failed", "Failed to pull image \"x\": not found", count, 1);
    assert_eq!(verdict(5, &[waiting("ErrImagePull")], &[failed(1)]), None);
    assert_eq!(verdict(5, &[waiting("ImagePullBackOff")], &[failed(2)]), Some(Reason::ImageNotPulled));
    assert_eq!(verdict(5, &[waiting("ErrImageNeverPull")], &[]), Some(Reason::ImageNotPulled));
    assert_eq!(verdict(5, &[waiting("ContainerCreating")], &[failed(2)]), None);
    let good = placed(json!({"running": {}}), 0, false);
    assert_eq!(verdict(5, &[waiting("ErrImageNeverPull"), good], &[]), None, "another may come up");
}

#[test]
fn of_many_pods_the_first_ones_are_told_for_all() {
    let named = |pod: PodView, nth: usize| PodView { name: format!("web-{nth}"), ..pod };
    let of = |nth: usize, reason: &str, message: &str, count| {
        event("Pod", &format!("web-{nth}"), reason, message, count, 30)
    };
    let many = |pod: &PodView| (0..9).map(|nth| named(pod.clone(), nth)).collect::<Vec<_>>();
    let told = |reason: &str, message: &str, count| {
        (0..PODS_TOLD).map(|nth| of(nth, reason, message, count)).collect::<Vec<_>>()
    };
    let failed = told("Failed", "Failed to pull image \"x\": not found", 2);
    let mut pulls = many(&waiting("ImagePullBackOff"));
    assert_eq!(verdict(5, &pulls, &failed), Some(Reason::ImageNotPulled));
    assert_eq!(verdict(5, &pulls, &failed[1..]), None, "of one that is told nothing is known yet");
    pulls[8] = named(waiting("ContainerCreating"), 8);
    assert_eq!(verdict(5, &pulls, &failed), None, "another may come up");
    let refused = [told("FailedScheduling", "0/1", 1), told("NotTriggerScaleUp", "no", 1)].concat();
    let mut homeless = many(&pending(0));
    assert_eq!(verdict(61, &homeless, &refused), Some(Reason::NoNode));
    homeless[8] = named(placed(json!({"running": {}}), 0, false), 8);
    assert_eq!(verdict(61, &homeless, &refused), None, "another has its place");
}

#[test]
fn crashes_in_a_row_are_hopeless() {
    assert_eq!(verdict(5, &[waiting("CrashLoopBackOff")], &[]), Some(Reason::KeepsCrashing));
    let ended = json!({"terminated": {"exitCode": 1}});
    assert_eq!(verdict(5, &[placed(ended.clone(), 3, false)], &[]), Some(Reason::KeepsCrashing));
    assert_eq!(verdict(5, &[placed(ended, 2, false)], &[]), None);
    let blip = placed(json!({"running": {}}), 9, false);
    assert_eq!(
        verdict(5, &[blip], &[]),
        None,
        "it restarted in the course of its life, and is only not ready"
    );
    assert_eq!(verdict(5, &[placed(json!({"running": {}}), 9, true)], &[]), None, "it is there");
}

#[test]
fn no_node_is_hopeless_once_the_refusal_has_stood() {
    let failed = of_pod("FailedScheduling", "0/1", 1);
    let not = of_pod("NotTriggerScaleUp", "pod didn't trigger scale-up", 30);
    let up = of_pod("TriggeredScaleUp", "up", 40);
    assert_eq!(verdict(60, &[pending(0)], &[failed.clone(), not.clone()]), None);
    assert_eq!(verdict(61, &[pending(0)], &[failed.clone(), not.clone()]), Some(Reason::NoNode));
    assert_eq!(verdict(61, &[pending(0)], &[failed.clone(), not, up]), None, "a node comes after all");
    assert_eq!(verdict(999, &[pending(0)], &[failed]), None, "without an autoscaler it is the deadline's");
}

#[test]
fn pods_that_are_refused_are_hopeless_and_others_refusals_are_not_ours() {
    let refused = |kind: &str, name: &str, count, second| {
        event(kind, name, "FailedCreate", "exceeded quota", count, second)
    };
    assert_eq!(verdict(5, &[], &[refused("ReplicaSet", "web-5d9c", 3, 1)]), Some(Reason::PodsRefused));
    assert_eq!(verdict(5, &[], &[refused("StatefulSet", "web", 4, 1)]), Some(Reason::PodsRefused));
    assert_eq!(verdict(5, &[], &[refused("ReplicaSet", "web-5d9c", 2, 1)]), None);
    assert_eq!(verdict(5, &[], &[refused("ReplicaSet", "web-5d9c", 9, -1)]), None, "of an earlier wake");
    assert_eq!(verdict(5, &[], &[refused("ReplicaSet", "web-api-5d9c", 9, 1)]), None);
    assert_eq!(verdict(5, &[], &[refused("ReplicaSet", "webx-5d9c", 9, 1)]), None);
    assert_eq!(step(5, &[], &[refused("ReplicaSet", "web-5d9c", 1, 1)]).1.as_deref(), Some("exceeded quota"));
}
