//! The clients against Triton itself, without Reveille. What they see here is what they are to see through it.

use reveille_tests_local::{Answer, Triton, get, http::post, report::figure, triton, until};
use serde_json::json;

use super::SOON;

/// Whether its HTTP port says that it is ready.
fn is_ready(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() && get(port, "/v2/health/ready").status() == 200
}

#[test]
fn clients_and_models_are_right_without_reveille() {
    const TEST: &str = "triton::alone::clients_and_models_are_right_without_reveille";
    if triton::is_missing(TEST) {
        return;
    }
    let (triton, server) = Triton::new("alone", &["resnet50", "stream", "slow"]).run_alone();
    let client = triton.client();
    let took = until("Triton is ready", SOON, || is_ready(triton.http));
    let kib: u64 = reveille_tests_local::process::Process::of(server.0.id())
        .map(|server| {
            server.resident_kib() + server.descendants().iter().map(|p| p.resident_kib()).sum::<u64>()
        })
        .unwrap();
    figure(TEST, &format!("ready after {took:?}, {} MiB resident with three models", kib / 1024));

    let (http, grpc) = (json!({"port": triton.http}), json!({"port": triton.grpc}));
    let state = json!({"live": true, "ready": true, "model": true});
    let index = json!({"resnet50": "READY", "slow": "READY", "stream": "READY"});
    for (kind, port) in [("http", &http), ("grpc", &grpc)] {
        for call in ["infer", "aio_infer"] {
            client.ask(&format!("{kind}.{call}"), port.clone()).value();
        }
        for call in ["state", "aio_state"] {
            assert_eq!(client.ask(&format!("{kind}.{call}"), port.clone()).value(), state, "{kind}.{call}");
        }
        assert_eq!(client.ask(&format!("{kind}.index"), port.clone()).value(), index);
        let metadata = client.ask(&format!("{kind}.metadata"), port.clone()).value();
        assert_eq!(metadata, json!({"server": "triton", "model": "resnet50"}));
        let stats = client.ask(&format!("{kind}.statistics"), port.clone()).value();
        assert_eq!(stats["model_stats"][0]["name"], "resnet50", "{stats}");
        client.ask(&format!("{kind}.asides"), port.clone()).value();
        let slow = |ms, timeout| {
            let mut arguments = port.clone();
            arguments["ms"] = json!(ms);
            arguments["timeout"] = json!(timeout);
            client.ask(&format!("{kind}.slow"), arguments)
        };
        assert_eq!(slow(50, 60.0).value(), 50);
        let failure = slow(700, 0.2).failure();
        let expected = if kind == "http" { "TimeoutError" } else { "InferenceServerException" };
        assert_eq!(failure.kind, expected, "{failure:?}");
    }
    assert_eq!(client.ask("grpc.health", grpc).value(), "0801");
    let stream = json!({"port": triton.grpc, "count": 4, "gap_ms": 50});
    assert_eq!(client.ask("grpc.aio_stream", stream.clone()).value(), json!([0, 1, 2, 3]));
    let said = client.ask("grpc.stream", stream).value();
    assert_eq!(said["indices"], json!([0, 1, 2, 3]));
    let left = json!({"port": triton.grpc, "count": 100, "gap_ms": 20, "leave_after": 3});
    assert_eq!(client.ask("grpc.stream", left).value()["indices"], json!([0, 1, 2]));
    let events: Answer =
        post(triton.http, "/v2/models/stream/generate_stream", r#"{"COUNT": 2, "GAP_MS": 10}"#);
    assert_eq!(events.field("content-type"), Some("text/event-stream; charset=utf-8"), "{:?}", events.head);
    assert_eq!(events.text().matches("\"INDEX\":").count(), 2, "{}", events.text());
}

#[test]
fn clients_notice_wrong_numbers() {
    const TEST: &str = "triton::alone::clients_notice_wrong_numbers";
    if triton::is_missing(TEST) {
        return;
    }
    let (triton, _server) = Triton::new("other", &["resnet50"]).run_alone();
    until("Triton is ready", SOON, || is_ready(triton.http));
    let client = triton.mistaken_client();
    for (call, port) in [("http.infer", triton.http), ("grpc.infer", triton.grpc)] {
        let failure = client.ask(call, json!({"port": port})).failure();
        assert_eq!(failure.kind, "AssertionError", "{failure:?}");
    }
}
