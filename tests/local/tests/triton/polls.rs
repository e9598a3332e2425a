//! Questions about its state: while it sleeps they get an answer and do not wake it; while it is awake Triton
//! answers itself, and they do not keep it awake.

use reveille_tests_local::{Client, Reveille, Triton, get, pause, triton, until, wait::ms};
use serde_json::json;

use super::{SOON, behind, wakes};
use crate::support::wake;

/// Asks everything that asks how it is, of a Triton that is not awake.
#[track_caller]
fn ask_all(client: &Client, kind: &str, port: u16) {
    let ask = |call: &str| client.ask(&format!("{kind}.{call}"), json!({"port": port}));
    // The clients' own words for it: False, and no exception.
    let state = json!({"live": false, "ready": false, "model": false});
    assert_eq!(ask("state").value(), state, "{kind}.state");
    assert_eq!(ask("aio_state").value(), state, "{kind}.aio_state");
    let unavailable = if kind == "http" { "503" } else { "StatusCode.UNAVAILABLE" };
    for call in ["statistics", "index", "asides"] {
        let failure = ask(call).failure();
        assert_eq!(failure.kind, "InferenceServerException", "{kind}.{call}: {failure:?}");
        assert_eq!(failure.status.as_deref(), Some(unavailable), "{kind}.{call}: {failure:?}");
    }
    let failure =
        client.ask(&format!("{kind}.statistics"), json!({"port": port, "model": "resnet50"})).failure();
    assert_eq!(failure.status.as_deref(), Some(unavailable), "{kind}, statistics of a model: {failure:?}");
    if kind == "grpc" {
        assert_eq!(ask("health").value(), "0802", "NOT_SERVING");
    }
}

/// Polls as fast as monitoring does until it has fallen asleep under it.
#[track_caller]
fn poll_until_asleep(reveille: &Reveille, name: &str, client: &Client, kind: &str, port: u16) {
    until("it falls asleep under polls", SOON, || {
        for call in ["state", "index", "statistics"] {
            // Whatever they say: it may fall asleep between two of them.
            let _ = client.ask(&format!("{kind}.{call}"), json!({"port": port}));
        }
        pause(ms(50));
        reveille.admin.phase(name) == "Asleep"
    });
}

#[track_caller]
fn polls(test: &str, kind: &str) {
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("polled", &["resnet50"]).set("idle: {ttl: 1500ms}");
    let client = triton.client();
    let reveille = behind(&triton);
    let port = if kind == "http" { triton.http } else { triton.grpc };
    ask_all(&client, kind, port);
    assert_eq!((reveille.admin.phase("polled").as_str(), wakes(&reveille, "polled")), ("Asleep", 0.0));

    client.ask(&format!("{kind}.infer"), json!({"port": port})).value();
    let state = client.ask(&format!("{kind}.state"), json!({"port": port})).value();
    assert_eq!(state, json!({"live": true, "ready": true, "model": true}), "awake, Triton answers itself");
    poll_until_asleep(&reveille, "polled", &client, kind, port);
    ask_all(&client, kind, port);
    assert_eq!(wakes(&reveille, "polled"), 1.0, "only the inference woke it");
    reveille.stop();
}

#[test]
fn over_http_they_do_not_wake_it_and_do_not_keep_it_awake() {
    polls("triton::polls::over_http_they_do_not_wake_it_and_do_not_keep_it_awake", "http");
}

#[test]
fn over_grpc_they_do_not_wake_it_and_do_not_keep_it_awake() {
    polls("triton::polls::over_grpc_they_do_not_wake_it_and_do_not_keep_it_awake", "grpc");
}

/// Asks while Triton runs and loads its models, with its ports closed.
#[track_caller]
fn while_loading(test: &str, kind: &str) {
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("loading", &["slow"]).loading_for(600_000).set("stopGrace: 0s");
    let client = triton.client();
    let reveille = behind(&triton);
    assert!(reveille.admin.wake("loading").status() < 300);
    until("Triton runs", SOON, || !Triton::running(&reveille).is_empty());
    ask_all(&client, kind, if kind == "http" { triton.http } else { triton.grpc });
    assert_eq!(reveille.admin.phase("loading"), "Waking");
}

#[test]
fn over_http_it_is_not_ready_while_it_loads_its_models() {
    while_loading("triton::polls::over_http_it_is_not_ready_while_it_loads_its_models", "http");
}

#[test]
fn over_grpc_it_is_not_ready_while_it_loads_its_models() {
    while_loading("triton::polls::over_grpc_it_is_not_ready_while_it_loads_its_models", "grpc");
}

#[test]
fn metrics_are_scraped_without_waking_it() {
    let test = "triton::polls::metrics_are_scraped_without_waking_it";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("scraped", &["resnet50"]);
    let reveille = behind(&triton);
    assert_eq!(get(triton.metrics, "/metrics").status(), 503);
    assert_eq!(reveille.admin.phase("scraped"), "Asleep");
    wake(&reveille, "scraped");
    until("its metrics are there", SOON, || {
        let answer = get(triton.metrics, "/metrics");
        answer.status() == 200 && answer.text().contains("nv_inference_request_success")
    });
    reveille.stop();
}
