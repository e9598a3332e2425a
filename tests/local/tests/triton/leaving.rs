//! Clients that give up leave nothing behind, and the app sleeps again.

use reveille_tests_local::{Triton, triton, until};
use serde_json::json;

use super::{SOON, await_quiet, behind, wakes};

/// Clients whose patience ends before Triton has loaded its models.
#[track_caller]
fn before_it_is_awake(test: &str, kind: &str, raised: &str) {
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("impatient", &["slow"]).loading_for(3_000).set("idle: {ttl: 300ms}");
    let client = triton.client();
    let reveille = behind(&triton);
    let port = if kind == "http" { triton.http } else { triton.grpc };
    let arguments = json!({"port": port, "ms": 0, "timeout": 1.5});
    let calls = [(); 3].map(|()| client.begin(&format!("{kind}.slow"), arguments.clone()));
    reveille.admin.await_held("impatient", 3, SOON);
    for call in calls {
        let failure = client.end(call).failure();
        assert_eq!(failure.kind, raised, "{failure:?}");
    }
    until("nothing is held", SOON, || reveille.admin.held("impatient") == 0);
    assert_eq!(reveille.admin.phase("impatient"), "Waking", "they left before it was awake");
    await_quiet(&reveille, "impatient");
    reveille.admin.await_phase("impatient", "Awake", SOON);
    reveille.admin.await_phase("impatient", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "impatient"), 1.0, "the wake went on without them, and there was no other");
    assert_eq!(client.ask(&format!("{kind}.slow"), json!({"port": port, "ms": 1})).value(), 1);
    reveille.stop();
}

#[test]
fn over_http_before_it_is_awake() {
    before_it_is_awake("triton::leaving::over_http_before_it_is_awake", "http", "TimeoutError");
}

#[test]
fn over_grpc_before_it_is_awake() {
    before_it_is_awake("triton::leaving::over_grpc_before_it_is_awake", "grpc", "InferenceServerException");
}

#[test]
fn over_http_while_it_answers() {
    let test = "triton::leaving::over_http_while_it_answers";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("hasty", &["slow"]).set("idle: {ttl: 300ms}");
    let client = triton.client();
    let reveille = behind(&triton);
    // Awake first, or the wake would be what its patience is spent on.
    let warm = client.begin("http.slow", json!({"port": triton.http, "ms": 1_500}));
    reveille.admin.await_phase("hasty", "Awake", SOON);
    let failure =
        client.ask("http.slow", json!({"port": triton.http, "ms": 1_000, "timeout": 0.3})).failure();
    assert_eq!(failure.kind, "TimeoutError", "{failure:?}");
    assert_eq!(client.end(warm).value(), 1_500);
    await_quiet(&reveille, "hasty");
    reveille.admin.await_phase("hasty", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "hasty"), 1.0);
    reveille.stop();
}

#[test]
fn over_grpc_within_a_stream() {
    let test = "triton::leaving::over_grpc_within_a_stream";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("leaver", &["stream"]).set("idle: {ttl: 300ms}");
    let client = triton.client();
    let reveille = behind(&triton);
    let cancelled = json!({"port": triton.grpc, "count": 100, "gap_ms": 30, "leave_after": 3});
    assert_eq!(client.ask("grpc.stream", cancelled).value()["indices"], json!([0, 1, 2]));
    await_quiet(&reveille, "leaver");
    reveille.admin.await_phase("leaver", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "leaver"), 1.0);
    reveille.stop();
}
