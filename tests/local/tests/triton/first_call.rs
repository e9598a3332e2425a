//! The first call of each kind wakes a sleeping Triton, and is answered as if it had never slept.

use reveille_tests_local::{Triton, http::post, report::figure, triton};
use serde_json::{Value, json};

use super::{SOON, behind, wakes};

/// Calls a sleeping Triton once; returns what the client was given. The answers of inferences are compared with
/// what is right by the client.
#[track_caller]
fn first(test: &str, call: &str, models: &[&str], arguments: Value) -> Option<Value> {
    if triton::is_missing(test) {
        return None;
    }
    let triton = Triton::new("first", models);
    let client = triton.client();
    let reveille = behind(&triton);
    assert_eq!(Triton::running(&reveille), [], "it sleeps");
    let mut arguments = arguments;
    arguments["port"] = json!(if call.starts_with("http") { triton.http } else { triton.grpc });
    let said = client.ask(call, arguments.clone());
    let cold = said.ms;
    let value = said.value();
    let warm = client.ask(call, arguments);
    figure(test, &format!("first {call} after {cold:.0} ms, second after {:.1} ms", warm.ms));
    warm.value();
    assert_eq!(wakes(&reveille, "first"), 1.0);
    assert_eq!(Triton::running(&reveille).len(), 1);
    reveille.stop();
    Some(value)
}

#[test]
fn http_infer() {
    first("triton::first_call::http_infer", "http.infer", &["resnet50"], json!({"seed": 1}));
}

#[test]
fn http_asyncio_infer() {
    first("triton::first_call::http_asyncio_infer", "http.aio_infer", &["resnet50"], json!({"seed": 2}));
}

#[test]
fn http_metadata() {
    let test = "triton::first_call::http_metadata";
    let Some(value) = first(test, "http.metadata", &["resnet50"], json!({})) else { return };
    assert_eq!(value, json!({"server": "triton", "model": "resnet50"}));
}

#[test]
fn http_generate_stream() {
    let test = "triton::first_call::http_generate_stream";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("generate", &["stream"]);
    let reveille = behind(&triton);
    let path = "/v2/models/stream/generate_stream";
    let events = post(triton.http, path, r#"{"COUNT": 5, "GAP_MS": 20}"#);
    assert_eq!(events.field("content-type"), Some("text/event-stream; charset=utf-8"), "{:?}", events.head);
    assert_eq!(events.text().matches("\"INDEX\":").count(), 5, "{}", events.text());
    assert_eq!(wakes(&reveille, "generate"), 1.0);
    reveille.stop();
}

#[test]
fn grpc_infer() {
    first("triton::first_call::grpc_infer", "grpc.infer", &["resnet50"], json!({"seed": 3}));
}

#[test]
fn grpc_asyncio_infer() {
    first("triton::first_call::grpc_asyncio_infer", "grpc.aio_infer", &["resnet50"], json!({"seed": 4}));
}

#[test]
fn grpc_metadata() {
    let test = "triton::first_call::grpc_metadata";
    let Some(value) = first(test, "grpc.metadata", &["resnet50"], json!({})) else { return };
    assert_eq!(value, json!({"server": "triton", "model": "resnet50"}));
}

#[test]
fn grpc_stream() {
    let test = "triton::first_call::grpc_stream";
    let arguments = json!({"count": 5, "gap_ms": 20});
    let Some(value) = first(test, "grpc.stream", &["stream"], arguments) else { return };
    assert_eq!(value["indices"], json!([0, 1, 2, 3, 4]));
}

#[test]
fn grpc_asyncio_stream() {
    let test = "triton::first_call::grpc_asyncio_stream";
    let arguments = json!({"count": 5, "gap_ms": 20});
    let Some(value) = first(test, "grpc.aio_stream", &["stream"], arguments) else { return };
    assert_eq!(value, json!([0, 1, 2, 3, 4]));
}

#[test]
fn http_and_grpc_at_once_are_one_wake() {
    let test = "triton::first_call::http_and_grpc_at_once_are_one_wake";
    if triton::is_missing(test) {
        return;
    }
    let triton = Triton::new("both", &["resnet50"]);
    let client = triton.client();
    let reveille = behind(&triton);
    let calls = [
        client.begin("http.infer", json!({"port": triton.http, "seed": 5})),
        client.begin("http.aio_infer", json!({"port": triton.http, "seed": 6})),
        client.begin("grpc.infer", json!({"port": triton.grpc, "seed": 7})),
        client.begin("grpc.aio_infer", json!({"port": triton.grpc, "seed": 8})),
    ];
    reveille.admin.await_held("both", 4, SOON);
    for call in calls {
        client.end(call).value();
    }
    assert_eq!(wakes(&reveille, "both"), 1.0);
    reveille.stop();
}
