//! Slices as the API server writes them, and what two sources may do to each other.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::*;

/// A slice of the app `team/web` with these pods: uid, address, ready, terminating.
fn slice(name: &str, version: u64, family: &str, pods: &[(&str, &str, bool, bool)]) -> Value {
    let endpoint = |(uid, address, ready, terminating): &(&str, &str, bool, bool)| {
        json!({
            "addresses": [address], "targetRef": {"kind": "Pod", "uid": uid},
            "conditions": {"ready": ready, "serving": true, "terminating": terminating},
        })
    };
    json!({
        "metadata": {
            "name": name, "namespace": "team", "resourceVersion": version.to_string(),
            "labels": {"reveille.dev/scaled-app": "web", "kubernetes.io/service-name": "web-reveille"},
        },
        "addressType": family,
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "p80", "port": 8080}, {"name": "p9000", "port": 9001}],
    })
}

fn read(slice: Value) -> Option<(AppId, String, Slice)> {
    Slice::read(&serde_json::from_value::<EndpointSlice>(slice).unwrap())
}

fn slices(of: &[Value]) -> Slices {
    let mut slices = Slices::default();
    for one in of {
        let (_, name, slice) = read(one.clone()).unwrap();
        assert!(slices.heard(&name, slice));
    }
    slices
}

fn list(version: u64, of: &[Value]) -> SliceList {
    let slices = of.iter().map(|one| read(one.clone()).unwrap()).map(|(_, name, slice)| (name, slice));
    SliceList { version: Some(version), slices: slices.collect() }
}

#[test]
fn an_endpoint_has_an_address_for_each_port_in_the_apps_order() {
    let slices = slices(&[slice(
        "a",
        1,
        "IPv4",
        &[("u1", "10.0.0.1", true, false), ("u2", "10.0.0.2", false, false)],
    )]);
    let endpoints = slices.endpoints(&[9000, 80]);
    assert_eq!(endpoints.len(), 2);
    let first = endpoints.iter().find(|endpoint| endpoint.ready).unwrap();
    assert_eq!(*first.addresses, ["10.0.0.1:9001".parse().unwrap(), "10.0.0.1:8080".parse().unwrap()]);
    let lacking = slices.endpoints(&[80, 81]);
    let ports: Vec<_> = lacking[0].addresses.iter().map(SocketAddr::port).collect();
    assert_eq!(ports[1], NO_PORT, "one that lacks a port serves the others");
    assert_ne!(ports[0], NO_PORT);
    assert!(slices.endpoints(&[81]).is_empty(), "one without any is passed over");
    assert!(slices.endpoints(&[]).is_empty());
    assert!(slices.show_life());
}

#[test]
fn a_pod_of_both_families_is_one_endpoint() {
    let four = slice("a4", 1, "IPv4", &[("u1", "10.0.0.1", true, false)]);
    let six = slice("a6", 2, "IPv6", &[("u1", "fd00::1", true, false)]);
    for order in [[four.clone(), six.clone()], [six, four]] {
        let endpoints = slices(&order).endpoints(&[80]);
        assert_eq!(endpoints.len(), 1);
        assert!(endpoints[0].addresses[0].is_ipv4());
    }
}

#[test]
fn what_terminates_is_no_endpoint_and_no_life() {
    let slices = slices(&[slice("a", 1, "IPv4", &[("u1", "10.0.0.1", true, true)])]);
    assert!(slices.endpoints(&[80]).is_empty() && !slices.show_life());
}

#[test]
fn slices_of_other_services_say_nothing() {
    let mut public = slice("a", 1, "IPv4", &[]);
    public["metadata"]["labels"]["kubernetes.io/service-name"] = "web".into();
    assert_eq!(read(public), None);
    let mut unlabelled = slice("a", 1, "IPv4", &[]);
    unlabelled["metadata"]["labels"] = json!({});
    assert_eq!(read(unlabelled), None);
    let names = slice("a", 1, "FQDN", &[("u1", "example.org", true, false)]);
    assert!(!slices(&[names]).show_life());
}

#[test]
fn a_list_is_not_undone_by_older_news() {
    let pod = [("u1", "10.0.0.1", true, false)];
    let mut slices = slices(&[slice("a", 5, "IPv4", &pod)]);
    slices.replace(list(10, &[]));
    let (_, name, late) = read(slice("a", 7, "IPv4", &pod)).unwrap();
    assert!(!slices.heard(&name, late) && !slices.show_life());
    let (_, name, new) = read(slice("a", 11, "IPv4", &pod)).unwrap();
    assert!(slices.heard(&name, new));
    slices.replace(list(9, &[]));
    assert!(slices.show_life(), "nor by an older list");
    assert!(!slices.heard_gone("a", Some(8)) && slices.show_life());
    assert!(slices.heard_gone("a", Some(12)) && slices.is_empty());
}

#[test]
fn a_watch_that_begins_anew_drops_what_it_leaves_out() {
    let pod = [("u1", "10.0.0.1", true, false)];
    let (a, b) = (slice("a", 5, "IPv4", &pod), slice("b", 6, "IPv4", &pod));
    let mut slices = slices(&[a.clone(), b]);
    slices.relist_begins();
    let (_, name, again) = read(a.clone()).unwrap();
    assert!(!slices.heard(&name, again), "nothing new");
    assert_eq!(slices.relist_ends(), Ok(true));
    assert_eq!(slices.by_name.len(), 1);
    assert_eq!(slices.relist_ends(), Ok(false), "not begun");

    slices.relist_begins();
    slices.replace(list(20, &[a, slice("c", 19, "IPv4", &pod)]));
    assert_eq!(slices.relist_ends(), Err(Unsure), "a list came in between");
    assert_eq!(slices.by_name.len(), 2);
}

#[test]
fn pods_that_only_look_like_the_apps_are_as_if_they_were_not_there() {
    let mut slices = slices(&[slice(
        "a",
        1,
        "IPv4",
        &[("own", "10.0.0.1", true, false), ("foreign", "10.0.0.2", true, false)],
    )]);
    slices.leave_out(&[generation("foreign")].into());
    let addresses: Vec<_> =
        slices.endpoints(&[80]).iter().map(|endpoint| endpoint.addresses[0].to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1:8080"]);
    slices.leave_out(&[generation("foreign"), generation("own")].into());
    assert!(!slices.show_life());
    // What a list says later is left out, too.
    slices.replace(list(9, &[slice("a", 9, "IPv4", &[("foreign", "10.0.0.2", true, false)])]));
    assert!(!slices.show_life());
    slices.leave_out(&[].into());
    assert!(slices.show_life());
}
