//! What follows from what is seen, and that it comes to rest.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{fixtures::*, owners::Foreign},
    *,
};

fn condition(plan: &Plan, about: &str) -> (bool, String) {
    let found = plan.status.conditions.iter().find(|condition| condition.type_ == about).unwrap();
    (found.status == "True", found.reason.clone())
}

fn addresses(plan: &Plan) -> Vec<String> {
    let endpoints = plan.slices.iter().flatten().flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.map(|endpoint| endpoint.addresses[0].clone()).collect()
}

const AWAKE: &str = "Awake";

fn awake() -> Value {
    json!({"phase": AWAKE, "since": "2026-01-01T00:00:00.000000Z"})
}

#[test]
fn an_awake_app_without_a_selector_stays_with_the_activators_and_may_sleep() {
    let seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    let plan = plan(at(0), &seen, true);
    assert_eq!((plan.next.clone(), plan.look_after), (Next::Sleep, RESYNC));
    assert_eq!(addresses(&plan), ["10.0.0.1"]);
    assert_eq!(condition(&plan, "Ready"), (true, "AsDeclared".into()));
    assert_eq!(condition(&plan, "TrafficProgrammed"), (true, "AsDeclared".into()));
    assert_eq!(condition(&plan, "WakeFailed"), (false, "AsDeclared".into()));
    assert!(plan.private.is_some());
    let again = Observed {
        app: app(json!({}), serde_json::to_value(&plan.status).unwrap()),
        private: plan.private.map(|made| Arc::new(*made)),
        ..seen
    };
    let later = super::plan(at(9), &again, true);
    assert_eq!((later.private, later.status), (None, plan.status), "nothing to write");
}

#[test]
fn without_an_activator_an_awake_app_gets_its_traffic_directly_and_does_not_sleep() {
    let mut seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    seen.activators = [].into();
    let plan = plan(at(0), &seen, true);
    assert_eq!((plan.next.clone(), addresses(&plan)), (Next::Rest, vec!["10.1.0.1".to_owned()]));
    assert_eq!(condition(&plan, "TrafficProgrammed"), (false, "NoActivator".into()));
}

#[test]
fn with_a_selector_slices_of_ours_stand_until_the_clusters_own_show_the_pods() {
    let spec = json!({"idle": {"scrape": {"nginx": {"port": 8080}}}});
    let asleep = observed(app(spec.clone(), json!({"phase": "Asleep"})), true, 0, Vec::new());
    assert_eq!(addresses(&plan(at(0), &asleep, true)), ["10.0.0.1"]);
    let ours = plan(at(0), &asleep, true).slices.unwrap().into_iter().map(Arc::new).collect();
    let mut seen = observed(app(spec, awake()), true, 1, vec![pod(1, true, Some(false))]);
    seen.slices = ours;
    let waits = plan(at(0), &seen, true);
    assert_eq!((addresses(&waits), waits.look_after), (vec!["10.0.0.1".to_owned()], WATCH_WAKE));
    assert_eq!(waits.join, [("web-1".to_owned(), "5".to_owned())]);
    seen.pods = vec![pod(1, true, Some(true))];
    seen.shown = true;
    let direct = plan(at(1), &seen, true);
    assert_eq!((direct.slices.as_deref(), direct.join.len()), (Some(&[][..]), 0));
    assert_eq!(direct.next, Next::Sleep);
    seen.pods = vec![pod(1, true, None)];
    assert_eq!(condition(&plan(at(1), &seen, true), "TrafficProgrammed"), (true, "NoReadinessGate".into()));
    let blind = observed(app(json!({}), awake()), true, 1, vec![pod(1, true, Some(true))]);
    let blind = plan(at(1), &blind, true);
    assert_eq!(
        (blind.next.clone(), condition(&blind, "Ready")),
        (Next::Rest, (false, "NoIdleSignal".into()))
    );
}

#[test]
fn no_pod_joins_the_direct_path_of_an_app_that_is_not_awake() {
    for phase in ["Asleep", "Waking"] {
        let mut seen =
            observed(app(json!({}), json!({"phase": phase})), true, 1, vec![pod(1, true, Some(false))]);
        seen.unchanged_for = Duration::ZERO;
        let plan = plan(at(0), &seen, true);
        assert_eq!((plan.status.phase, plan.join.len()), (Some(Phase::Waking), 0));
    }
}

#[test]
fn what_is_wrong_is_said_and_keeps_it_from_sleeping() {
    let seen = || observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    let problem = |reason| Problem::new(reason, "it is so");
    let suspended = observed(app(json!({"suspend": true}), awake()), false, 1, vec![pod(1, true, None)]);
    let tcp = json!([{"servicePort": 80, "port": 20_000, "protocol": "tcp", "upstream": 8080}]);
    let bytes = Observed {
        ports: Ok(serde_json::from_value(tcp).unwrap()),
        ..observed(app(json!({"hold": {"answerAfter": "9s"}}), awake()), false, 1, vec![pod(1, true, None)])
    };
    for (seen, reason, slices) in [
        (Observed { to_zero: Some("hpa".into()), ..seen() }, Reason::HpaScalesToZero, Some(1)),
        (suspended, Reason::Suspended, Some(1)),
        (bytes, Reason::InvalidSpec, Some(1)),
        (
            Observed { conflict: Some(problem(Reason::TargetConflict)), ..seen() },
            Reason::TargetConflict,
            Some(0),
        ),
        (Observed { scale: Err(problem(Reason::TargetNotFound)), ..seen() }, Reason::TargetNotFound, Some(1)),
        (
            Observed { service: Err(problem(Reason::ServiceNotFound)), ..seen() },
            Reason::ServiceNotFound,
            Some(0),
        ),
        (Observed { ports: Err(problem(Reason::PortConflict)), ..seen() }, Reason::PortConflict, None),
    ] {
        let plan = plan(at(0), &seen, true);
        assert_eq!(plan.next, Next::Rest, "{reason}");
        assert_eq!(condition(&plan, "Ready"), (false, reason.as_str().into()));
        assert_eq!(plan.slices.map(|slices| slices.len()), slices, "{reason}");
    }
    let contested = Observed { contested: Some("argocd".into()), ..seen() };
    let plan = plan(at(0), &contested, true);
    assert_eq!(
        (plan.next.clone(), condition(&plan, "Ready")),
        (Next::Sleep, (false, "ReplicasContested".into()))
    );
    let message = &plan.status.conditions[0].message;
    assert!(message.starts_with("the field manager argocd"), "{message}");
}

#[test]
fn a_private_service_of_somebody_else_is_never_written_over() {
    let mut seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    let theirs = json!({"metadata": {"name": "web-reveille"}, "spec": {}});
    seen.private = Some(Arc::new(serde_json::from_value(theirs).unwrap()));
    let plan = plan(at(0), &seen, true);
    assert_eq!((plan.private.is_some(), plan.next.clone()), (false, Next::Rest));
    assert_eq!(condition(&plan, "Ready"), (false, "UnsupportedService".into()));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let mut seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    seen.to_zero = Some("hpa".into());
    seen.host_conflict = Some(Problem::new(Reason::HostConflict, "another has the host"));
    let plan = plan(at(0), &seen, true);
    let ready = plan.status.conditions.iter().find(|one| one.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "HpaScalesToZero");
    let says =
        "has minReplicas 0 (also HostConflict: another has the host): set the autoscaler's minReplicas";
    assert!(ready.message.contains(says), "{}", ready.message);
}

#[test]
fn a_wake_that_cannot_succeed_is_given_up_unless_suspended_or_deleted() {
    let since = "1970-01-12T13:46:40.000000Z";
    let waking = json!({"phase": "Waking", "wake": {"id": "a", "since": since, "step": "Requested"}});
    let seen = |spec| observed(app(spec, waking.clone()), false, 1, vec![pod(1, false, None)]);
    let given_up = plan(at(301), &seen(json!({})), true);
    assert!(matches!(&given_up.next, Next::GiveUp(why) if why.reason == Reason::DeadlineExceeded));
    assert_eq!(condition(&given_up, "WakeFailed"), (true, "DeadlineExceeded".into()));
    assert!(given_up.status.wake_blocked.is_some());
    assert_eq!(plan(at(301), &seen(json!({"suspend": true})), true).next, Next::Rest);
    let mut deleted = seen(json!({}));
    deleted.app.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    assert_eq!(plan(at(301), &deleted, true).next, Next::Rest);
}

proptest! {
    /// Whatever is seen: a plan made again on what it wrote changes nothing more, an app is put to sleep only when it is awake
    /// and an activator would take its traffic, and only pods that serve an awake app join the direct path.
    #[test]
    fn plans_come_to_rest(
        phase in prop::sample::select(vec!["Asleep", "Waking", "Awake"]),
        replicas in 0u32..3, ready in 0u32..3, selector: bool, activators: bool, suspend: bool, gate: Option<bool>, shown: bool,
    ) {
        let ready = ready.min(replicas);
        let pods = (0..replicas).map(|n| pod(n, n < ready, gate)).collect();
        let mut seen = observed(app(json!({"suspend": suspend}), json!({"phase": phase})), selector, replicas, pods);
        seen.shown = shown;
        if !activators {
            seen.activators = [].into();
        }
        // Twice: one that was asleep and serves is waking first.
        for _ in 0..2 {
            let step = plan(at(0), &seen, true);
            seen.app.status = Some(step.status);
            seen.slices = step.slices.into_iter().flatten().map(Arc::new).collect();
            seen.private = step.private.map(|made| Arc::new(*made)).or(seen.private);
        }
        let plan = plan(at(1), &seen, true);
        prop_assert_eq!(&plan.status, &seen.status());
        prop_assert_eq!(plan.private.as_ref(), None);
        if !shown {
            let slices: Vec<_> = plan.slices.iter().flatten().collect();
            prop_assert_eq!(slices, seen.slices.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        }
        let is_awake = plan.status.phase == Some(Phase::Awake);
        prop_assert!(plan.next != Next::Sleep || (is_awake && activators && !suspend && !selector));
        prop_assert!(plan.join.is_empty() || (is_awake && gate == Some(false)));
        prop_assert_eq!(is_awake, ready > 0);
    }
}

#[test]
fn foreign_pods_are_said_and_left_out() {
    let debug = Foreign { uid: "u7".into(), says: "the pod debug, which belongs to no workload".into() };
    let mut seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    seen.foreign = vec![debug];
    let first = plan(at(0), &seen, true);
    assert_eq!(condition(&first, "Ready"), (false, "ForeignPods".into()));
    assert_eq!((&first.next, &*first.status.foreign_pods), (&Next::Sleep, &["u7".to_owned()][..]));
    let mut custom = json!({"target": {"apiVersion": "example.org/v1", "kind": "Rollout", "name": "web"}});
    custom["service"] = "web".into();
    seen.app = app(custom, awake());
    assert_eq!(
        plan(at(0), &seen, true).status.foreign_pods,
        Vec::<String>::new(),
        "nobody can tell for certain"
    );
    seen.app = app(json!({}), serde_json::to_value(&first.status).unwrap());
    seen.foreign.clear();
    let healed = plan(at(61), &seen, true);
    assert_eq!(healed.status.foreign_pods, Vec::<String>::new());
    assert_eq!(condition(&healed, "Ready"), (true, "AsDeclared".into()));
}

#[test]
fn a_named_port_that_no_pod_has_is_said_as_soon_as_there_is_a_pod() {
    let mut seen = observed(app(json!({}), awake()), false, 1, vec![pod(1, true, None)]);
    let service = seen.service.as_mut().unwrap();
    service.ports[0].target = PortRef::Name("htpp".into());
    seen.pods[0].ports = [("http".to_owned(), 8080)].into();
    let lacking = plan(at(0), &seen, true);
    assert_eq!(condition(&lacking, "Ready"), (false, "PortNotFound".into()));
    let message = &lacking.status.conditions[0].message;
    assert!(message.contains("\"htpp\"") && message.contains("http (8080)"), "{message}");
    assert_eq!(lacking.next, Next::Sleep, "its other ports go on");
    seen.pods[0].ports = [("htpp".to_owned(), 8080)].into();
    assert_eq!(condition(&plan(at(0), &seen, true), "Ready"), (true, "AsDeclared".into()));
    seen.pods.clear();
    assert_eq!(condition(&plan(at(0), &seen, true), "Ready"), (true, "AsDeclared".into()));
}

#[test]
fn a_port_that_the_service_lacks_is_a_mistake_of_the_spec() {
    let spec = json!({"wake": {"readiness": {"tcp": {"port": "htpp"}}}});
    let mut seen = observed(app(spec, awake()), false, 1, vec![pod(1, true, None)]);
    seen.service.as_mut().unwrap().ports[0].name = Some("http".into());
    let wrong = plan(at(0), &seen, true);
    assert_eq!((condition(&wrong, "Ready"), wrong.next), ((false, "InvalidSpec".into()), Next::Rest));
    let message = &wrong.status.conditions[0].message;
    assert!(
        message.contains("wake.readiness names the port htpp") && message.contains("are: http"),
        "{message}"
    );
    seen.service.as_mut().unwrap().ports[0].name = Some("htpp".into());
    assert_eq!(condition(&plan(at(0), &seen, true), "Ready"), (true, "AsDeclared".into()));
}
