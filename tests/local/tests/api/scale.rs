//! The Scale API by its contract, and how long an app is kept awake.

use reveille_tests_local::{App, get, until, wait::secs};
use serde_json::{Value, json};

use crate::support::{SOON, problem, start};

/// Calls the Scale API of an app.
#[track_caller]
pub(super) fn call(
    reveille: &reveille_tests_local::Reveille,
    app: &str,
    what: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let path = format!("/api/v1/deployments/local/{app}/{what}");
    let method = if body.is_some() { "POST" } else { "GET" };
    let answer = reveille.admin.call(method, &path, body.map(Value::to_string).as_deref());
    (answer.status(), answer.json())
}

#[test]
fn a_deployment_is_scaled_up_and_to_zero() {
    let app = App::slow("web").set("idle: {ttl: never}");
    let reveille = start(&[&app]);
    assert_eq!(reveille.admin.call("GET", "/health", None).json()["status"], "healthy");
    assert_eq!(reveille.admin.call("GET", "/ready", None).json()["status"], "ready");
    let (status, body) = call(&reveille, "web", "status", None);
    assert_eq!((status, &body["deployment"]["status"]), (200, &json!("inactive")));

    let (status, body) = call(&reveille, "web", "scale-up", Some(&json!({"replicas": 1, "reason": "demo"})));
    assert_eq!((status, &body["message"]), (200, &json!("Deployment scaled to 1 replicas")));
    until("it is active", SOON, || {
        call(&reveille, "web", "status", None).1["deployment"]["status"] == "active"
    });
    let (status, body) = call(&reveille, "web", "scale-up", Some(&json!({"replicas": 2, "reason": "demo"})));
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("one process"), "{body}");

    let order = json!({"reason": "night", "wake_on_request": false});
    let (status, body) = call(&reveille, "web", "scale-to-zero", Some(&order));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["deployment"]["previous_replicas"], 1);
    reveille.admin.await_phase("web", "Asleep", SOON);
    assert_eq!(get(app.listen, "/").status(), 503, "a request does not wake it, as was said");

    let (status, body) = call(&reveille, "none", "status", None);
    assert_eq!((status, &body["status"]), (404, &json!("error")));
    let audit = reveille.logged("action");
    let actions: Vec<_> =
        audit.iter().map(|(line, action)| (action.clone(), line["result"].clone())).collect();
    let wanted = [("scale-up", "done"), ("scale-up", "bad-request"), ("scale-to-zero", "done")];
    assert_eq!(actions, wanted.map(|(action, result)| (json!(action), json!(result))));
    let line = &audit[2].0;
    assert_eq!(
        (&line["who"], &line["reason"], &line["peer"]),
        (&json!("anonymous"), &json!("night"), &json!("127.0.0.1"))
    );
    reveille.stop();
}

#[test]
fn one_in_use_is_not_scaled_to_zero_and_loses_nothing() {
    let app = App::slow("web").set("idle: {ttl: never}");
    let reveille = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    let listen = app.listen;
    let request = std::thread::spawn(move || get(listen, "/slow?ms=13000").status());
    reveille.admin.await_phase("web", "Awake", SOON);
    until("it works", SOON, || reveille.admin.in_flight("web") == 1);
    let (status, body) = call(&reveille, "web", "scale-to-zero", Some(&json!({"reason": "night"})));
    assert_eq!((status, &body["status"]), (409, &json!("error")), "{body}");
    assert_eq!(request.join().unwrap(), 200);
    reveille.stop();
}

#[test]
fn an_app_is_kept_awake_for_as_long_as_was_asked() {
    let app = App::slow("web").set("idle: {ttl: 200ms}");
    let reveille = start(&[&app]);
    let body = r#"{"for": "3s", "reason": "demo"}"#;
    let started = std::time::Instant::now();
    let answer = reveille.admin.call("POST", "/api/v1/apps/local/web/wake", Some(body));
    assert_eq!(answer.status(), 202, "{}", answer.text());
    assert!(answer.json()["awakeUntil"].is_string());
    reveille.admin.await_phase("web", "Awake", SOON);
    let shown = reveille.cli(&["status", "web"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("kept awake  until "));
    reveille.admin.await_phase("web", "Asleep", SOON);
    assert!(started.elapsed() >= secs(3), "{:?}", started.elapsed());
    let answer = reveille.admin.call("POST", "/api/v1/apps/local/web/wake", Some(r#"{"for": "1y"}"#));
    assert!(problem(&answer, 400).contains("500ms, 90s"));

    let output = reveille.cli(&["wake", "web", "--for", "1h", "--wait"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("and stays so until"), "{output:?}");
    crate::support::sleep(&reveille, "web");
    assert!(reveille.admin.app("web")["awakeUntil"].is_null());
    reveille.stop();
}
