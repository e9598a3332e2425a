//! Who receives the traffic of an app, as slices.

use std::sync::Arc;

use proptest::prelude::*;
use reveille_core::{directory::Protocol, resource::ScaledAppSpec};
use serde_json::json;

use super::*;
use crate::cluster::{pods::from_json, service::ServicePort};

fn app() -> ScaledApp {
    let spec: ScaledAppSpec =
        serde_json::from_value(json!({"target": {"name": "web"}, "service": "web"})).unwrap();
    let mut app = ScaledApp::new("web", spec);
    app.metadata.namespace = Some("team".into());
    app.metadata.uid = Some("u1".into());
    app
}

fn service(mode: TrafficMode) -> ServiceView {
    let port = |name: &str, number| ServicePort {
        name: Some(name.to_owned()),
        number,
        target: PortRef::Name(name.to_owned()),
        app_protocol: None,
    };
    ServiceView {
        mode,
        ports: vec![port("http", 80), port("grpc", 81)],
        families: vec![Family::V4, Family::V6],
    }
}

fn ports() -> Vec<PortStatus> {
    [("http", 80, 20_000), ("grpc", 81, 20_001)]
        .map(|(name, service_port, port)| PortStatus {
            name: Some(name.to_owned()),
            service_port,
            port,
            protocol: Protocol::Http,
            upstream_protocol: Default::default(),
            upstream: PortRef::Name(name.to_owned()),
        })
        .into()
}

fn activator(n: u8, standing: Standing, open: &[u16]) -> ActivatorPod {
    let open = open.iter().map(|port| AppPort { app: AppId::new("team", "web"), port: *port });
    ActivatorPod {
        name: format!("activator-{n}"),
        uid: format!("a{n}"),
        addresses: vec![[10, 0, 0, n].into(), format!("fd00::{n}").parse().unwrap()],
        node: Some("node".into()),
        standing,
        open: Arc::new(open.collect()),
    }
}

fn pod(n: u8, ready: bool, http: u16) -> PodView {
    from_json(json!({
        "metadata": {"name": format!("web-{n}"), "uid": format!("p{n}")},
        "spec": {"containers": [{"name": "c", "ports": [
            {"name": "http", "containerPort": http}, {"name": "grpc", "containerPort": 9}]}]},
        "status": {
            "podIP": format!("10.1.0.{n}"),
            "conditions": [{"type": "ContainersReady", "status": if ready { "True" } else { "False" }}],
        },
    }))
}

fn addresses(slices: &[EndpointSlice]) -> Vec<(String, Vec<String>, Vec<i32>)> {
    let of = |slice: &EndpointSlice| {
        let addresses =
            slice.endpoints.iter().flatten().map(|endpoint| endpoint.addresses[0].clone()).collect();
        let ports = slice.ports.iter().flatten().filter_map(|port| port.port).collect();
        (slice.metadata.name.clone().unwrap(), addresses, ports)
    };
    slices.iter().map(of).collect()
}

#[test]
fn only_activators_that_are_ready_and_listen_everywhere_take_traffic() {
    let (app, service, ports) = (app(), service(TrafficMode::Proxy), ports());
    let activators = [
        activator(3, Standing::Ready, &[20_000, 20_001]),
        activator(1, Standing::Ready, &[20_000, 20_001, 7]),
        activator(2, Standing::Ready, &[20_000]),
        activator(4, Standing::Draining, &[20_000, 20_001]),
        activator(5, Standing::Starting, &[20_000, 20_001]),
        activator(6, Standing::Silent("no answer".into()), &[20_000, 20_001]),
    ];
    let pods = [pod(1, true, 8080)];
    let ways = Ways { app: &app, service: &service, ports: &ports, activators: &activators, pods: &pods };
    let lead = slices(&ways, Lead::Activators);
    assert_eq!(lead.takers, 2);
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        addresses(&lead.slices),
        [
            ("web-reveille-ipv4".to_owned(), text(&["10.0.0.1", "10.0.0.3"]), vec![20_000, 20_001]),
            ("web-reveille-ipv6".to_owned(), text(&["fd00::1", "fd00::3"]), vec![20_000, 20_001]),
        ]
    );
    assert_eq!(lead.slices[0].metadata.labels.as_ref().unwrap()[SERVICE_NAME], "web");
    assert!(is_ours(&lead.slices[0], &app));
    let mut earlier = app.clone();
    earlier.metadata.uid = Some("u0".into());
    assert!(!is_ours(&lead.slices[0], &earlier));
    assert_eq!(slices(&ways, Lead::Nowhere), Slices { slices: Vec::new(), takers: 2 });
}

#[test]
fn without_activators_pods_get_their_traffic_directly_by_their_own_ports() {
    let (app, ports) = (app(), ports());
    let pods = [pod(1, true, 8080), pod(2, true, 8081), pod(3, false, 8080), pod(4, true, 8080)];
    let proxy = service(TrafficMode::Proxy);
    let ways = Ways { app: &app, service: &proxy, ports: &ports, activators: &[], pods: &pods };
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        addresses(&slices(&ways, Lead::Activators).slices),
        [
            ("web-reveille-ipv4-direct-0".to_owned(), text(&["10.1.0.1", "10.1.0.4"]), vec![8080, 9]),
            ("web-reveille-ipv4-direct-1".to_owned(), text(&["10.1.0.2"]), vec![8081, 9]),
        ]
    );
    let bypass = service(TrafficMode::Bypass);
    let ways = Ways { service: &bypass, ..ways };
    assert!(slices(&ways, Lead::Activators).slices.is_empty(), "the cluster does that itself");
}

#[test]
fn only_what_changed_is_written_and_what_is_too_much_goes() {
    let (app, service, ports) = (app(), service(TrafficMode::Proxy), ports());
    let one = [activator(1, Standing::Ready, &[20_000, 20_001])];
    let ways = Ways { app: &app, service: &service, ports: &ports, activators: &one, pods: &[] };
    let now = slices(&ways, Lead::Activators).slices;
    assert_eq!(changes(&now, &now), (Vec::new(), Vec::new()));
    let none: [EndpointSlice; 0] = [];
    assert_eq!(changes(&none, &now).0.len(), 2);
    let mut moved = now.clone();
    moved[0].endpoints.as_mut().unwrap()[0].addresses = vec!["10.0.0.9".into()];
    let (write, gone) = changes(&moved, &now[..1]);
    assert_eq!((write.len(), gone), (1, vec!["web-reveille-ipv6".to_owned()]));
}

#[test]
fn ours_may_go_once_the_clusters_own_show_a_pod_that_serves() {
    let pods = [pod(1, true, 1), pod(2, false, 1)];
    let own = |manager: &str, uid: &str, ready: bool| -> EndpointSlice {
        serde_json::from_value(json!({
            "addressType": "IPv4",
            "metadata": {"labels": {SLICE_MANAGER: manager}},
            "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "uid": uid}}],
        }))
        .unwrap()
    };
    let theirs = "endpointslice-controller.k8s.io";
    assert!(show_one(&[own(theirs, "p1", true)], &pods));
    for no in [
        own(theirs, "p1", false),
        own(theirs, "p2", true),
        own(theirs, "p9", true),
        own(names::MANAGED_BY, "p1", true),
    ] {
        assert!(!show_one(&[no], &pods));
    }
}

proptest! {
    /// Whatever stands how, no slice is empty, none leads to an activator that does not take the app's traffic, and those
    /// that exist as they should be are left alone.
    #[test]
    fn slices_lead_to_takers_alone(
        activators in prop::collection::vec((0u8..4, prop::sample::subsequence(vec![20_000u16, 20_001], 0..=2)), 0..6),
        bypass: bool,
    ) {
        let standing = [Standing::Ready, Standing::Draining, Standing::Starting, Standing::Silent("x".into())];
        let activators: Vec<_> = (1u8..).zip(&activators)
            .map(|(n, (which, open))| activator(n, standing[usize::from(*which)].clone(), open)).collect();
        let (app, ports) = (app(), ports());
        let service = service(if bypass { TrafficMode::Bypass } else { TrafficMode::Proxy });
        let ways = Ways { app: &app, service: &service, ports: &ports, activators: &activators, pods: &[] };
        let lead = slices(&ways, Lead::Activators);
        let takers: BTreeSet<_> = activators.iter()
            .filter(|one| one.standing == Standing::Ready && one.open.len() == 2)
            .flat_map(|one| one.addresses.iter().map(ToString::to_string)).collect();
        let led: BTreeSet<_> = lead.slices.iter().flat_map(|slice| slice.endpoints.iter().flatten())
            .map(|endpoint| endpoint.addresses[0].clone()).collect();
        prop_assert_eq!(led, takers);
        prop_assert!(lead.slices.iter().all(|slice| slice.endpoints.as_ref().is_some_and(|all| !all.is_empty())));
        prop_assert_eq!(changes(&lead.slices, &lead.slices), (Vec::new(), Vec::new()));
    }
}
