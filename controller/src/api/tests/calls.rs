//! Each call, and each way to be refused.

use http_body_util::StreamBody;
use reveille_core::api::AppList;

use super::*;

const WAKE: &str = "/api/v1/apps/local/web/wake";
const SLEEP: &str = "/api/v1/apps/local/web/sleep";
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test]
async fn health_and_metrics_are_plain_text() {
    let response = send(FakeApps::default(), request("GET", "/livez", &[], "")).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (200, "ok"));
    let response = send(FakeApps::default(), request("GET", "/readyz", &[], "")).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (200, "ok"));
    let draining = FakeApps { draining: true, ..FakeApps::default() };
    let response = send(draining, request("GET", "/readyz", &[], "")).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (503, "draining or starting"));

    let response = send(FakeApps::default(), request("GET", "/metrics", &[], "")).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(text(response).await.contains("\nreveille_test_total 0\n"));
}

#[tokio::test]
async fn apps_are_listed_and_shown() {
    let response = send(FakeApps::default(), request("GET", "/api/v1/apps", &[], "")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let list: AppList = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(list.apps.len(), 1);

    let response = send(FakeApps::default(), request("GET", "/api/v1/apps/local/web", &[], "")).await;
    let shown: AppStatus = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(shown, list.apps[0]);
}

#[tokio::test]
async fn wake_and_sleep_pass_on_what_was_asked() {
    let apps = Arc::new(FakeApps::default());
    for (path, headers, body, status) in [
        (WAKE, &[][..], "", 202),
        (WAKE, &[JSON], r#"{"reason": "demo\n at noon"}"#, 202),
        (WAKE, &[JSON], r#"{"reason": null, "for": "2h"}"#, 202),
        (SLEEP, &[], "", 200),
        (SLEEP, &[JSON], r#"{"reason": "night", "wake_on_request": false}"#, 200),
    ] {
        let response = router_of(apps.clone()).oneshot(request("POST", path, headers, body)).await.unwrap();
        assert_eq!(response.status(), status, "{path} {body}");
    }
    assert_eq!(
        *apps.calls.lock().unwrap(),
        [
            "wake by admin API",
            "wake by admin API: demo  at noon",
            "wake by admin API for 7200 s",
            "SleepRequest { reason: None, wake_on_request: true }",
            "SleepRequest { reason: Some(\"night\"), wake_on_request: false }",
        ]
    );
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let app = AppId::local("web");
    let in_use = Refusal::InUse { app: app.clone(), in_service: 3, waited_s: 10 };
    let wrong_phase = Refusal::WrongPhase { app: app.clone(), phase: Phase::Waking };
    let blocked = Refusal::Blocked { app: app.clone(), reason: "it ended".into(), retry_in_s: 7 };
    for (refusal, status, kind, retry_after) in [
        (Refusal::UnknownApp(app), 404, "unknown-app", None),
        (in_use, 409, "in-use", None),
        (wrong_phase, 409, "wrong-phase", None),
        (blocked, 503, "wake-blocked", Some("7")),
        (Refusal::Stopping, 503, "stopping", None),
    ] {
        let apps = FakeApps { refusal: Some(refusal.clone()), ..FakeApps::default() };
        let response = send(apps, request("POST", SLEEP, &[], "")).await;
        assert_eq!(response.headers().get("retry-after").map(|v| v.to_str().unwrap()), retry_after);
        let body = problem(response, status).await;
        assert!(body.kind.ends_with(kind), "{body:?}");
        assert_eq!(body.detail, refusal.to_string());
    }
}

#[tokio::test]
async fn unknown_paths_apps_and_methods() {
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/ui/nothing", 404),
        ("GET", "/api/v1/apps/local", 404),
        ("GET", "/api/v1/apps/local/none", 404),
        ("POST", "/api/v1/apps/local/none/wake", 404),
        ("GET", "/api/v1/apps/local/We%0Ab", 404),
        ("GET", "/api/v1/apps/local/%FF", 400),
        ("DELETE", "/api/v1/apps/local/web", 405),
        ("OPTIONS", "/api/v1/apps", 405),
        ("POST", "/livez", 405),
    ] {
        let response = send(FakeApps::default(), request(method, path, &[], "")).await;
        let allow = response.headers().get("allow").cloned();
        let body = problem(response, status).await;
        assert!(!body.detail.contains('\n'), "{body:?}");
        assert_eq!(allow.is_some(), status == 405, "{path}");
        if let Some(allow) = allow {
            assert_eq!(allow, "GET,HEAD");
        }
    }
    let response = send(FakeApps::default(), request("GET", WAKE, &[], "")).await;
    assert_eq!(response.headers()["allow"], "POST");
    problem(response, 405).await;
}

#[tokio::test]
async fn bad_bodies() {
    let long_reason = format!(r#"{{"reason": "{}"}}"#, "x".repeat(201));
    for (headers, body, status, says) in [
        (&[JSON][..], "{", 400, "EOF"),
        (&[JSON], r#"{"raeson": "x"}"#, 400, "unknown field `raeson`"),
        (&[JSON], r#"{"reason": 5}"#, 400, "expected a string"),
        (&[JSON], r#"{"for": "2"}"#, 400, "500ms, 90s"),
        (&[JSON], r#"{"for": "999ms"}"#, 400, "from 1s to 30d, this is 999ms"),
        (&[JSON], r#"{"for": "31d"}"#, 400, "from 1s to 30d"),
        (&[JSON], "[null, \"2h\"]", 400, "expected a JSON object"),
        (&[JSON], &long_reason, 400, "200 characters"),
        (&[("content-type", "text/plain")], "{}", 415, "text/plain"),
        (&[], "{}", 415, "no content type"),
        (&[JSON, ("content-length", "70000")], "", 413, "65536"),
        (&[JSON], &" ".repeat(65 * 1024), 413, "65536"),
    ] {
        let response = send(FakeApps::default(), request("POST", WAKE, headers, body.to_owned())).await;
        let body = problem(response, status).await;
        assert!(body.detail.contains(says), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let never =
        futures_util::stream::pending::<Result<http_body::Frame<axum::body::Bytes>, std::io::Error>>();
    let body = Body::new(StreamBody::new(never));
    let response = send(FakeApps::default(), request("POST", WAKE, &[JSON], body)).await;
    problem(response, 408).await;
}

#[tokio::test(start_paused = true)]
async fn a_sleep_goes_on_when_its_caller_is_gone() {
    let hold = Arc::new(Notify::new());
    let apps = Arc::new(FakeApps { hold_sleep: Some(hold.clone()), ..FakeApps::default() });
    let response = router_of(apps.clone()).oneshot(request("POST", SLEEP, &[], "")).await.unwrap();
    problem(response, 504).await;
    assert!(apps.calls.lock().unwrap().is_empty(), "it still waits");
    hold.notify_one();
    while apps.calls.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_dashboard_is_served_with_a_strict_policy_and_asked_for_again() {
    for path in ["/", "/ui"] {
        let response = send(FakeApps::default(), request("GET", path, &[], "")).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
            (307, "/ui/")
        );
    }
    let page = send(FakeApps::default(), request("GET", "/ui/", &[], "")).await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let tag = page.headers()["etag"].to_str().unwrap().to_owned();
    assert!(text(page).await.contains("<title>Reveille</title>"));
    let again = request("GET", "/ui/", &[("if-none-match", &tag)], "");
    let again = send(FakeApps::default(), again).await;
    assert_eq!((again.status().as_u16(), again.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
    assert_eq!(text(again).await, "");
    let script = send(FakeApps::default(), request("GET", "/ui/js/main.js", &[], "")).await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    // Without a key, as nobody could ask for one otherwise; but not from another host.
    let keys = KeyRing::new(vec![
        crate::keys::new("a", crate::keys::Namespaces::All, crate::keys::Right::Read).unwrap().kept,
    ]);
    let locked = FakeApps { keys: Some(keys), ..FakeApps::default() };
    assert_eq!(send(locked, request("GET", "/ui/", &[], "")).await.status(), 200);
    let foreign = request("GET", "/ui/", &[("host", "evil.example")], "");
    problem(send(FakeApps::default(), foreign).await, 403).await;
}
