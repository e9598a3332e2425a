//! Every protocol once: held before its app is awake, and warm after.

use reveille_tests_local::{
    App,
    grpc::{self, Call},
    h2,
    tcp::Tcp,
    ws::{Came, Ws},
};

use crate::support::start;

#[test]
fn a_sleeping_app_answers_http2() {
    let app = App::slow("two");
    let reveille = start(&[&app]);
    let client = h2::Client::open(app.listen);
    for _ in 0..2 {
        let answer = client.get("/echo?a=1");
        assert_eq!(answer.status(), 200, "{:?}", answer.head);
        assert_eq!(answer.json()["target"], "/echo?a=1");
    }
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_sleeping_app_answers_http2_over_http2() {
    let app = App::h2c("two").port("upstreamProtocol: h2c");
    let reveille = start(&[&app]);
    let client = h2::Client::open(app.listen);
    for _ in 0..2 {
        let answer = client.ask(&h2::Request::post("/echo", "hello"));
        assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    }
    reveille.stop();
}

#[test]
fn a_sleeping_app_answers_grpc() {
    let app = App::grpc("rpc");
    let reveille = start(&[&app]);
    let client = grpc::Client::open(app.listen);
    for call in [
        Call::unary("hello"),
        Call::client_stream(["a", "b", "c"]),
        Call::server_stream("hello").with("echo-messages", "3"),
        Call::bidi(["a", "b"]),
    ] {
        let reply = client.call(&call.with("x-trail-sum", "1"));
        assert_eq!(reply.code, grpc::Code::Ok, "{reply:?}");
        assert_eq!(reply.trailer("x-trail-sum"), Some("1"), "{reply:?}");
    }
    reveille.stop();
}

#[test]
fn a_sleeping_app_answers_a_websocket() {
    let app = App::ws("socket");
    let reveille = start(&[&app]);
    let mut socket = Ws::open(app.listen, "/");
    socket.text("hello");
    assert_eq!(socket.read(), Came::Text("hello".into()));
    socket.close(1000, "bye");
    reveille.stop();
}

#[test]
fn a_sleeping_app_answers_raw_tcp() {
    let app = App::tcp("bytes", "echo").port("protocol: tcp");
    let reveille = start(&[&app]);
    let conn = Tcp::open(app.listen);
    conn.send(b"hello");
    assert_eq!(conn.read(5), b"hello");
    reveille.stop();
}
