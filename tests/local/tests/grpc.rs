//! gRPC through the activator: all kinds of calls, held and warm; deadlines, cancellation, errors, health.

use std::time::{Duration, Instant};

use reveille_tests_local::{
    App, Reveille,
    app::file,
    grpc::{self, Call, Code, Source},
    h2, product, python,
    report::figure,
    until,
    wait::{ms, secs},
};
use serde_json::json;

use crate::support::{SOON, sleep, start, start_awake, wake};

const UNARY: &str = "/reveille.test.Echo/Unary";

/// Nothing is left of any request.
#[track_caller]
fn await_nothing_left(reveille: &Reveille, app: &str) {
    until("nothing is held", SOON, || reveille.admin.held(app) == 0);
    until("nothing is in flight", SOON, || reveille.admin.in_flight(app) == 0);
}

#[track_caller]
fn ok(client: &grpc::Client, message: &str) {
    let reply = client.call(&Call::unary(message.to_owned()));
    assert_eq!((reply.code, reply.text().as_str()), (Code::Ok, message), "{reply:?}");
}

#[test]
fn metadata_statuses_and_big_messages_pass_unchanged_held_and_warm() {
    let app = App::grpc("meta").env("SLOW_START_MS", "300");
    let reveille = start(&[&app]);
    let client = grpc::Client::open(app.listen);
    for _ in 0..2 {
        let call = Call::unary("hi")
            .with("x-echo-a", "1")
            .with_bin("x-echo-b-bin", &[0, 255])
            .with("x-trail-c", "2");
        let reply = client.call(&call.with_bin("x-trail-d-bin", &[1, 254]));
        assert_eq!((reply.code, reply.text().as_str()), (Code::Ok, "hi"), "{reply:?}");
        assert_eq!((reply.head("x-echo-a"), reply.trailer("x-trail-c")), (Some("1"), Some("2")));
        assert_eq!(reply.head.get_bin("x-echo-b-bin").unwrap().to_bytes().unwrap(), [0, 255][..]);
        assert_eq!(reply.trailers.get_bin("x-trail-d-bin").unwrap().to_bytes().unwrap(), [1, 254][..]);
        let failing = Call::server_stream("x").with("echo-code", 9).with("echo-message", "not now: 50 %");
        let failing = failing.with_bin("echo-details-bin", b"why").with("echo-messages", 5);
        let reply = client.call(&failing);
        assert_eq!((reply.code, reply.message.as_str()), (Code::FailedPrecondition, "not now: 50 %"));
        assert_eq!((reply.source, &reply.details[..]), (Source::TrailersOnly, &b"why"[..]));
        let reply = client.call(&failing.with("echo-fail-after", 2));
        assert_eq!((reply.messages.len(), reply.source), (2, Source::Trailers));
        assert_eq!(client.call(&Call::unary(vec![b'b'; 4 << 20])).messages[0].len(), 4 << 20);
        sleep(&reveille, "meta");
    }
    let counted = reveille
        .admin
        .metric("reveille_requests_total", &[("app", "meta"), ("protocol", "grpc"), ("code_class", "4xx")]);
    assert_eq!(counted, 4.0, "FAILED_PRECONDITION counts as what it stands for");
    reveille.stop();
}

#[test]
fn a_thousand_held_calls_on_ten_connections_cause_one_wake() {
    product::allow_many_files();
    let app = App::grpc("crowd").env("SLOW_START_MS", "2000");
    let reveille = start(&[&app]);
    let clients: Vec<_> = (0..10).map(|_| grpc::Client::open(app.listen)).collect();
    let calls: Vec<_> = (0..1_000).map(|n| clients[n % 10].start(&Call::unary(n.to_string()))).collect();
    reveille.admin.await_held("crowd", 1_000, SOON);
    reveille.admin.await_phase("crowd", "Awake", SOON);
    let awake = Instant::now();
    for (number, call) in calls.into_iter().enumerate() {
        let reply = call.reply();
        assert_eq!((reply.code, reply.text()), (Code::Ok, number.to_string()), "{reply:?}");
    }
    figure("grpc crowd", &format!("1,000 held calls were answered within {:?} of the wake", awake.elapsed()));
    assert_eq!(app.starts(), 1);
    await_nothing_left(&reveille, "crowd");
    reveille.stop();
}

#[test]
fn a_deadline_shortens_the_hold_and_goes_on_reduced_by_it() {
    let app = App::grpc("late").env("SLOW_START_MS", "1500");
    let reveille = start(&[&app]);
    let client = grpc::Client::open(app.listen);
    let began = Instant::now();
    let reply = client.call(&Call::unary("x").timeout(ms(300)));
    assert_eq!((reply.code, reply.source), (Code::DeadlineExceeded, Source::TrailersOnly), "{reply:?}");
    assert!(reply.message.starts_with("client-deadline: "), "{}", reply.message);
    assert!(began.elapsed() >= ms(300) && app.requests(UNARY) == 0);
    let reply = client.call(&Call::unary("x").timeout(secs(20)));
    assert_eq!(reply.code, Code::Ok, "{reply:?}");
    let passed = app.events("timeout");
    let (_, value) = passed[0].detail.split_once(' ').unwrap();
    let micros: u64 = value.strip_suffix('u').unwrap_or_else(|| panic!("{value}")).parse().unwrap();
    assert!(micros < 19_900_000, "what was left of 20 s: {value}");
    // Not held: untouched.
    assert_eq!(client.call(&Call::unary("x").timeout(secs(20))).code, Code::Ok);
    assert_eq!(app.count("timeout", &format!("{UNARY} 20000m")), 1);
    reveille.stop();
}

#[test]
fn errors_are_told_in_grpcs_own_way() {
    let full = App::grpc("full").env("SLOW_START_MS", "60000").set("hold: {maxRequests: 1}");
    let broken = App::grpc("broken").command(&["/bin/false"]);
    let slow = App::grpc("slow").env("SLOW_START_MS", "60000").set("wake: {deadline: 1s}");
    let by_hand = App::grpc("byhand");
    let reveille = start(&[&full, &broken, &slow, &by_hand]);
    let first = grpc::Client::open(full.listen);
    let held = first.start(&Call::unary("x"));
    reveille.admin.await_held("full", 1, SOON);
    let reply = first.call(&Call::unary("y"));
    assert_eq!((reply.code, reply.source), (Code::ResourceExhausted, Source::TrailersOnly), "{reply:?}");
    assert!(reply.message.starts_with("hold-full: "), "{}", reply.message);
    let pushback = |reply: &grpc::Reply| -> i64 {
        reply
            .trailer("grpc-retry-pushback-ms")
            .or(reply.head("grpc-retry-pushback-ms"))
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(pushback(&reply) > 0);
    held.cancel();
    await_nothing_left(&reveille, "full");

    let client = grpc::Client::open(broken.listen);
    let reply = client.call(&Call::unary("x"));
    assert_eq!(reply.code, Code::Unavailable, "{reply:?}");
    assert!(reply.message.starts_with("wake-failed: "), "{}", reply.message);
    let reply = client.call(&Call::unary("x"));
    assert!(reply.message.starts_with("wake-paused: ") && pushback(&reply) > 0, "{reply:?}");

    let reply = grpc::Client::open(slow.listen).call(&Call::unary("x"));
    assert_eq!(reply.code, Code::Unavailable, "{reply:?}");
    assert!(reply.message.starts_with("hold-deadline: "), "{}", reply.message);

    let answer = reveille.admin.sleep("byhand", Some(r#"{"wake_on_request": false}"#));
    assert!(answer.status() < 300, "{}", answer.text());
    let reply = grpc::Client::open(by_hand.listen).call(&Call::unary("x"));
    assert_eq!((reply.code, pushback(&reply)), (Code::Unavailable, -1), "{reply:?}");
    reveille.stop();
}

#[test]
fn cancellation_is_passed_on_in_both_directions() {
    let app = App::grpc("cancel").starting_when_let();
    let reveille = start(&[&app]);
    let client = grpc::Client::open(app.listen);
    let held = client.start(&Call::unary("never sent"));
    reveille.admin.await_held("cancel", 1, SOON);
    held.cancel();
    await_nothing_left(&reveille, "cancel");
    app.let_start();
    ok(&client, "hello");
    assert_eq!(app.requests(UNARY), 1, "what was given up never reached the app");

    let never = client.start(&Call::unary("x").with("echo-never", 1));
    until("the call is there", SOON, || app.requests(UNARY) == 2);
    never.cancel();
    until("the app sees it", SOON, || app.count("cancelled", UNARY) == 1);
    let mut stream =
        client.start(&Call::server_stream("x").with("echo-messages", 1_000).with("echo-interval-ms", 20));
    assert_eq!(stream.message().unwrap(), "x");
    stream.cancel();
    until("the app sees it", SOON, || app.count("cancelled", "/reveille.test.Echo/ServerStream") == 1);
    let mut talk = client.talk(&Call::bidi(["x"]));
    assert_eq!(talk.message().unwrap(), "x");
    talk.cancel();
    until("the app sees it", SOON, || app.count("cancelled", "/reveille.test.Echo/Bidi") == 1);
    // The whole connection goes.
    let open = client.talk(&Call::bidi(["x"]));
    until("the call is there", SOON, || app.requests("/reveille.test.Echo/Bidi") == 2);
    drop((open, client));
    until("the app sees it", SOON, || app.count("cancelled", "/reveille.test.Echo/Bidi") == 2);
    await_nothing_left(&reveille, "cancel");
    reveille.stop();
}

#[test]
fn an_app_that_is_killed_ends_its_calls_and_those_that_wait_are_served_by_the_next() {
    let app = App::grpc("killed").env("SLOW_START_MS", "300").set("concurrency: 4");
    let reveille = start_awake(&app);
    let process = app.await_start(1, SOON);
    let client = grpc::Client::open(app.listen);
    let mut open = [
        client.talk(&Call::bidi(["x"])),
        client.start(&Call::server_stream("x").with("echo-messages", 10_000).with("echo-interval-ms", 20)),
    ];
    for call in &mut open {
        assert_eq!(call.message().unwrap(), "x");
    }
    let open: Vec<_> = open
        .into_iter()
        .chain([
            client.start(&Call::unary("x").with("echo-never", 1)),
            client.talk(&Call::client_stream(["x"])),
        ])
        .collect();
    until("all are there", SOON, || app.events("request").len() == 4);
    let waiting: Vec<_> = (0..5).map(|_| client.start(&Call::unary("later"))).collect();
    reveille.admin.await_held("killed", 5, SOON);
    process.signal(nix::sys::signal::Signal::SIGKILL);
    for call in open {
        let reply = call.reply();
        assert!(reply.code != Code::Ok, "{reply:?}");
    }
    for call in waiting {
        let reply = call.reply();
        assert_eq!((reply.code, reply.text().as_str()), (Code::Ok, "later"), "{reply:?}");
    }
    assert_eq!(app.starts(), 2);
    await_nothing_left(&reveille, "killed");
    reveille.stop();
}

#[test]
fn an_open_stream_keeps_the_app_awake_and_an_idle_channel_does_not() {
    let app = App::grpc("quiet").set("idle: {ttl: 500ms}");
    let reveille = start(&[&app]);
    let client = grpc::Client::open(app.listen);
    let mut talk = client.talk(&Call::bidi(["x"]));
    assert_eq!(talk.message().unwrap(), "x");
    reveille_tests_local::pause(secs(2));
    assert_eq!(reveille.admin.phase("quiet"), "Awake", "a stream is open, however quiet");
    talk.send("y");
    assert_eq!(talk.message().unwrap(), "y");
    let reply = talk.reply();
    assert_eq!(reply.code, Code::Ok);
    reveille.admin.await_phase("quiet", "Asleep", SOON);
    assert!(!client.http().is_closed(), "the channel itself is no activity, and stays");
    ok(&client, "again");
    assert_eq!(app.starts(), 2);
    reveille.stop();
}

#[test]
fn health_is_asked_for_readiness_and_does_not_wake() {
    let app = App::grpc("health");
    let told = app.folder().join("told");
    let app = app.env("ECHO_HEALTH_IF", &told.display().to_string()).set("preset: grpc");
    let none = App::grpc("none").env("ECHO_HEALTH", "none").set("preset: grpc");
    let reveille = start(&[&app, &none]);
    let client = grpc::Client::open(app.listen);
    assert_eq!(client.health(""), Ok(2), "NOT_SERVING while it sleeps");
    let watch = client.call(&Call::new("/grpc.health.v1.Health/Watch", vec![Default::default()]));
    assert_eq!(watch.code, Code::Unimplemented, "{watch:?}");
    assert_eq!((reveille.admin.phase("health"), app.starts()), ("Asleep".into(), 0));
    let held = client.start(&Call::unary("x"));
    app.await_start(1, SOON);
    until("it is asked for its health", SOON, || app.requests("/grpc.health.v1.Health/Check") > 2);
    assert!(!held.is_done() && app.requests(UNARY) == 0, "not before it is serving");
    std::fs::write(&told, "").unwrap();
    assert_eq!(held.reply().code, Code::Ok);
    assert_eq!(client.health(""), Ok(1), "its own answer");
    ok(&grpc::Client::open(none.listen), "without a health service a connection is enough");
    reveille.stop();
}

#[test]
fn a_drain_lets_calls_end() {
    let app = App::grpc("drain").starting_when_let();
    let mut reveille = start(&[&app]);
    let (held_by, running_on) = (grpc::Client::open(app.listen), grpc::Client::open(app.listen));
    let held = held_by.start(&Call::unary("held"));
    reveille.admin.await_held("drain", 1, SOON);
    reveille.signal(nix::sys::signal::Signal::SIGTERM);
    app.let_start();
    assert_eq!(held.reply().text(), "held", "the app wakes for it during the drain");
    assert!(reveille.await_end(secs(20)).success());
    drop(running_on);

    let app = App::grpc("drain");
    let mut reveille = start_awake(&app);
    let client = grpc::Client::open(app.listen);
    let mut talk = client.talk(&Call::bidi(["x"]));
    assert_eq!(talk.message().unwrap(), "x");
    reveille.signal(nix::sys::signal::Signal::SIGTERM);
    reveille_tests_local::pause(secs(1));
    talk.send("y");
    assert_eq!(talk.message().unwrap(), "y", "a stream that is open goes on");
    assert_eq!(talk.reply().code, Code::Ok);
    assert!(reveille.await_end(secs(20)).success());
}

#[test]
fn a_reload_of_something_else_leaves_calls_alone() {
    let app = App::grpc("kept");
    let other = App::slow("other");
    let reveille = start(&[&app, &other]);
    let client = grpc::Client::open(app.listen);
    let mut talk = client.talk(&Call::bidi(["x"]));
    assert_eq!(talk.message().unwrap(), "x");
    reveille.reload(&file(&[&app]));
    until("the other is gone", SOON, || reveille.admin.names() == ["kept"]);
    talk.send("y");
    assert_eq!(talk.message().unwrap(), "y");
    assert_eq!(talk.reply().code, Code::Ok);
    ok(&client, "on the same connection");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn one_that_does_not_read_stops_nobody_else() {
    let app = App::grpc("reader");
    let reveille = start_awake(&app);
    let client = grpc::Client::open(app.listen);
    let slow = client.start(&Call::server_stream("x").with("echo-messages", 100).with("echo-size", 100_000));
    until("it has begun", SOON, || app.requests("/reveille.test.Echo/ServerStream") == 1);
    for n in 0..50 {
        ok(&client, &n.to_string());
    }
    let reply = slow.reply();
    assert_eq!((reply.code, reply.messages.len()), (Code::Ok, 100));
    reveille.stop();
}

#[test]
fn two_hundred_cycles_lose_no_call() {
    let app = App::grpc("edge").set("idle: {ttl: 100ms}");
    let reveille = start(&[&app]);
    let clients: Vec<_> = (0..3).map(|_| grpc::Client::open(app.listen)).collect();
    let asleep = || reveille.admin.metric("reveille_sleeps_total", &[("app", "edge"), ("outcome", "slept")]);
    let began = Instant::now();
    let (mut calls, mut gap) = (0u32, 1u64);
    while asleep() < 200.0 && began.elapsed() < secs(100) {
        let burst: Vec<_> = clients.iter().map(|client| client.start(&Call::unary("x"))).collect();
        for call in burst {
            let reply = call.reply();
            assert_eq!(reply.code, Code::Ok, "call {calls}: {reply:?}");
            calls += 1;
        }
        // Dense around the instant at which it falls asleep.
        gap = gap * 1_103_515_245 % 2_147_483_647;
        reveille_tests_local::pause(Duration::from_millis(95 + gap % 40));
    }
    figure("grpc edge", &format!("{calls} calls in {} cycles, 0 failed, {:?}", asleep(), began.elapsed()));
    assert!(asleep() >= 200.0, "{} cycles", asleep());
    reveille.stop();
}

#[test]
fn nginx_passes_calls_to_a_sleeping_app() {
    let app = App::grpc("behind").env("SLOW_START_MS", "500");
    let nginx = App::nginx_grpc("front", app.listen);
    let reveille = start(&[&app, &nginx]);
    wake(&reveille, "front");
    let client = grpc::Client::open(nginx.upstream);
    for call in [Call::unary("a"), Call::bidi(["a", "b"]), Call::server_stream("x").with("echo-messages", 3)]
    {
        let reply = client.call(&call);
        assert_eq!(reply.code, Code::Ok, "{reply:?}");
    }
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn pythons_client_is_content() {
    let app = App::grpc("python").env("SLOW_START_MS", "500");
    let reveille = start(&[&app]);
    let calls = [
        json!({"kind": "unary", "path": UNARY, "messages": ["a"]}),
        json!({"kind": "bidi", "path": "/reveille.test.Echo/Bidi", "messages": ["a", "b"]}),
    ];
    let Some(replies) = python::grpc("grpc::pythons_client_is_content", app.listen, &calls) else { return };
    for reply in &replies {
        assert_eq!(reply["code"], "OK", "{reply}");
    }
    reveille.stop();
}

#[test]
fn an_app_without_http2_gives_an_error_and_no_silence() {
    let app = App::slow("one");
    let reveille = start_awake(&app);
    let reply = grpc::Client::open(app.listen).call(&Call::unary("x"));
    assert_eq!((reply.code, reply.source), (Code::Internal, Source::TrailersOnly), "{reply:?}");
    assert!(reply.message.starts_with("upstream-protocol: "), "{}", reply.message);
    reveille.stop();
}

#[test]
fn watching_its_health_lets_an_app_sleep() {
    let app = App::grpc("watched").set("idle: {ttl: 500ms}");
    let reveille = start_awake(&app);
    let client = grpc::Client::open(app.listen);
    let watch = h2::Request::post("/grpc.health.v1.Health/Watch", vec![0; 5])
        .field("content-type", "application/grpc");
    let watching = client.http().start(&watch);
    until("it is watched", SOON, || app.requests("/grpc.health.v1.Health/Watch") == 1);
    reveille.admin.await_phase("watched", "Asleep", SOON);
    let ended = watching.answer().unwrap();
    assert_eq!((ended.status(), ended.trailer("grpc-status")), (200, Some("14")), "{ended:?}");
    assert!(!ended.body.is_empty(), "it was told what the app says");
    assert_eq!(client.http().ask(&watch).field("grpc-status"), Some("12"), "asleep, nobody is watched");
    await_nothing_left(&reveille, "watched");
    ok(&client, "again");
    reveille.stop();
}
