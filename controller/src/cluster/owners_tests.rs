//! Which pods are the target's, for each way to own one.

use serde_json::{Value, json};

use super::{super::pods::from_json, *};

fn target(api_version: &str, kind: &str) -> TargetSpec {
    serde_json::from_value(json!({"apiVersion": api_version, "kind": kind, "name": "web"})).unwrap()
}

fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": true}])
}

fn pod(name: &str, owners: &Value) -> PodView {
    from_json(json!({"metadata": {"name": name, "ownerReferences": owners}}))
}

fn set(name: &str, owners: &Value) -> Sets {
    let meta = serde_json::from_value(json!({"name": name, "ownerReferences": owners})).unwrap();
    Sets([(name.to_owned(), (crate::clock::now(), Some(belongs(&meta))))].into())
}

fn foreign(target: &TargetSpec, owners: &Value, sets: &Sets) -> Option<String> {
    split(target, vec![pod("p", owners)], sets).1.pop().map(|foreign| foreign.says)
}

#[test]
fn a_deployment_owns_the_pods_of_its_replica_sets_alone() {
    let web = target("apps/v1", "Deployment");
    let of_set = owner("apps/v1", "ReplicaSet", "web-1");
    let says = |owners: &Value, sets: &Sets| foreign(&web, owners, sets);
    assert_eq!(says(&of_set, &set("web-1", &owner("apps/v1", "Deployment", "web"))), None);
    let other = says(&of_set, &set("web-1", &owner("apps/v1", "Deployment", "other")));
    assert_eq!(other.unwrap(), "the pod p, which belongs to the Deployment other");
    let orphan = says(&of_set, &set("web-1", &json!([])));
    assert_eq!(orphan.unwrap(), "the pod p, which belongs to the ReplicaSet web-1");
    assert_eq!(says(&of_set, &Sets::default()), None, "what cannot be read is not accused");
    let by_hand = says(&json!([]), &Sets::default());
    assert_eq!(by_hand.unwrap(), "the pod p, which belongs to no workload");
    let job = says(&owner("batch/v1", "Job", "load"), &Sets::default());
    assert_eq!(job.unwrap(), "the pod p, which belongs to the Job load");
}

#[test]
fn a_stateful_set_owns_its_pods_directly() {
    let web = target("apps/v1", "StatefulSet");
    let none = Sets::default();
    assert_eq!(foreign(&web, &owner("apps/v1", "StatefulSet", "web"), &none), None);
    assert!(foreign(&web, &owner("apps/v1", "StatefulSet", "other"), &none).is_some());
    assert!(foreign(&web, &owner("example.com/v1", "StatefulSet", "web"), &none).is_some(), "another group");
}

#[test]
fn pods_of_a_custom_kind_are_its_own_unless_they_are_known_to_be_others() {
    let web = target("example.com/v1", "Server");
    let none = Sets::default();
    for own in [owner("apps/v1", "StatefulSet", "web-x"), owner("example.com/v1", "Server", "web")] {
        assert_eq!(foreign(&web, &own, &none), None);
    }
    let of_set = owner("apps/v1", "ReplicaSet", "s");
    assert_eq!(foreign(&web, &of_set, &set("s", &owner("example.com/v1", "Server", "web"))), None);
    assert_eq!(foreign(&web, &of_set, &set("s", &owner("example.com/v1", "Inner", "x"))), None);
    assert_eq!(foreign(&web, &json!([]), &none).unwrap(), "the pod p, which belongs to no workload");
}

#[test]
fn one_that_ends_is_neither_own_nor_said() {
    let web = target("apps/v1", "Deployment");
    let done = from_json(json!({"metadata": {"name": "p"}, "status": {"phase": "Succeeded"}}));
    assert_eq!(split(&web, vec![done], &Sets::default()), (Vec::new(), Vec::new()));
}
