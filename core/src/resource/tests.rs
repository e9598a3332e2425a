//! The resource as a whole: what is written, what holds, and what the API server is told.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    host,
    policy::{Mode, PolicySpec, PortRef, Problem, Readiness, Ttl},
    quantity::{ByteSize, HumanDuration},
    schema::{DURATION_PATTERN, SIZE_PATTERN},
};

/// Every field of a policy, none with its default.
fn policy() -> Value {
    json!({
        "preset": "grpc",
        "idle": {"ttl": "1m30s", "minAwake": "2m"},
        "wake": {"deadline": "15m", "readiness": {"http": {"port": "web", "path": "/ready"}}},
        "hold": {"maxRequests": 10, "maxBytes": "1Mi", "answerAfter": "20s"},
        "probes": {"paths": ["/healthz"], "userAgents": ["Uptime"], "answer": "503"},
        "timeouts": {"responseHeader": "30s", "streamIdle": "5m", "total": "1h"},
        "concurrency": 8,
        "upgrades": ["websocket", "spdy/3.1"],
        "cost": {"perReplicaHour": "0.526", "currency": "EUR"},
    })
}

/// Every field of a spec.
fn full() -> Value {
    let mut spec = policy();
    spec["target"] = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web.v2"});
    spec["service"] = "web".into();
    spec["traffic"] = json!({"hosts": ["Web.Example.org."]});
    spec["suspend"] = true.into();
    spec["idle"]["scrape"] =
        json!({"prometheus": {"port": 8002, "path": "/m", "metrics": ["requests_total"]}});
    spec["wake"]["replicas"] = 2.into();
    spec["wake"]["maxReplicas"] = 4.into();
    spec
}

fn smallest() -> Value {
    json!({"target": {"name": "web"}, "service": "web"})
}

/// The smallest spec with these fields.
fn with(fields: &Value) -> Value {
    let mut spec = smallest();
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn resolve(spec: Value) -> Result<ClusterApp, Vec<Problem>> {
    ScaledApp::new("web", serde_json::from_value(spec).unwrap()).resolve()
}

#[test]
fn the_smallest_spec_has_the_defaults_of_a_cluster() {
    let app = resolve(smallest()).unwrap();
    assert_eq!((app.target.api_version.as_str(), app.target.kind.as_str()), ("apps/v1", "Deployment"));
    assert_eq!(*app.policy, PolicySpec::default().resolve(Mode::Cluster).unwrap());
    assert_eq!(app.policy.idle.ttl, Ttl::After(Duration::from_secs(300)));
    assert_eq!((app.suspend, app.scrape.as_ref(), app.hosts.len()), (false, None, 0));
    assert_eq!((app.wake_replicas, app.max_replicas), (None, None));
}

#[test]
fn every_field_reaches_what_holds() {
    let app = resolve(full()).unwrap();
    assert_eq!((app.target.kind.as_str(), app.target.name.as_str()), ("StatefulSet", "web.v2"));
    assert_eq!((app.service.as_str(), app.suspend), ("web", true));
    assert_eq!(*app.hosts, ["web.example.org".to_owned()]);
    let scrape = app.scrape.unwrap();
    assert_eq!((scrape.port, scrape.path.as_str()), (PortRef::Number(8002), "/m"));
    let metrics = ["requests_total".to_owned()].into();
    assert_eq!(scrape.format, ScrapeFormat::Prometheus { metrics });
    assert_eq!((app.wake_replicas, app.max_replicas), (Some(2), Some(4)));
    let readiness = Readiness::Http { port: Some(PortRef::Name("web".into())), path: "/ready".into() };
    assert_eq!(app.policy.wake.readiness, readiness);
}

#[test]
fn a_policy_means_the_same_in_both_modes() {
    let spec: ScaledAppSpec = serde_json::from_value(full()).unwrap();
    let policy: PolicySpec = serde_json::from_value(policy()).unwrap();
    assert_eq!(spec.policy(), policy);
}

#[test]
fn paths_of_scrapes_have_defaults() {
    for (scrape, path) in [
        (json!({"prometheus": {"port": "metrics", "metrics": ["up"]}}), "/metrics"),
        (json!({"nginx": {"port": 8080}}), "/stub_status"),
    ] {
        let app = resolve(with(&json!({"idle": {"scrape": scrape}}))).unwrap();
        assert_eq!(app.scrape.unwrap().path, path);
    }
}

#[test]
fn a_wake_sets_what_is_wanted_or_what_there_was() {
    for (wake, former, expected) in [
        (json!({}), None, 1),
        (json!({}), Some(3), 3),
        (json!({}), Some(0), 1),
        (json!({"replicas": 2}), Some(3), 2),
        (json!({"maxReplicas": 2}), Some(3), 2),
        (json!({"maxReplicas": 2}), None, 1),
    ] {
        let app = resolve(with(&json!({"wake": wake}))).unwrap();
        assert_eq!(app.replicas(former), expected, "{wake} {former:?}");
    }
}

#[test]
fn every_problem_is_named_at_once_from_spec_on() {
    let problems = resolve(json!({
        "target": {"apiVersion": "apps/", "kind": "DaemonSet", "name": "Web"},
        "service": "a/b",
        "traffic": {"hosts": ["a.org", "A.org.", "*"]},
        "preset": "tcp",
        "idle": {"ttl": "never", "scrape": {"prometheus": {"port": 0, "path": "m", "metrics": ["a b"]}}},
        "wake": {"replicas": 3, "maxReplicas": 2, "deadline": "1ms", "readiness": {"http": {"path": "x"}}},
        "upgrades": ["h2c"],
    }))
    .unwrap_err();
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "spec.target.apiVersion",
            "spec.target.kind",
            "spec.target.name",
            "spec.service",
            "spec.traffic.hosts[1]",
            "spec.traffic.hosts[2]",
            "spec.idle.scrape",
            "spec.idle.scrape.prometheus.port",
            "spec.idle.scrape.prometheus.path",
            "spec.idle.scrape.prometheus.metrics[0]",
            "spec.wake.replicas",
            "spec.wake.readiness",
            "spec.wake.deadline",
            "spec.wake.readiness.http.path",
            "spec.upgrades[0]",
        ]
    );
}

#[test]
fn the_name_of_the_object_is_the_name_of_the_app() {
    for name in ["web.v2", &"x".repeat(64)] {
        let spec = serde_json::from_value(smallest()).unwrap();
        let problems = ScaledApp::new(name, spec).resolve().unwrap_err();
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, "metadata.name"));
    }
}

#[test]
fn what_a_newer_schema_has_is_passed_over() {
    let mut object = json!({
        "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp", "metadata": {"name": "web"},
        "spec": full(), "status": {"phase": "Awake", "new": 1},
    });
    object["spec"]["idle"]["new"] = 1.into();
    object["spec"]["wake"]["readiness"]["http"]["new"] = 1.into();
    let app: ScaledApp = serde_json::from_value(object).unwrap();
    assert!(app.resolve().is_ok());
    assert_eq!(app.status.unwrap().phase, Some(crate::phase::Phase::Awake));
}

fn root() -> JSONSchemaProps {
    let version = crd().spec.versions.remove(0);
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

/// Calls `visit` with every schema below `spec` and `status` and its path.
fn walk(path: &str, schema: &JSONSchemaProps, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(format!("{path}.{name}").trim_start_matches('.'), property, visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(&format!("{path}[]"), items, visit);
    }
}

#[test]
fn the_schema_is_structural_bounded_and_described() {
    let mut defaults = Vec::new();
    walk("", &root(), &mut |path, schema| {
        let is_port_or_size = schema.x_kubernetes_int_or_string == Some(true);
        assert_eq!(schema.type_.is_none(), is_port_or_size, "{path} has one type");
        assert_eq!(schema.nullable, None, "{path}: null counts as left out");
        assert!(schema.additional_properties.is_none() && schema.any_of.is_none(), "{path}");
        assert!(schema.one_of.is_none() && schema.all_of.is_none() && schema.not.is_none(), "{path}");
        let known = [None, Some("int32"), Some("int64"), Some("date-time")];
        assert!(known.contains(&schema.format.as_deref()), "{path}: {:?}", schema.format);
        if !path.ends_with("[]") || schema.type_.as_deref() == Some("object") {
            let described = schema.description.as_ref().is_some_and(|text| text.ends_with('.'));
            assert!(described || path == "metadata" || path.is_empty() || is_meta(path), "{path}");
        }
        if let Some(JSON(default)) = &schema.default {
            defaults.push(format!("{path}={default}"));
        }
        if path.starts_with("spec") {
            let is_text = schema.type_.as_deref() == Some("string");
            assert!(!is_text || schema.max_length.is_some() || schema.enum_.is_some(), "{path} is bounded");
            assert!(
                schema.type_.as_deref() != Some("array") || schema.max_items.is_some(),
                "{path} is bounded"
            );
        }
    });
    assert_eq!(defaults, ["spec.target.apiVersion=\"apps/v1\"", "spec.target.kind=\"Deployment\""]);
}

fn is_meta(path: &str) -> bool {
    ["apiVersion", "kind", "metadata"].contains(&path)
}

/// The schema comes from the same types, but by another macro than what reads and writes objects.
#[test]
fn the_schema_has_exactly_the_fields_that_are_written() {
    let mut status = ScaledAppStatus::default();
    let changed = set_condition(
        &mut status.conditions,
        (ConditionType::Ready, true),
        Reason::AsDeclared,
        "",
        Some(1),
        "2026-01-01T00:00:00Z".parse().unwrap(),
    );
    assert!(changed);
    let status = json!({
        "observedGeneration": 1, "phase": "Waking", "since": "2026-01-01T00:00:00.000000Z", "replicas": 1,
        "readyReplicas": 0, "formerReplicas": 1, "epoch": 1, "mode": "Proxy",
        "ports": [{"name": "http", "servicePort": 80, "port": 20000, "protocol": "http", "upstreamProtocol": "auto",
                   "upstream": 8080}],
        "wake": {"id": "web-1", "since": "2026-01-01T00:00:00.000000Z", "step": "Pulling", "message": "why",
                 "steps": [{"step": "Requested", "at": "2026-01-01T00:00:00.000000Z"}], "trigger": "me"},
        "lastWake": {"id": "web-0", "startedAt": "2026-01-01T00:00:00.000000Z", "took": "2m5s310ms",
                     "steps": [{"step": "Requested", "at": "2026-01-01T00:00:00.000000Z"}],
                     "outcome": "Failed", "reason": "NoNode", "message": "why", "trigger": "me"},
        "wakeBlocked": {"until": "2026-01-01T00:00:00.000000Z", "generation": 1, "reason": "NoNode",
                        "message": "why"},
        "foreignPods": ["u"],
        "savings": {"asleep": "1h", "amount": "0.5", "currency": "USD"},
        "awakeUntil": "2026-01-01T00:00:00.000000Z",
        "scheduledWake": {"at": "2026-01-01T00:00:00.000000Z", "reason": "why"},
        "wakeOnRequest": false, "conditions": status.conditions,
    });
    let mut spec = full();
    spec["idle"]["scrape"]["nginx"] = json!({"port": 80, "path": "/s"});
    spec["wake"]["readiness"]["tcp"] = json!({"port": 80});
    spec["wake"]["readiness"]["grpc"] = json!({"port": 80, "service": "a.B"});
    let object = json!({
        "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp", "metadata": {"name": "web"},
        "spec": spec, "status": status,
    });
    let app: ScaledApp = serde_json::from_value(object.clone()).unwrap();
    let written = serde_json::to_value(app).unwrap();
    assert_eq!(written, object, "every field is read and written");
    let mut of_object = BTreeSet::new();
    paths("", &written, &mut of_object);
    let mut of_schema = BTreeSet::new();
    walk("", &root(), &mut |path, _| {
        of_schema.insert(path.to_owned());
    });
    let ours = |path: &String| path.starts_with("spec") || path.starts_with("status");
    of_object.retain(ours);
    of_schema.retain(ours);
    assert_eq!(of_object, of_schema);
}

fn paths(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    into.insert(path.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| {
                paths(format!("{path}.{name}").trim_start_matches('.'), value, into);
            });
        }
        Value::Array(items) => items.iter().for_each(|item| paths(&format!("{path}[]"), item, into)),
        _ => {}
    }
}

#[test]
fn it_is_listed_with_the_columns_of_the_design() {
    let crd = crd();
    let columns = crd.spec.versions[0].additional_printer_columns.as_ref().unwrap();
    let shown: Vec<_> = columns.iter().filter(|column| column.priority.unwrap_or(0) == 0).collect();
    let names: Vec<_> = shown.iter().map(|column| column.name.to_uppercase()).collect();
    assert_eq!(names, ["TARGET", "PHASE", "REPLICAS", "SINCE", "AGE"]);
    let wide: Vec<_> = columns.iter().filter(|column| column.priority == Some(1)).collect();
    let names: Vec<_> = wide.iter().map(|column| column.name.to_uppercase()).collect();
    assert_eq!(names, ["KIND", "SERVICE", "MODE", "READY", "REASON"]);
    // A path that leads nowhere is an empty column, and no error of the API server's.
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    for column in columns.iter().filter(|column| !column.json_path.starts_with(".metadata")) {
        let steps = column.json_path.trim_start_matches('.').replace("[?(@.type==\"Ready\")]", "");
        let mut at = &schema["openAPIV3Schema"];
        for step in steps.split('.') {
            at = &at["properties"][step];
            at = if at["items"].is_object() { &at["items"] } else { at };
        }
        let wanted = if column.type_ == "date" { "string" } else { &column.type_ };
        assert_eq!(at["type"], wanted, "{}: {at}", column.json_path);
    }
    assert_eq!(crd.spec.names.short_names, Some(vec!["sapp".to_owned()]));
    assert!(crd.spec.versions[0].subresources.as_ref().unwrap().status.is_some());
    assert_eq!((crd.spec.scope.as_str(), crd.spec.versions.len()), ("Namespaced", 1));
}

#[test]
fn a_block_holds_until_its_time_or_a_change() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let until = k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(at("2026-01-01T00:00:10Z"));
    let blocked =
        WakeBlocked { until, generation: 3, reason: "KeepsCrashing".into(), message: "it crashes".into() };
    assert!(blocked.holds(at("2026-01-01T00:00:09Z"), 3));
    assert!(!blocked.holds(at("2026-01-01T00:00:10Z"), 3));
    assert!(!blocked.holds(at("2026-01-01T00:00:09Z"), 4));
}

/// Something that may stand in a spec, or not.
fn any_spec() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z0-9./:-]{0,12}",
        "\\PC{0,12}",
        "[0-9]{1,20}(ms|s|m|h|d|Ki|Gi)",
        Just("never".to_owned()),
        prop::sample::select(vec!["http", "grpc", "triton", "tcp", "200", "wake"]).prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u32..70_000).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let mut names = BTreeSet::new();
    walk("", &root(), &mut |path, _| {
        names.extend(path.rsplit('.').next().map(|name| name.trim_end_matches("[]").to_owned()));
    });
    let name = prop::sample::select(names.into_iter().collect::<Vec<_>>());
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A pattern of the schema as proptest takes it.
fn inside(pattern: &str) -> String {
    pattern.trim_start_matches('^').trim_end_matches('$').to_owned()
}

proptest! {
    #[test]
    fn no_spec_panics(mut spec in any_spec(), base in any::<bool>()) {
        if base && let Some(fields) = spec.as_object_mut() {
            fields.insert("target".into(), json!({"name": "web"}));
            fields.insert("service".into(), "web".into());
        }
        if let Ok(spec) = serde_json::from_value::<ScaledAppSpec>(spec)
            && let Err(problems) = ScaledApp::new("web", spec).resolve()
        {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|p| p.field.starts_with("spec.") && !p.reason.is_empty()));
        }
    }

    /// What the API server lets through can be read.
    #[test]
    fn what_matches_a_pattern_is_read(
        duration in inside(DURATION_PATTERN).as_str(),
        size in inside(SIZE_PATTERN).as_str(),
        host in inside(rules::HOST_PATTERN).as_str(),
    ) {
        prop_assert!(duration.parse::<HumanDuration>().is_ok(), "{}", duration);
        prop_assert!(size.parse::<ByteSize>().is_ok(), "{}", size);
        prop_assert!(host.len() > 253 || host::normalize(&host).is_ok(), "{}", host);
    }
}
