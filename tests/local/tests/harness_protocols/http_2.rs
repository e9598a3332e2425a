//! HTTP/2: the server that misbehaves on demand, hyper's client, raw frames, curl and h2load.

use reveille_tests_local::{
    App,
    h2::{
        self, Request,
        tools::{curl, h2load},
    },
    h2raw::{Ended, H2, PREFACE, kind},
    server::Seen,
    until,
    wait::{ms, pause},
};
use serde_json::json;

use super::alone;
use crate::support::{SOON, echoed};

#[test]
fn http_2_requests_are_echoed_with_bodies_and_trailers() {
    let app = App::h2c("alone");
    let _server = alone(&app);
    let client = h2::Client::open(app.upstream);
    let request =
        Request::post("/echo?q=1", "body").field("x-a", "1").trailer("x-t", "2").authority("web.localhost");
    let echo = client.ask(&request).json();
    assert_eq!(
        (&echo["method"], &echo["target"], &echo["body"]),
        (&"POST".into(), &"/echo?q=1".into(), &"body".into())
    );
    assert_eq!((echoed(&echo, "x-a"), &echo["authority"]), (vec!["1"], &"web.localhost".into()));
    assert_eq!(echo["trailers"], json!([["x-t", "2"]]));
    let answer = client.get("/chunked");
    assert_eq!((answer.text().as_str(), answer.trailer("x-end")), ("one two three", Some("yes")));
    assert_eq!(
        (client.get("/status?code=204").status(), client.get("/status?code=503").status()),
        (204, 503)
    );
    assert_eq!(client.get("/big?bytes=3000000").body.len(), 3_000_000);

    let (mut upload, running) = client.upload(&Request::post("/sink", ""));
    assert!(upload.send("one") && upload.send("two"));
    upload.finish();
    assert_eq!(running.answer().unwrap().json(), Seen::of(b"onetwo").json());
    let (upload, running) = client.upload(&Request::post("/sink", ""));
    until("it is there", SOON, || app.requests("/sink") == 2);
    drop(upload);
    assert!(running.answer().is_err());
    until("the server sees it", SOON, || app.count("cancelled", "POST /sink") == 1);

    let mut slow = client.start(&Request::get("/slow?ms=60000"));
    assert!(slow.is_quiet_for(ms(50)));
    slow.cancel();
    until("the server sees it", SOON, || app.count("cancelled", "GET /slow") == 1);
    assert_eq!(app.events("connection").len(), 2, "that of the wait, and the client's");
}

#[test]
fn neither_side_of_http_2_reads_more_than_it_is_asked_to() {
    let app = App::h2c("alone");
    let _server = alone(&app);
    let client = h2::Client::open(app.upstream);
    let mut big = client.start(&Request::get("/big?bytes=50000000"));
    assert_eq!(big.head().unwrap().status, 200);
    pause(ms(200));
    assert_eq!(app.events("answered").len(), 0, "the client does not read, so the server cannot end");
    let mut length = 0;
    while let Some(piece) = big.piece().unwrap() {
        length += piece.len();
    }
    assert_eq!(length, 50_000_000);

    let (mut upload, running) = h2::Client::open(app.upstream).upload(&Request::post("/lazy?ms=60000", ""));
    let mut sent = 0;
    while sent < 100 && upload.has_room() {
        upload.send(vec![b'u'; 16 * 1024]);
        sent += 1;
        pause(ms(5));
    }
    assert!(sent < 100, "the server does not read, and yet it took {sent} pieces");
    running.cancel();
    assert_eq!(h2::Client::open(app.upstream).ask(&Request::post("/lazy?ms=50", "late")).json()["length"], 4);
}

#[test]
fn the_http_2_server_misbehaves_as_it_is_told() {
    let app = App::h2c("alone").env("ECHO_REFUSE", "2");
    let _server = alone(&app);
    let client = h2::Client::open(app.upstream);
    for _ in 0..2 {
        let refused = client.start(&Request::get("/")).answer().unwrap_err();
        assert_eq!((refused.code, refused.is_goaway), (Some(7), false), "REFUSED_STREAM");
    }
    assert_eq!((client.get("/").text().as_str(), app.events("refused").len()), ("ok", 2));
    assert_eq!(client.start(&Request::get("/rst?code=11")).answer().unwrap_err().code, Some(11));
    let mut cut = client.start(&Request::get("/rst?code=2&bytes=10"));
    assert_eq!((cut.head().unwrap().status, cut.piece().unwrap().unwrap().len()), (200, 10));
    assert_eq!(cut.piece().unwrap_err().code, Some(2));
    let (mut upload, running) = client.upload(&Request::post("/early", ""));
    upload.send("never read");
    assert_eq!(running.answer().unwrap().status(), 413);

    let leaving = client.start(&Request::get("/goaway?ms=200"));
    h2::await_closed(&client, SOON);
    assert_eq!(leaving.answer().unwrap().text(), "goodbye", "what was begun is finished");
    let client = h2::Client::open(app.upstream);
    let slow = client.start(&Request::get("/slow?ms=60000"));
    until("it is there", SOON, || app.requests("/slow") == 1);
    // Whether the client still sees the code is a race: it may be writing when the connection ends.
    assert!(client.start(&Request::get("/abort?code=2")).answer().is_err());
    assert!(slow.answer().is_err());
    let mut raw = H2::open(app.upstream);
    raw.get("/abort?code=2");
    assert_eq!(raw.ends_within(SOON), (true, Some(2)));
}

#[test]
fn the_http_2_server_disowns_all_but_the_first_requests() {
    let app = App::h2c("alone").env("ECHO_GOAWAY_AFTER", "2").env("ECHO_GOAWAY_CODE", "11");
    let _server = alone(&app);
    let mut raw = H2::open(app.upstream);
    let streams = [raw.get("/a"), raw.get("/b"), raw.get("/c")];
    for stream in &streams[..2] {
        let answer = raw.answer(*stream);
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.ended),
            (Some(200), &b"ok"[..], Ended::Properly)
        );
    }
    let goaway = raw.until("GOAWAY", |frame| frame.kind == kind::GOAWAY);
    assert_eq!((goaway.last_stream(), goaway.code()), (Some(streams[1]), Some(11)));
    assert_eq!((app.events("request").len(), app.events("disowned").len()), (2, 1));
}

#[test]
fn raw_frames_make_a_request_and_see_what_a_server_does_about_bad_ones() {
    let app = App::h2c("alone");
    let _server = alone(&app);
    let mut raw = H2::open(app.upstream);
    let stream = raw.request("POST", "/echo", &[(":authority", "b"), ("x-long", &"v".repeat(300))], false);
    raw.data(stream, b"bo", false);
    raw.data(stream, b"dy", false);
    raw.headers(stream, &[("x-t", "1")], true);
    let answer = raw.answer(stream);
    assert_eq!((answer.status, answer.ended), (Some(200), Ended::Properly));
    let echo: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&echo["body"], &echo["authority"], &echo["trailers"][0][1]),
        (&"body".into(), &"b".into(), &"1".into())
    );
    assert_eq!(echoed(&echo, "x-long")[0].len(), 300);
    for code in [404, 413, 503] {
        let stream = raw.get(&format!("/status?code={code}"));
        assert_eq!(raw.answer(stream).status, Some(code));
    }
    let stream = raw.get("/hints");
    let hinted = raw.answer(stream);
    assert_eq!((hinted.interim, hinted.status), (vec![103], Some(200)));
    raw.ping(*b"pingpong");
    let pong = raw.until("the answer to a ping", |frame| frame.kind == kind::PING);
    assert_eq!(pong.payload, b"pingpong");
    let stream = raw.get("/big?bytes=1000000");
    assert_eq!(raw.answer(stream).body.len(), 1_000_000);
    let stream = raw.get("/rst?code=8");
    assert_eq!(raw.answer(stream).ended, Ended::Reset(8));
    let stream = raw.get("/slow?ms=60000");
    until("it is there", SOON, || app.requests("/slow") == 1);
    raw.rst(stream, 8);
    until("the server sees it", SOON, || app.count("cancelled", "GET /slow") == 1);
    raw.continuation(stream, b"", true);
    assert_eq!(raw.ends_within(SOON), (true, Some(1)), "a CONTINUATION of nothing is a PROTOCOL_ERROR");

    let mut bare = H2::bare(app.upstream);
    bare.send(&PREFACE[..10]);
    assert_eq!(bare.ends_within(ms(100)), (false, None));
}

#[test]
fn a_server_resets_too_many_resets() {
    let app = App::h2c("alone");
    let _server = alone(&app);
    let mut raw = H2::open(app.upstream);
    for _ in 0..5_000 {
        let stream = raw.take_stream();
        let block = reveille_tests_local::h2raw::fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/slow?ms=60000"),
            (":authority", "a"),
        ]);
        let sent = raw.try_send_frame(kind::HEADERS, 5, stream, &block);
        if sent.and_then(|()| raw.try_send_frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())).is_err()
        {
            break;
        }
    }
    let (ended, code) = raw.ends_within(SOON);
    assert!(
        ended && code.is_none_or(|code| code == 11),
        "ENHANCE_YOUR_CALM, if it still came through: {code:?}"
    );
}

#[test]
fn curl_and_h2load_speak_http_2() {
    let app = App::h2c("alone");
    let _server = alone(&app);
    let got = curl(app.upstream, "/echo", &["-d", "body", "-H", "x-a: 1"]);
    assert_eq!((got.version.as_str(), got.status, got.exit, got.said.as_str()), ("2", 200, 0, ""));
    let echo: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!((&echo["body"], echoed(&echo, "x-a")), (&"body".into(), vec!["1"]));
    assert!(got.head.contains("content-type: application/json"), "{}", got.head);
    assert_ne!(curl(app.upstream, "/rst?code=2", &[]).exit, 0);
    let test = "harness_protocols::http_2::curl_and_h2load_speak_http_2";
    if let Some(load) = h2load(test, app.upstream, "/", [2_000, 4, 10]) {
        assert_eq!(
            (load.total, load.succeeded, load.failed, load.ok),
            (2_000, 2_000, 0, 2_000),
            "{}",
            load.said
        );
        assert_eq!(app.requests("/"), 2_002);
    }
}
