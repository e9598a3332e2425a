//! HTTP/2 through the activator: floods, limits, streams that must not disturb each other, retries, ends.

mod floods;

use std::time::Instant;

use nix::sys::signal::Signal;
use reveille_tests_local::{
    App, Reveille,
    app::file,
    h2::{
        Client, Request, await_closed,
        tools::{curl, h2load},
    },
    h2raw::{Ended, H2},
    http, pause,
    report::figure,
    until,
    wait::{ms, secs},
};

use crate::support::{SOON, problem, start, start_awake};

const H2C: &str = "upstreamProtocol: h2c";

/// Nothing is left of any request.
#[track_caller]
fn await_nothing_left(reveille: &Reveille, app: &str) {
    until("nothing is held", SOON, || reveille.admin.held(app) == 0);
    until("nothing is in flight", SOON, || reveille.admin.in_flight(app) == 0);
}

#[test]
fn curl_and_h2load_are_content_held_and_warm() {
    let one = App::slow("one").env("SLOW_START_MS", "300");
    let two = App::h2c("two").port(H2C).env("SLOW_START_MS", "300");
    let nginx = App::nginx_h2c("three").port(H2C);
    let reveille = start(&[&one, &two, &nginx]);
    for app in [&one, &two, &nginx] {
        for _ in 0..2 {
            let got = curl(app.listen, "/", &[]);
            assert_eq!((got.version.as_str(), got.status, got.exit), ("2", 200, 0), "{got:?}");
        }
        let test = "http2::curl_and_h2load_are_content_held_and_warm";
        if let Some(load) = h2load(test, app.listen, "/", [2_000, 4, 20]) {
            assert_eq!((load.succeeded, load.failed, load.ok), (2_000, 0, 2_000), "{}", load.said);
        }
    }
    reveille.stop();
}

#[test]
fn a_held_post_and_a_slow_reader_stop_nobody_on_their_connection() {
    // The gateway: one connection reaches an app that sleeps and one that is awake.
    let asleep = App::slow("asleep").env("SLOW_START_MS", "60000").set("hosts: [asleep.localhost]");
    let awake = App::slow("awake").set("hosts: [awake.localhost]");
    let gateway = reveille_tests_local::ports::free();
    let reveille = Reveille::start(&format!("gateway: 127.0.0.1:{gateway}\n{}", file(&[&asleep, &awake])));
    let client = Client::open(gateway);
    let fast = |path: &str| client.ask(&Request::get(path).authority("awake.localhost"));
    assert_eq!(fast("/").status(), 200);
    let uploads: Vec<_> = (0..100)
        .map(|_| {
            let (mut upload, running) =
                client.upload(&Request::post("/sink", "").authority("asleep.localhost"));
            upload.send(vec![b'x'; 60_000]);
            (upload, running)
        })
        .collect();
    reveille.admin.await_held("asleep", 100, SOON);
    let slow = client.start(&Request::get("/big?bytes=3000000").authority("awake.localhost"));
    for _ in 0..50 {
        assert_eq!(fast("/").status(), 200);
        let sink = client.ask(&Request::post("/sink", vec![b'y'; 30_000]).authority("awake.localhost"));
        assert_eq!(sink.status(), 200, "a body passes beside a hundred that are held");
    }
    // Small frames pile up, and do not end the connection (2,240 of them did).
    let (mut chatty, running) = client.upload(&Request::post("/sink", "").authority("asleep.localhost"));
    for _ in 0..2_500 {
        chatty.send(vec![b'z'; 20]);
    }
    assert_eq!(fast("/").status(), 200);
    assert_eq!(slow.answer().unwrap().body.len(), 3_000_000);
    drop((chatty, running, uploads));
    await_nothing_left(&reveille, "asleep");
    assert_eq!(fast("/").status(), 200, "on the same connection");
    reveille.stop();
}

#[test]
fn a_client_that_leaves_leaves_nothing() {
    let app = App::h2c("gone").port(H2C).starting_when_let();
    let reveille = start(&[&app]);
    let client = Client::open(app.listen);
    let reset = client.start(&Request::get("/slow?ms=1"));
    let closed = Client::open(app.listen);
    let lost = closed.start(&Request::get("/slow?ms=1"));
    reveille.admin.await_held("gone", 2, SOON);
    reset.cancel();
    drop((lost, closed));
    await_nothing_left(&reveille, "gone");
    app.let_start();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(app.requests("/slow"), 0, "what was given up while held never reached the app");

    let slow = client.start(&Request::get("/slow?ms=60000"));
    until("it is there", SOON, || app.requests("/slow") == 1);
    slow.cancel();
    until("the app sees it", SOON, || app.count("cancelled", "GET /slow") == 1);
    let (mut upload, running) = client.upload(&Request::post("/sink", ""));
    upload.send("some of it");
    until("it is there", SOON, || app.requests("/sink") == 1);
    drop((upload, running));
    until("the app sees it", SOON, || app.count("cancelled", "POST /sink") == 1);
    let mut big = client.start(&Request::get("/big?bytes=50000000"));
    assert_eq!(big.head().unwrap().status, 200);
    big.cancel();
    until("the app sees it", SOON, || app.count("cancelled", "GET /big") == 1);
    await_nothing_left(&reveille, "gone");
    reveille.stop();
}

#[test]
fn what_an_app_did_not_process_is_sent_again_and_what_it_says_else_is_passed_on() {
    let refusing = App::h2c("refusing").port(H2C).env("ECHO_REFUSE", "2");
    let leaving = App::h2c("leaving").port(H2C).env("ECHO_GOAWAY_AFTER", "2");
    let plain = App::h2c("plain").port(H2C);
    let reveille = start(&[&refusing, &leaving, &plain]);
    let client = Client::open(refusing.listen);
    let answer = client.ask(&Request::post("/sink", "a small body"));
    assert_eq!(answer.status(), 200, "{} refused", refusing.events("refused").len());
    assert_eq!((refusing.events("refused").len(), answer.json()["length"].as_u64()), (2, Some(12)));

    let client = Client::open(leaving.listen);
    let all: Vec<_> = (0..20).map(|_| client.start(&Request::post("/", "body"))).collect();
    for running in all {
        assert_eq!(running.answer().unwrap().text(), "ok");
    }

    let client = Client::open(plain.listen);
    for code in [2, 5, 8, 11] {
        let failure = client.start(&Request::get(&format!("/rst?code={code}"))).answer().unwrap_err();
        assert_eq!((failure.code, failure.is_goaway), (Some(code), false));
        let mut cut = client.start(&Request::get(&format!("/rst?code={code}&bytes=10")));
        assert_eq!((cut.head().unwrap().status, cut.piece().unwrap().unwrap().len()), (200, 10));
        assert_eq!(cut.piece().unwrap_err().code, Some(code));
    }
    let (mut upload, running) = client.upload(&Request::post("/early", ""));
    upload.send("never read");
    assert_eq!(running.answer().unwrap().status(), 413);
    let leaving = client.start(&Request::get("/goaway?ms=200"));
    assert_eq!(leaving.answer().unwrap().text(), "goodbye");
    assert_eq!(client.get("/").status(), 200, "the client's own connection goes on");
    reveille.stop();
}

#[test]
fn nginx_ends_connections_under_load_and_no_request_fails() {
    let nginx = App::nginx_h2c("ends").port(H2C);
    let conf = std::fs::read_dir(nginx.folder())
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .expect("nginx has a configuration");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("keepalive_requests 1000000;", "keepalive_requests 7;")).unwrap();
    let reveille = start_awake(&nginx);
    let test = "http2::nginx_ends_connections_under_load_and_no_request_fails";
    if let Some(load) = h2load(test, nginx.listen, "/", [3_000, 4, 10]) {
        assert_eq!((load.succeeded, load.failed, load.ok), (3_000, 0, 3_000), "{}", load.said);
        let retried = reveille.admin.metric("reveille_retries_total", &[("app", "ends")]);
        figure(
            "http2 goaway",
            &format!(
                "3,000 requests over an nginx that ends connections after 7: 0 failed, {retried} sent again"
            ),
        );
    }
    reveille.stop();
}

#[test]
fn errors_are_told_on_the_stream_and_disturb_no_other() {
    let full = App::slow("full").env("SLOW_START_MS", "60000").set("hold: {maxRequests: 1}");
    let broken = App::slow("broken").command(&["/bin/false"]);
    let late = App::slow("late").env("SLOW_START_MS", "60000").set("wake: {deadline: 1s}");
    let reveille = start(&[&full, &broken, &late]);
    let client = Client::open(full.listen);
    let mut held = client.start(&Request::get("/"));
    reveille.admin.await_held("full", 1, SOON);
    problem(&client.get("/"), 503);
    assert!(held.is_quiet_for(ms(100)), "it is still held");
    held.cancel();
    problem(&Client::open(broken.listen).get("/"), 502);
    problem(&Client::open(late.listen).get("/"), 504);
    let mut raw = H2::open(late.listen);
    let stream = raw.request("CONNECT", "", &[(":authority", "a:80")], true);
    assert_ne!(raw.answer(stream).status, Some(200));
    reveille.stop();
}

#[test]
fn a_killed_app_ends_what_it_had_and_is_woken_for_the_rest() {
    let app = App::h2c("killed").port(H2C).set("concurrency: 2");
    let reveille = start_awake(&app);
    let process = app.await_start(1, SOON);
    let client = Client::open(app.listen);
    // What is idempotent and has no body would be sent again (RFC 9110, 9.2.2).
    let had: Vec<_> = (0..2).map(|_| client.start(&Request::post("/slow?ms=60000", "x"))).collect();
    until("they are there", SOON, || app.requests("/slow") == 2);
    // These may not be, and reach nobody that is dying.
    let waiting: Vec<_> = (0..5).map(|_| client.start(&Request::post("/sink", "x"))).collect();
    reveille.admin.await_held("killed", 5, SOON);
    process.signal(Signal::SIGKILL);
    for running in had {
        match running.answer() {
            Ok(answer) => drop(problem(&answer, 502)),
            Err(failure) => assert!(!failure.is_goaway, "{failure:?}"),
        }
    }
    for running in waiting {
        assert_eq!(running.answer().unwrap().status(), 200);
    }
    assert_eq!(app.starts(), 2);
    reveille.stop();
}

#[test]
fn what_an_app_never_takes_is_told_from_what_it_may_have_acted_on() {
    let refusing = App::h2c("refuses").port(H2C).env("ECHO_REFUSE", "1000");
    let resetting = App::h2c("resets").port(H2C);
    let reveille = start(&[&refusing, &resetting]);
    let refused = http::get(refusing.listen, "/");
    assert_eq!(refused.status(), 502, "{}", refused.text());
    let body = refused.json();
    assert!(body["type"].as_str().unwrap().ends_with("/upstream-refused"), "{body}");
    assert_eq!(body["retriable"], true);
    let reset = http::get(resetting.listen, "/rst?code=8");
    let body = reset.json();
    assert!(body["type"].as_str().unwrap().ends_with("/upstream-closed"), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("reset the request (CANCEL)"), "{body}");
    assert_eq!(body["retriable"], false);
    for app in [&refusing, &resetting] {
        await_nothing_left(&reveille, &app.name);
    }
    reveille.stop();
}

#[test]
fn a_change_of_protocol_that_http2_does_not_have_reaches_no_client() {
    let app = App::h2c("switches").port(H2C);
    let reveille = start(&[&app]);
    let mut conn = http::Conn::open(app.listen);
    // The first status that comes is the final one.
    let answer = conn.get("/hints?code=101");
    assert_eq!(answer.status(), 502, "{}", answer.text());
    assert!(answer.json()["type"].as_str().unwrap().ends_with("/upstream-protocol"), "{}", answer.text());
    assert_eq!(conn.get("/").text(), "ok", "the connection goes on");
    await_nothing_left(&reveille, "switches");
    reveille.stop();
}

#[test]
fn a_drain_says_goaway_and_loses_nothing() {
    let app = App::slow("drain").starting_when_let();
    let mut reveille = start(&[&app]);
    let client = Client::open(app.listen);
    let idle = Client::open(app.listen);
    let held: Vec<_> = (0..10).map(|_| client.start(&Request::get("/slow?ms=200"))).collect();
    reveille.admin.await_held("drain", 10, SOON);
    reveille.signal(Signal::SIGTERM);
    app.let_start();
    for running in held {
        assert_eq!(running.answer().unwrap().status(), 200);
    }
    await_closed(&idle, SOON);
    await_closed(&client, SOON);
    assert!(reveille.await_end(secs(20)).success());
}

#[test]
fn a_reload_ends_only_the_connections_of_what_is_gone() {
    let (kept, gone) = (App::slow("kept"), App::slow("gone"));
    let reveille = start(&[&kept, &gone]);
    let stays = Client::open(kept.listen);
    let goes = Client::open(gone.listen);
    let running = stays.start(&Request::get("/slow?ms=1500"));
    assert_eq!(goes.get("/").status(), 200);
    reveille.reload(&file(&[&kept]));
    until("it is gone", SOON, || reveille.admin.names() == ["kept"]);
    assert_eq!(running.answer().unwrap().status(), 200);
    assert_eq!(stays.get("/").status(), 200);
    let answer = goes.get("/");
    problem(&answer, 503);
    await_closed(&goes, SOON);
    assert_eq!(kept.starts(), 1);
    reveille.stop();
}

#[test]
fn an_open_stream_keeps_the_app_awake_and_an_idle_connection_does_not() {
    let app = App::slow("quiet").set("idle: {ttl: 500ms}");
    let reveille = start(&[&app]);
    let client = Client::open(app.listen);
    let running = client.start(&Request::get("/slow?ms=2000"));
    until("it is there", SOON, || app.requests("/slow") == 1);
    pause(ms(1_500));
    assert_eq!(reveille.admin.phase("quiet"), "Awake");
    assert_eq!(running.answer().unwrap().status(), 200);
    reveille.admin.await_phase("quiet", "Asleep", SOON);
    assert!(!client.is_closed());
    assert_eq!(client.get("/").status(), 200, "on the same connection");
    reveille.stop();
}

#[test]
fn timeouts_end_streams_whose_client_does_not_read() {
    let app = App::slow("timed").set("timeouts: {streamIdle: 1s, responseHeader: 2s}");
    let reveille = start_awake(&app);
    let client = Client::open(app.listen);
    problem(&client.get("/slow?ms=60000"), 504);
    let mut unread = client.start(&Request::get("/big?bytes=50000000"));
    assert_eq!(unread.head().unwrap().status, 200);
    await_nothing_left(&reveille, "timed");
    assert_eq!(client.get("/").status(), 200, "its connection goes on");
    reveille.stop();
}

#[test]
fn large_bodies_pass_in_bounded_memory() {
    const SIZE: usize = 100 << 20;
    let one = App::slow("one");
    let two = App::h2c("two").port(H2C);
    let reveille = start(&[&one, &two]);
    for app in [&one, &two] {
        let client = Client::open(app.listen);
        assert_eq!(client.get("/").status(), 200);
        let before = reveille.process().resident_kib();
        let mut running = client.start(&Request::get(&format!("/big?bytes={SIZE}")));
        assert_eq!(running.head().unwrap().status, 200);
        let (mut length, mut most) = (0, 0u64);
        while let Some(piece) = running.piece().unwrap() {
            length += piece.len();
            if length % (1 << 20) < piece.len() {
                most = most.max(reveille.process().resident_kib());
            }
        }
        assert_eq!(length, SIZE);
        let (mut upload, running) = client.upload(&Request::post("/sink", ""));
        for _ in 0..SIZE >> 20 {
            assert!(upload.send(vec![7; 1 << 20]));
            most = most.max(reveille.process().resident_kib());
        }
        upload.finish();
        assert_eq!(running.answer().unwrap().json()["length"].as_u64(), Some(SIZE as u64));
        let grown = most.saturating_sub(before);
        figure(
            "http2 bodies",
            &format!("100 MiB each way to {}: resident memory grew by {} KiB", app.name, grown),
        );
        assert!(grown < 24 << 10, "{} KiB", grown);
    }
    reveille.stop();
}

#[test]
fn two_hundred_cycles_lose_no_request() {
    let app = App::nginx_h2c("edge").port(H2C).set("idle: {ttl: 100ms}");
    let reveille = start(&[&app]);
    let clients: Vec<_> = (0..3).map(|_| Client::open(app.listen)).collect();
    let asleep = || reveille.admin.metric("reveille_sleeps_total", &[("app", "edge"), ("outcome", "slept")]);
    let began = Instant::now();
    let (mut requests, mut gap) = (0u32, 1u64);
    while asleep() < 200.0 && began.elapsed() < secs(100) {
        let burst: Vec<_> = clients.iter().map(|client| client.start(&Request::get("/"))).collect();
        for running in burst {
            let answer = running.answer().unwrap();
            assert_eq!(answer.status(), 200, "request {requests}: {}", answer.text());
            requests += 1;
        }
        gap = gap * 1_103_515_245 % 2_147_483_647;
        pause(ms(95 + gap % 40));
    }
    figure(
        "http2 edge",
        &format!("{requests} requests in {} cycles, 0 failed, {:?}", asleep(), began.elapsed()),
    );
    assert!(asleep() >= 200.0, "{} cycles", asleep());
    reveille.stop();
}

#[test]
fn interim_answers_pass_where_the_versions_can_carry_them() {
    let app = App::h2c("hints").port(H2C);
    let reveille = start_awake(&app);
    let mut raw = H2::open(app.listen);
    let stream = raw.get("/hints");
    let answer = raw.answer(stream);
    assert_eq!((answer.interim, answer.status), (vec![103], Some(200)));
    let stream = raw.get("/hints?count=500");
    let answer = raw.answer(stream);
    assert_eq!(
        (answer.interim, answer.status),
        (vec![103; 16], Some(200)),
        "no more than a client may leave unread"
    );
    let endless = Client::open(app.listen).get("/hints?count=5000");
    assert!(problem(&endless, 502).contains("interim"), "{endless:?}");
    for (path, status) in [("/status?code=204", 204), ("/status?code=304", 304)] {
        let stream = raw.get(path);
        let answer = raw.answer(stream);
        assert_eq!((answer.status, answer.body.len(), answer.ended), (Some(status), 0, Ended::Properly));
    }
    let stream = raw.request("HEAD", "/big?bytes=1000", &[(":authority", "a")], true);
    let answer = raw.answer(stream);
    assert_eq!((answer.status, answer.body.len(), answer.ended), (Some(200), 0, Ended::Properly));
    reveille.stop();
}

#[test]
fn trailers_of_one_hop_stay_on_their_hop() {
    let app = App::slow("hop");
    let reveille = start(&[&app]);
    let answer = Client::open(app.listen).get("/hop-trailers");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hop"));
    assert_eq!(answer.trailers.len(), 1, "{:?}", answer.trailers);
    assert_eq!(answer.trailer("x-public"), Some("1"));
    reveille.stop();
}
