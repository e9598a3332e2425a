//! Which Services can be taken over, and what their ports become.

use serde_json::json;

use super::*;

fn service(spec: serde_json::Value) -> Service {
    let mut service = json!({"metadata": {"name": "web", "namespace": "team"}});
    service["spec"] = spec;
    serde_json::from_value(service).unwrap()
}

#[test]
fn the_mode_follows_from_the_selector_and_ports_from_what_is_written() {
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": "web", "appProtocol": "http"},
        {"name": "g", "port": 81, "targetPort": 9000, "appProtocol": "grpc"},
        {"name": "raw", "port": 82, "appProtocol": "https"},
    ]);
    let proxy = view(&service(json!({"ports": ports, "ipFamilies": ["IPv6", "IPv4"]})), None).unwrap();
    assert_eq!((proxy.mode, &proxy.families[..]), (TrafficMode::Proxy, &[Family::V6, Family::V4][..]));
    let targets: Vec<_> = proxy.ports.iter().map(|port| port.target.to_string()).collect();
    assert_eq!(targets, ["web", "9000", "82"]);
    let protocols: Vec<_> = proxy.ports.iter().map(|port| port.protocols(Preset::Http)).collect();
    assert_eq!(
        protocols,
        [
            (Protocol::Http, UpstreamProtocol::Auto),
            (Protocol::Http, UpstreamProtocol::H2c),
            (Protocol::Tcp, UpstreamProtocol::Auto)
        ]
    );
    let bypass = view(&service(json!({"ports": [{"port": 80}], "selector": {"app": "web"}})), None).unwrap();
    assert_eq!(bypass.mode, TrafficMode::Bypass);
    assert_eq!(bypass.ports[0].protocols(Preset::Tcp), (Protocol::Tcp, UpstreamProtocol::Auto));
}

#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let ports = json!([{"port": 80}]);
    for (spec, says) in [
        (json!({"type": "ExternalName", "externalName": "x"}), "ExternalName"),
        (json!({"clusterIP": "None", "ports": ports}), "headless"),
        (json!({"ports": [{"port": 53, "protocol": "UDP"}]}), "port 53 of the Service web is UDP"),
        (json!({}), "no ports"),
    ] {
        let why = view(&service(spec), None).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    let by_hand: Endpoints =
        serde_json::from_value(json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]})).unwrap();
    let proxy = service(json!({"ports": ports}));
    assert!(view(&proxy, Some(&by_hand)).unwrap_err().contains("Endpoints"));
    let mut skipped = by_hand.clone();
    skipped.metadata.labels =
        Some([("endpointslice.kubernetes.io/skip-mirror".to_owned(), "true".to_owned())].into());
    assert!(view(&proxy, Some(&skipped)).is_ok());
    let bypass = service(json!({"ports": ports, "selector": {"app": "web"}}));
    assert!(view(&bypass, Some(&by_hand)).is_ok(), "it is the cluster's own");
}

#[test]
fn selectors_are_equalities_or_refused() {
    let pairs = equalities(Some("app=web,tier==front")).unwrap();
    assert_eq!(pairs, BTreeMap::from([("app".into(), "web".into()), ("tier".into(), "front".into())]));
    for bad in ["app in (a,b)", "app!=web", "app", "!app", "app notin (a)", ""] {
        assert!(equalities(Some(bad)).is_err(), "{bad}");
    }
    assert!(equalities(None).is_err());
}

#[test]
fn the_private_service_is_headless_and_named_by_the_public_ports() {
    let app: ScaledApp = serde_json::from_value(json!({
        "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
        "metadata": {"name": "web", "namespace": "team", "uid": "u1"},
        "spec": {"target": {"name": "web"}, "service": "web"},
    }))
    .unwrap();
    let view = view(&service(json!({"ports": [{"port": 80, "targetPort": "http"}]})), None).unwrap();
    let made = private(&app, &view, &BTreeMap::from([("app".into(), "web".into())]));
    let spec = made.spec.as_ref().unwrap();
    let port = &spec.ports.as_ref().unwrap()[0];
    assert_eq!(made.metadata.name.as_deref(), Some("web-reveille"));
    assert_eq!((port.name.as_deref(), port.port), (Some("p80"), 80));
    assert_eq!(port.target_port, Some(IntOrString::String("http".into())));
    assert!(is_current(&made, &made));
    let mut other = made.clone();
    other.spec.as_mut().unwrap().selector = None;
    assert!(!is_current(&other, &made));
}
