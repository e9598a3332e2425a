//! What outlasts the TTL: work that goes on keeps it awake, a channel on which nothing is asked does not.

use reveille_tests_local::{Conn, Triton, report::figure, triton, until};
use serde_json::json;

use super::{SOON, await_quiet, behind, wakes};

const SHORT: &str = "idle: {ttl: 300ms}";

/// A stream of this many responses takes eight TTLs.
const COUNT: u64 = 6;
const GAP_MS: u64 = 400;

#[test]
fn a_decoupled_stream_over_grpc_keeps_it_awake() {
    let test = "triton::lasting::a_decoupled_stream_over_grpc_keeps_it_awake";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("tokens", &["stream"]).set(SHORT);
    let client = triton.client();
    let reveille = behind(&triton);
    let stream = client.begin("grpc.stream", json!({"port": triton.grpc, "count": COUNT, "gap_ms": GAP_MS}));
    reveille.admin.await_phase("tokens", "Awake", SOON);
    let said = until_ended_awake(&reveille, &client, stream, "tokens");
    assert_eq!(said["indices"], json!((0..COUNT).collect::<Vec<_>>()));
    let gaps: Vec<f64> =
        said["gaps"].as_array().unwrap()[1..].iter().filter_map(|gap| gap.as_f64()).collect();
    figure(test, &format!("responses sent {GAP_MS} ms apart came so far apart: {gaps:.0?} ms"));
    assert!(gaps.iter().all(|&gap| gap > 100.0), "responses were kept back and came together: {gaps:?}");
    await_quiet(&reveille, "tokens");
    reveille.admin.await_phase("tokens", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "tokens"), 1.0);
    reveille.stop();
}

/// Waits for the end of a call, under which the app must be awake.
fn until_ended_awake(
    reveille: &reveille_tests_local::Reveille,
    client: &triton::Client,
    call: triton::Call,
    name: &str,
) -> serde_json::Value {
    reveille_tests_local::wait::until_some("the call ends", SOON, || {
        let phase = reveille.admin.phase(name);
        // Asked in this order: the phase is from before the end.
        let said = client.ended(call);
        if said.is_none() {
            assert_eq!(phase, "Awake", "while it works");
        }
        said
    })
    .value()
}

#[test]
fn a_generate_stream_over_http_keeps_it_awake() {
    let test = "triton::lasting::a_generate_stream_over_http_keeps_it_awake";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("events", &["stream"]).set(SHORT);
    let reveille = behind(&triton);
    let mut conn = Conn::open(triton.http);
    let body = json!({"COUNT": COUNT, "GAP_MS": GAP_MS}).to_string();
    conn.send_post("/v2/models/stream/generate_stream", &body);
    let head = conn.head().unwrap();
    assert_eq!(
        (head.status, head.field("content-type")),
        (200, Some("text/event-stream; charset=utf-8")),
        "{head:?}"
    );
    let mut framing = head.framing("POST").unwrap();
    let mut text = String::new();
    while let Some(piece) = conn.piece(&mut framing).unwrap() {
        text += &String::from_utf8(piece).unwrap();
        if text.matches("\"INDEX\":").count() < usize::try_from(COUNT).unwrap() {
            assert_eq!(reveille.admin.phase("events"), "Awake");
        }
    }
    assert_eq!(text.matches("\"INDEX\":").count(), usize::try_from(COUNT).unwrap(), "{text}");
    await_quiet(&reveille, "events");
    reveille.admin.await_phase("events", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "events"), 1.0);
    reveille.stop();
}

#[test]
fn a_long_inference_over_http_keeps_it_awake() {
    let test = "triton::lasting::a_long_inference_over_http_keeps_it_awake";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("thinking", &["slow"]).set(SHORT);
    let client = triton.client();
    let reveille = behind(&triton);
    let call = client.begin("http.slow", json!({"port": triton.http, "ms": 1_500}));
    reveille.admin.await_phase("thinking", "Awake", SOON);
    assert_eq!(until_ended_awake(&reveille, &client, call, "thinking"), 1_500);
    reveille.admin.await_phase("thinking", "Asleep", SOON);
    assert_eq!(wakes(&reveille, "thinking"), 1.0);
    reveille.stop();
}

#[test]
fn an_idle_grpc_channel_with_pings_lets_it_sleep_and_wakes_it_again() {
    let test = "triton::lasting::an_idle_grpc_channel_with_pings_lets_it_sleep_and_wakes_it_again";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("channel", &["resnet50"]).set("idle: {ttl: 700ms}");
    let client = triton.client();
    let reveille = behind(&triton);
    for cycle in 1..=2 {
        client.ask("grpc.kept_infer", json!({"port": triton.grpc, "seed": cycle})).value();
        assert_eq!(wakes(&reveille, "channel"), f64::from(cycle));
        reveille.admin.await_phase("channel", "Asleep", SOON);
        until("Triton has ended", SOON, || Triton::running(&reveille).is_empty());
    }
    reveille.stop();
}
