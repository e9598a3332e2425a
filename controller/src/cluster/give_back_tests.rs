//! How far the giving back of an app is, by what is seen of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{
    super::fixtures::{app, at, observed, pod},
    *,
};
use crate::cluster::{observe::Problem, traffic};
use reveille_core::resource::Reason;

/// An app that was deleted at second 0.
fn deleted(spec: Value, selector: bool, replicas: u32, gate: Option<bool>) -> Observed {
    let pods = (0..replicas).map(|n| pod(n, true, gate)).collect();
    let mut seen = observed(app(spec, json!({"formerReplicas": 3})), selector, replicas, pods);
    seen.app.metadata.deletion_timestamp = Some(Time(at(0)));
    seen
}

const AWAKE: Option<Phase> = Some(Phase::Awake);

#[test]
fn one_that_sleeps_is_woken_waited_for_and_then_left() {
    let asleep = deleted(json!({"wake": {"maxReplicas": 2}}), false, 0, None);
    assert_eq!(stage(at(1), &asleep, Some(Phase::Asleep), false), Stage::Wake(2));
    let up = deleted(json!({}), false, 1, None);
    assert_eq!(stage(at(2), &up, Some(Phase::Waking), false), Stage::Wait);
    assert_eq!(stage(at(2), &up, AWAKE, false), Stage::Leave);
    assert_eq!(stage(at(301), &up, Some(Phase::Waking), false), Stage::Leave, "its deadline has passed");
}

#[test]
fn pods_are_on_the_direct_path_before_ours_goes() {
    let off = deleted(json!({}), true, 1, Some(false));
    assert_eq!(stage(at(2), &off, AWAKE, false), Stage::Wait);
    let mut on = deleted(json!({}), true, 1, Some(true));
    let service = on.service.clone().unwrap();
    let ports = on.ports.clone().unwrap();
    let ways = traffic::Ways {
        app: &on.app,
        service: &service,
        ports: &ports,
        activators: &on.activators,
        pods: &[],
    };
    on.slices =
        traffic::slices(&ways, traffic::Lead::Activators).slices.into_iter().map(Into::into).collect();
    assert_eq!(stage(at(2), &on, AWAKE, false), Stage::Wait, "the cluster's own slices lag");
    on.shown = true;
    assert_eq!(stage(at(2), &on, AWAKE, false), Stage::Leave);
}

#[test]
fn nothing_waits_where_there_is_nothing_to_wait_for() {
    let asleep = || deleted(json!({}), false, 0, None);
    let gone = |reason| Problem::new(reason, "gone");
    let phase = Some(Phase::Asleep);
    assert_eq!(stage(at(1), &asleep(), phase, true), Stage::Leave, "its namespace ends");
    for seen in [
        Observed { scale: Err(gone(Reason::TargetNotFound)), ..asleep() },
        Observed { service: Err(gone(Reason::ServiceNotFound)), ..asleep() },
        Observed { conflict: Some(gone(Reason::TargetConflict)), ..asleep() },
        deleted(json!({"suspend": true}), false, 0, None),
    ] {
        assert_eq!(stage(at(1), &seen, phase, false), Stage::Leave);
    }
}

#[test]
fn others_finalizers_stay() {
    let mut app = app(json!({}), Value::Null);
    app.metadata.finalizers = Some(vec!["others".into()]);
    let with = with_ours(&app).unwrap();
    assert_eq!(without_ours(&app), None);
    app.metadata.finalizers = Some(with);
    assert_eq!((with_ours(&app), without_ours(&app)), (None, Some(vec!["others".to_owned()])));
}
