//! The Scale API as its clients know it: names, values, statuses, and the form of its errors.

use serde_json::{Value, json};

use super::*;

const ZERO: &str = "/api/v1/deployments/local/web/scale-to-zero";
const UP: &str = "/api/v1/deployments/local/web/scale-up";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Calls, and returns status and body.
async fn call(apps: FakeApps, method: &str, path: &str, body: &str) -> (u16, Value) {
    let headers = if body.is_empty() { &[][..] } else { &[JSON] };
    let response = send(apps, request(method, path, headers, body.to_owned())).await;
    let status = response.status().as_u16();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
    (status, serde_json::from_str(&text(response).await).unwrap())
}

/// The body with the time, which must be one, as `T`.
fn timeless(mut body: Value, field: &str) -> Value {
    let time: Timestamp = body[field].as_str().expect("there is a time").parse().unwrap();
    assert!(time > Timestamp::UNIX_EPOCH);
    body[field] = json!("T");
    body
}

#[tokio::test]
async fn health_and_readiness() {
    let (status, body) = call(FakeApps::default(), "GET", "/health", "").await;
    assert_eq!((status, timeless(body, "time")), (200, json!({"status": "healthy", "time": "T"})));
    let (status, body) = call(FakeApps::default(), "GET", "/ready", "").await;
    let ready = json!({"status": "ready", "kubernetes": "connected", "time": "T"});
    assert_eq!((status, timeless(body, "time")), (200, ready));
    let draining = FakeApps { draining: true, ..FakeApps::default() };
    let (status, body) = call(draining, "GET", "/ready", "").await;
    let not_ready = json!({"status": "not ready", "error": "it drains", "time": "T"});
    assert_eq!((status, timeless(body, "time")), (503, not_ready));
}

#[tokio::test]
async fn answers_have_the_names_and_values_of_the_contract() {
    let at = Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let order =
        json!({"reason": "night \u{1b}[2J", "scheduled_scale_up": at, "an": "unknown field"}).to_string();
    let (status, body) = call(FakeApps::default(), "POST", ZERO, &order).await;
    let deployment = json!({
        "name": "web", "namespace": "local", "previous_replicas": 2, "current_replicas": 0, "target_replicas": 0,
        "target_status": "scaled-to-zero", "scaling_reason": "night \u{1b}[2J", "scheduled_scale_up": at,
    });
    let wanted = json!({
        "status": "success", "message": "Deployment scaled to zero", "deployment": deployment, "timestamp": "T",
    });
    assert_eq!((status, timeless(body, "timestamp")), (200, wanted));

    let (status, body) = call(FakeApps::default(), "POST", UP, r#"{"replicas": 3, "reason": "x"}"#).await;
    let deployment = json!({
        "name": "web", "namespace": "local", "previous_replicas": 0, "current_replicas": 0, "target_replicas": 3,
        "target_status": "scaling-up", "scaling_reason": "x",
    });
    let wanted = json!({
        "status": "success", "message": "Deployment scaled to 3 replicas", "deployment": deployment, "timestamp": "T",
    });
    assert_eq!((status, timeless(body, "timestamp")), (200, wanted));

    let path = "/api/v1/deployments/local/web/status";
    let (status, body) = call(FakeApps::default(), "GET", path, "").await;
    let deployment = json!({
        "name": "web", "namespace": "local", "deployment": "web", "current_replicas": 0, "desired_replicas": 2,
        "available_replicas": 0, "status": "scaling", "last_scale_time": null,
    });
    let wanted = json!({
        "status": "success", "message": "Deployment status retrieved successfully", "deployment": deployment,
        "timestamp": "T",
    });
    assert_eq!((status, timeless(body, "timestamp")), (200, wanted));
}

#[tokio::test]
async fn a_request_wakes_it_again_unless_it_was_said_otherwise() {
    let apps = Arc::new(FakeApps::default());
    for body in
        [r#"{"reason": "x", "scheduled_scale_up": null}"#, r#"{"reason": "x", "wake_on_request": false}"#]
    {
        router_of(apps.clone()).oneshot(request("POST", ZERO, &[JSON], body)).await.unwrap();
    }
    let calls = apps.calls.lock().unwrap();
    assert!(calls[0].ends_with("scheduled_scale_up: None, wake_on_request: true }"), "{calls:?}");
    assert!(calls[1].ends_with("wake_on_request: false }"), "{calls:?}");
}

/// The error in the form of this API; its words.
#[track_caller]
fn error(body: Value) -> String {
    let body = timeless(body, "timestamp");
    let mut fields: Vec<_> = body.as_object().unwrap().keys().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["error", "message", "status", "timestamp"]);
    assert_eq!(body["status"], "error");
    assert!(!body["message"].as_str().unwrap().is_empty());
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_asked_is_checked() {
    let ahead = |days: i64| (Timestamp::now() + jiff::SignedDuration::from_hours(days * 24)).to_string();
    let scheduled = |at: &str| json!({"reason": "x", "scheduled_scale_up": at}).to_string();
    let long = json!({"reason": "é".repeat(501)}).to_string();
    for (path, body, says) in [
        (ZERO, "", "the call has no body"),
        (ZERO, "{", "EOF"),
        (ZERO, "{}", "missing field `reason`"),
        (ZERO, r#"{"reason": ""}"#, "1 to 500 characters, this one has 0"),
        (ZERO, r#"{"reason": " \n"}"#, "blanks alone say nothing"),
        (ZERO, &long, "1 to 500 characters, this one has 501"),
        (ZERO, &scheduled("tomorrow"), "is no time: write it as 2026-"),
        (ZERO, &scheduled("2020-01-02T03:04:05Z"), "has passed"),
        (ZERO, &scheduled(&ahead(0)), "has passed"),
        (ZERO, &scheduled(&ahead(367)), "more than a year ahead"),
        (UP, r#"{"reason": "x"}"#, "missing field `replicas`"),
        (UP, r#"{"reason": "x", "replicas": 0}"#, "call scale-to-zero"),
        (UP, r#"{"reason": "x", "replicas": -1}"#, "invalid value"),
        (UP, r#"{"reason": "x", "replicas": 1.5}"#, "expected u32"),
        (UP, r#"{"reason": "", "replicas": 1}"#, "1 to 500"),
    ] {
        let apps = Arc::new(FakeApps::default());
        let headers = if body.is_empty() { &[][..] } else { &[JSON] };
        let response =
            router_of(apps.clone()).oneshot(request("POST", path, headers, body.to_owned())).await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
        let said = error(serde_json::from_str(&text(response).await).unwrap());
        assert!(said.contains(says), "{body}: {said}");
        assert!(apps.calls.lock().unwrap().is_empty(), "nothing is done");
    }
    let longest = json!({"reason": "é".repeat(500), "scheduled_scale_up": ahead(366)}).to_string();
    assert_eq!(call(FakeApps::default(), "POST", ZERO, &longest).await.0, 200);
}

#[tokio::test]
async fn each_failure_has_its_status_and_form() {
    let reason = || "this is why".to_owned();
    for (failure, status, retry_after) in [
        (DeploymentError::NotFound(reason()), 404, None),
        (DeploymentError::Invalid(reason()), 400, None),
        (DeploymentError::Conflict(reason()), 409, None),
        (DeploymentError::Failed(reason()), 500, None),
        (DeploymentError::Unavailable { reason: reason(), retry_in_s: None }, 503, None),
        (DeploymentError::Unavailable { reason: reason(), retry_in_s: Some(0) }, 503, Some("1")),
    ] {
        let apps = FakeApps { failure: Some(failure), ..FakeApps::default() };
        let response = send(apps, request("POST", ZERO, &[JSON], r#"{"reason": "x"}"#)).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().get("retry-after").map(|v| v.to_str().unwrap()), retry_after);
        assert_eq!(error(serde_json::from_str(&text(response).await).unwrap()), reason());
    }
    for (method, path, status) in [
        ("GET", "/api/v1/deployments/local/none/status", 404),
        ("GET", "/api/v1/deployments/other/web/status", 404),
        ("GET", "/api/v1/deployments/local/a..b/status", 404),
        ("GET", "/api/v1/deployments/a.b/web/status", 404),
        ("GET", &format!("/api/v1/deployments/local/{}/status", "x.".repeat(150)), 404),
        ("GET", "/api/v1/deployments/local/%FF/status", 400),
        ("GET", "/api/v1/deployments/local/web", 404),
        ("GET", ZERO, 405),
    ] {
        let (got, body) = call(FakeApps::default(), method, path, "").await;
        assert_eq!(got, status, "{path}");
        error(body);
    }
    let response =
        send(FakeApps::default(), request("POST", ZERO, &[("content-type", "text/plain")], "{}")).await;
    assert_eq!(response.status(), 415);
    error(serde_json::from_str(&text(response).await).unwrap());
    // A Deployment's name is a DNS name, an app's is a label.
    let dotted = FakeApps { failure: Some(DeploymentError::Failed(reason())), ..FakeApps::default() };
    assert_eq!(call(dotted, "GET", "/api/v1/deployments/local/a.b/status", "").await.0, 500);
}
