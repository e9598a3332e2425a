//! gRPC: the echo server, the client on tonic, Python's, and nginx in between.

use reveille_tests_local::{
    App,
    grpc::{self, Call, Source},
    h2, product, python, until,
    wait::{ms, secs},
};
use serde_json::json;
use tonic::Code;

use super::alone;
use crate::support::SOON;

#[test]
fn grpc_calls_of_all_four_kinds_are_echoed() {
    let app = App::grpc("alone");
    let _server = alone(&app);
    let client = grpc::Client::open(app.upstream);
    assert_eq!(client.call(&Call::unary("hi")).text(), "hi");
    assert_eq!(client.call(&Call::client_stream(["a", "bc", "def"])).text(), "3 6");
    let stream = client.call(&Call::server_stream("x").with("echo-messages", 5).with("echo-interval-ms", 20));
    assert_eq!((stream.code, stream.messages.len()), (Code::Ok, 5));
    assert!(stream.took >= ms(80), "{:?}", stream.took);
    assert_eq!(client.call(&Call::bidi(["1", "2", "3"])).messages, ["1", "2", "3"]);

    let mut talk = client.talk(&Call::bidi([] as [&str; 0]));
    assert!(talk.head().is_some(), "the head comes before any message");
    for word in ["to", "and", "fro"] {
        talk.send(word);
        assert_eq!(talk.message().unwrap(), word);
    }
    assert!(!talk.is_done());
    let reply = talk.reply();
    assert_eq!((reply.code, reply.source, reply.messages.len()), (Code::Ok, Source::Trailers, 3));
    until("the ends are logged", SOON, || app.events("end").len() == 5);
    assert_eq!(app.events("connection").len(), 2, "that of the wait, and the client's");
    assert_eq!(app.requests("/reveille.test.Echo/Bidi"), 2);
}

#[test]
fn grpc_metadata_statuses_and_big_messages_pass_unchanged() {
    let app = App::grpc("alone");
    let _server = alone(&app);
    let client = grpc::Client::open(app.upstream);
    let call =
        Call::unary("hi").with("x-echo-a", "1").with_bin("x-echo-b-bin", &[0, 255]).with("x-trail-c", "2");
    let reply = client.call(&call.with_bin("x-trail-d-bin", &[1, 254]).timeout(secs(5)));
    assert_eq!((reply.head("x-echo-a"), reply.trailer("x-trail-c")), (Some("1"), Some("2")));
    assert_eq!(reply.head.get_bin("x-echo-b-bin").unwrap().to_bytes().unwrap(), [0, 255][..]);
    assert_eq!(reply.trailers.get_bin("x-trail-d-bin").unwrap().to_bytes().unwrap(), [1, 254][..]);
    assert_eq!(app.count("timeout", "/reveille.test.Echo/Unary 5000m"), 1);
    assert!(app.events("metadata")[0].detail.contains(r#"["x-echo-a","1"]"#));

    let failing = Call::server_stream("x").with("echo-code", 9).with("echo-message", "not now: 50 %");
    let failing =
        failing.with_bin("echo-details-bin", b"why").with("x-trail-e", "3").with("echo-messages", 5);
    let reply = client.call(&failing);
    assert_eq!((reply.code, reply.message.as_str()), (Code::FailedPrecondition, "not now: 50 %"));
    assert_eq!((reply.source, &reply.details[..]), (Source::TrailersOnly, &b"why"[..]));
    let reply = client.call(&failing.with("echo-fail-after", 2));
    assert_eq!(
        (reply.code, reply.messages.len(), reply.source),
        (Code::FailedPrecondition, 2, Source::Trailers)
    );
    assert_eq!((reply.trailer("x-trail-e"), &reply.details[..]), (Some("3"), &b"why"[..]));

    assert_eq!(client.call(&Call::new("/no.Such/Method", vec!["x".into()])).code, Code::Unimplemented);
    let big = client.call(&Call::unary(vec![b'b'; 8 << 20]));
    assert_eq!(big.messages[0].len(), 8 << 20);
    assert_eq!(client.call(&Call::unary("s").with("echo-size", 5 << 20)).messages[0].len(), 5 << 20);
}

#[test]
fn a_cancelled_grpc_call_and_a_lost_connection_are_logged_by_the_server() {
    let app = App::grpc("alone");
    let mut server = alone(&app);
    let client = grpc::Client::open(app.upstream);
    let never = client.start(&Call::unary("x").with("echo-never", 1));
    until("the call is there", SOON, || app.requests("/reveille.test.Echo/Unary") == 1);
    assert!(!never.is_done());
    never.cancel();
    until("it is cancelled", SOON, || app.count("cancelled", "/reveille.test.Echo/Unary") == 1);
    let mut stream =
        client.start(&Call::server_stream("x").with("echo-messages", 1_000).with("echo-interval-ms", 20));
    assert_eq!(stream.message().unwrap(), "x");
    stream.cancel();
    until("it is cancelled", SOON, || app.count("cancelled", "/reveille.test.Echo/ServerStream") == 1);

    let mut open = client.talk(&Call::bidi(["x"]));
    assert_eq!(open.message().unwrap(), "x");
    server.0.kill().unwrap();
    let reply = open.reply();
    assert_eq!(reply.source, Source::Broken, "{reply:?}");
    h2::await_closed(client.http(), SOON);
}

#[test]
fn a_thousand_grpc_calls_wait_on_ten_connections() {
    product::allow_many_files();
    let app = App::grpc("alone");
    let _server = alone(&app);
    let clients: Vec<_> = (0..10).map(|_| grpc::Client::open(app.upstream)).collect();
    let calls: Vec<_> = (0..1_000)
        .map(|n| clients[n % 10].start(&Call::unary(n.to_string()).with("echo-delay-ms", 500)))
        .collect();
    until("all are there", SOON, || app.requests("/reveille.test.Echo/Unary") == 1_000);
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.reply().text(), number.to_string());
    }
}

#[test]
fn the_grpc_server_tells_its_health() {
    let app = App::grpc("late");
    let told = app.folder().join("told");
    let app = app.env("ECHO_HEALTH_IF", &told.display().to_string());
    let _server = alone(&app);
    let client = grpc::Client::open(app.upstream);
    assert_eq!((client.health(""), client.health("no.Such")), (Ok(2), Err(Code::NotFound)));
    std::fs::write(told, "").unwrap();
    assert_eq!(client.health(""), Ok(1));
    let none = App::grpc("none").env("ECHO_HEALTH", "none");
    let _server = alone(&none);
    assert_eq!(grpc::Client::open(none.upstream).health(""), Err(Code::Unimplemented));
}

#[test]
fn python_speaks_grpc() {
    let app = App::grpc("alone");
    let _server = alone(&app);
    let test = "harness_protocols::grpc::python_speaks_grpc";
    let long = "l".repeat(100_000);
    let echo = |method: &str| format!("/reveille.test.Echo/{method}");
    let calls = [
        json!({"kind": "unary", "path": echo("Unary"), "messages": [long], "times": 2,
               "metadata": [["x-echo-a", "1"], ["x-trail-b-bin", "AAE="]]}),
        json!({"kind": "client_stream", "path": echo("ClientStream"), "messages": ["a", "bc"]}),
        json!({"kind": "server_stream", "path": echo("ServerStream"), "metadata": [["echo-messages", "3"]]}),
        json!({"kind": "bidi", "path": echo("Bidi"), "messages": ["a", "b"]}),
        json!({"kind": "unary", "path": echo("Unary"), "timeout": 1, "metadata": [["echo-never", "1"]]}),
        json!({"kind": "unary", "path": echo("Unary"), "cancel_after": 1, "metadata": [["echo-never", "1"]]}),
        json!({"kind": "unary", "path": echo("Unary"), "metadata": [["echo-code", "8"], ["echo-message", "full"]]}),
    ];
    let Some(replies) = python::grpc(test, app.upstream, &calls) else { return };
    let of = |number: usize| (replies[number]["code"].as_str().unwrap(), &replies[number]["messages"]);
    for number in [0, 1] {
        assert_eq!(of(number), ("OK", &json!([long])));
        assert!(replies[number]["head"].as_array().unwrap().contains(&json!(["x-echo-a", "1"])));
        assert_eq!(replies[number]["trailers"], json!([["x-trail-b-bin", "AAE="]]));
    }
    assert_eq!(of(2), ("OK", &json!(["2 3"])));
    assert_eq!(of(3), ("OK", &json!(["", "", ""])));
    assert_eq!(of(4), ("OK", &json!(["a", "b"])));
    assert_eq!(of(5).0, "DEADLINE_EXCEEDED");
    assert_eq!(of(6).0, "CANCELLED");
    assert_eq!((of(7).0, replies[7]["message"].as_str()), ("RESOURCE_EXHAUSTED", Some("full")));
    until("both are cancelled", SOON, || app.events("cancelled").len() == 2);
}

#[test]
fn nginx_passes_grpc_and_speaks_http_2() {
    let app = App::grpc("alone");
    let between = App::nginx_grpc("between", app.upstream);
    let (_server, _between) = (alone(&app), alone(&between));
    let client = grpc::Client::open(between.upstream);
    assert_eq!(client.call(&Call::unary("hi")).text(), "hi");
    assert_eq!(client.call(&Call::bidi(["1", "2"])).messages.len(), 2);
    let reply = client.call(&Call::unary("x").with("echo-code", 5).with("x-trail-a", "1"));
    assert_eq!((reply.code, reply.source), (Code::NotFound, Source::TrailersOnly));

    let web = App::nginx_h2c("web");
    let _web = alone(&web);
    let answer = h2::Client::open(web.upstream).get("/");
    assert_eq!((answer.head.version.as_str(), answer.text().as_str()), ("HTTP/2.0", "hello from nginx\n"));
}
