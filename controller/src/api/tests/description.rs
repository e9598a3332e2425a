//! The API's description says what is so: each route is in it, each status can happen, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::{
    api::{checked_routes, guarded_routes, open_routes},
    keys::{Namespaces, Right, new},
};

async fn document() -> Value {
    let response = send(FakeApps::default(), request("GET", "/openapi.json", &[], "")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_str(&text(response).await).unwrap()
}

/// The operations, as `GET /path`, with the statuses that are said of them.
fn operations(document: &Value) -> BTreeMap<String, BTreeSet<u16>> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses = statuses.map(|status| status.parse().unwrap()).collect();
            operations.insert(format!("{} {path}", method.to_uppercase()), statuses);
        }
    }
    operations
}

#[tokio::test]
async fn each_route_is_described_and_nothing_else() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut routed = BTreeSet::new();
    let paths = open_routes().map(|(path, _)| path).into_iter();
    let paths =
        paths.chain(checked_routes().map(|(path, _)| path)).chain(guarded_routes().map(|(path, _)| path));
    for path in paths {
        let filled = path.replace("{namespace}", "local").replace("{name}", "web");
        let refused = send(FakeApps::default(), request("PATCH", &filled, &[], "")).await;
        assert_eq!(refused.status(), 405);
        let allow = refused.headers()["allow"].to_str().unwrap();
        // HEAD comes with GET by itself.
        let methods = allow.split(',').filter(|method| *method != "HEAD");
        routed.extend(methods.map(|method| format!("{method} {path}")));
    }
    let described: BTreeSet<_> = operations(&document).into_keys().collect();
    assert_eq!(described, routed);
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{path}");
            let open = operation["security"] == serde_json::json!([{}]);
            assert_eq!(open, !path.starts_with("/api/"), "{path}: whether a key is needed");
        }
    }
}

#[tokio::test]
async fn every_call_and_refusal_stands_in_the_reference() {
    let page = include_str!("../../../../docs/reference/api.md");
    for operation in operations(&document().await).into_keys() {
        assert!(page.contains(&format!("`{operation}`")), "{operation}");
    }
    for kind in crate::api::problem::Kind::ALL {
        // Those of the Scale API have no name there, as its errors have no type.
        let unnamed = ["unknown-deployment", "unavailable", "conflict", "not-done"];
        assert!(unnamed.contains(&kind.name()) || page.contains(&format!("`{}`", kind.name())), "{kind:?}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document().await;
    let text = document.to_string();
    let mut seen = 0;
    for rest in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
    let wake = &document["components"]["schemas"]["WakeRequest"];
    assert_eq!(wake["properties"]["for"]["example"], "2h", "{wake}");
    assert_eq!(wake["additionalProperties"], false, "{wake}");
    let scale = &document["components"]["schemas"]["ScaleToZero"];
    assert_eq!(
        (&scale["properties"]["reason"]["minLength"], &scale["properties"]["reason"]["maxLength"]),
        (&1.into(), &500.into())
    );
}

/// All that a test can bring about: the operation, and with which status it was answered.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<u16>>);

impl Seen {
    async fn call(
        &mut self,
        apps: FakeApps,
        operation: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) {
        let router = router_of(Arc::new(apps));
        self.on(&router, operation, headers, body).await;
    }

    async fn on(
        &mut self,
        router: &Router,
        operation: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{namespace}", "local").replace("{name}", "web");
        let request = request(method, &path, headers, body);
        let status = router.clone().oneshot(request).await.unwrap().status().as_u16();
        self.0.entry(operation.to_owned()).or_default().insert(status);
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn body_for(operation: &str) -> &'static str {
    if operation.ends_with("scale-up") {
        r#"{"reason": "x", "replicas": 1}"#
    } else if operation.ends_with("scale-to-zero") {
        r#"{"reason": "x"}"#
    } else {
        ""
    }
}

#[tokio::test(start_paused = true)]
async fn each_status_that_is_described_happens_and_no_other() {
    let document = document().await;
    let operations = operations(&document);
    let mut seen = Seen::default();
    for operation in operations.keys() {
        let body = body_for(operation);
        let headers = if body.is_empty() { &[][..] } else { &[JSON] };
        let path = operation.split_once(' ').unwrap().1;
        seen.call(FakeApps::default(), operation, headers, body).await;
        seen.call(FakeApps { draining: true, ..FakeApps::default() }, operation, headers, body).await;
        let foreign = [headers, &[("host", "evil.example")]].concat();
        seen.call(FakeApps::default(), operation, &foreign, body).await;
        let two = [headers, &[("host", "localhost"), ("host", "localhost")]].concat();
        seen.call(FakeApps::default(), operation, &two, body).await;
        let app = AppId::local("web");
        for refusal in [
            Refusal::UnknownApp(app.clone()),
            Refusal::InUse { app: app.clone(), in_service: 1, waited_s: 10 },
            Refusal::Stopping,
            Refusal::NotPossible { app: app.clone(), reason: "x".into() },
            Refusal::OutOfReach { app: app.clone(), reason: "x".into() },
        ] {
            // A wake is refused for no work in flight.
            if !(path.ends_with("/wake") && matches!(refusal, Refusal::InUse { .. })) {
                seen.call(
                    FakeApps { refusal: Some(refusal), ..FakeApps::default() },
                    operation,
                    headers,
                    body,
                )
                .await;
            }
        }
        for failure in [
            DeploymentError::NotFound("x".into()),
            DeploymentError::Conflict("x".into()),
            DeploymentError::Failed("x".into()),
            DeploymentError::Unavailable { reason: "x".into(), retry_in_s: None },
        ] {
            // Looking conflicts with nothing.
            if !(path.ends_with("/status") && matches!(failure, DeploymentError::Conflict(_))) {
                seen.call(
                    FakeApps { failure: Some(failure), ..FakeApps::default() },
                    operation,
                    headers,
                    body,
                )
                .await;
            }
        }
        if document["paths"][path]["post"]["requestBody"].is_object() {
            let never = futures_util::stream::pending::<
                Result<http_body::Frame<axum::body::Bytes>, std::io::Error>,
            >();
            let never = Body::new(http_body_util::StreamBody::new(never));
            seen.call(FakeApps::default(), operation, &[JSON], never).await;
            seen.call(FakeApps::default(), operation, &[JSON, ("content-length", "70000")], "").await;
            seen.call(FakeApps::default(), operation, &[], "{}").await;
        }
        if path == "/api/v1/apps/{namespace}/{name}" || path.ends_with("/history") {
            let other = path.replace("{namespace}/{name}", "local/none");
            let other = request("GET", &other, &[], "");
            let status = send(FakeApps::default(), other).await.status().as_u16();
            seen.0.get_mut(operation).unwrap().insert(status);
        }
        if path.starts_with("/api/") {
            let key = new("ml", Namespaces::These(vec!["ml".into()]), Right::Scale).unwrap();
            let apps = FakeApps { keys: Some(KeyRing::new(vec![key.kept])), ..FakeApps::default() };
            let router = router_of(Arc::new(apps));
            let bearer = format!("Bearer {}", key.told);
            seen.on(&router, operation, &[("authorization", &bearer)], "").await;
            for _ in 0..11 {
                seen.on(&router, operation, headers, body).await;
            }
        }
        if path.starts_with("/api/") {
            let standby = FakeApps { draining: true, stands_by: true, ..FakeApps::default() };
            seen.call(standby, operation, headers, body).await;
        }
        let closed = FakeApps::default();
        closed.feed.close();
        seen.call(closed, operation, headers, body).await;
    }
    for (operation, described) in &operations {
        // The time limit is the same for all, and tried with a sleep; metrics that cannot be written need a broken registry.
        let beyond = BTreeSet::from(if operation == "GET /metrics" { [500] } else { [504] });
        let happened = &seen.0[operation];
        assert_eq!(&(described - &beyond), happened, "{operation}");
    }
}
