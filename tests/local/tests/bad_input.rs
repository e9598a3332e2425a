//! Malformed requests: refused, the connection closed, and never forwarded.

use std::{thread, time::Instant};

use reveille_tests_local::{
    App, Conn, get, pause, until,
    wait::{ms, secs},
};

use crate::support::{SOON, start_awake};

/// What is sent after each malformed request on the same connection: it must not reach the app either.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A malformed request: what is wrong with it, its bytes, and the statuses that say so.
type Case = (&'static str, Vec<u8>, &'static [u16]);

fn case(what: &'static str, head: &str, statuses: &'static [u16]) -> Case {
    (what, head.as_bytes().to_vec(), statuses)
}

/// Cases whose head is malformed as a whole.
fn malformed_heads() -> Vec<Case> {
    let many = "X-Field: 1\r\n".repeat(120);
    let long = "v".repeat(70 * 1024);
    vec![
        case("a request line of one word", "GET\r\n\r\n", &[400]),
        case("a blank in the target", "GET /bad path HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("a version that is none", "GET /bad HTTX/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("a version of the future", "GET /bad HTTP/7.3\r\nHost: a\r\n\r\n", &[400, 505]),
        case("a method that is no token", "G(E)T /bad HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("a field without a name", "GET /bad HTTP/1.1\r\nHost: a\r\n: value\r\n\r\n", &[400]),
        case("a field without a colon", "GET /bad HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", &[400]),
        case("a blank before the colon", "GET /bad HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n", &[400]),
        case("a name that is no token", "GET /bad HTTP/1.1\r\nHost: a\r\nX[A]: 1\r\n\r\n", &[400]),
        case("obsolete folding", "GET /bad HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", &[400]),
        case("a bare CR", "GET /bad HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n", &[400]),
        case("a NUL", "GET /bad HTTP/1.1\r\nHost: a\r\nX-A: 1\0\r\n\r\n", &[400]),
        case("over 100 fields", &format!("GET /bad HTTP/1.1\r\nHost: a\r\n{many}\r\n"), &[431]),
        case(
            "a head over 64 KiB",
            &format!("GET /bad HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"),
            &[431],
        ),
        case("a target over 64 KiB", &format!("GET /bad{long} HTTP/1.1\r\nHost: a\r\n\r\n"), &[414, 431]),
    ]
}

/// Cases about `Host`.
fn wrong_hosts() -> Vec<Case> {
    vec![
        case("no Host", "GET /bad HTTP/1.1\r\n\r\n", &[400]),
        case("two Hosts", "GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        case("two equal Hosts", "GET /bad HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
        case("a Host with a blank", "GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
        case("a Host with a path", "GET /bad HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        case("a Host with user and password", "GET /bad HTTP/1.1\r\nHost: u:p@a\r\n\r\n", &[400]),
        case("a Host with a port that is none", "GET /bad HTTP/1.1\r\nHost: a:port\r\n\r\n", &[400]),
        case("a target that is an authority", "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[400]),
        case("a target of another scheme", "GET ftp://a/bad HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("a target of * without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("a Host that differs from the target", "GET http://a/bad HTTP/1.1\r\nHost: b\r\n\r\n", &[400]),
    ]
}

/// Cases about where a request ends.
fn wrong_lengths() -> Vec<Case> {
    let post = |fields: &str| format!("POST /bad HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    vec![
        case("differing lengths", &post("Content-Length: 3\r\nContent-Length: 5\r\n"), &[400]),
        case("differing lengths in one field", &post("Content-Length: 3, 5\r\n"), &[400]),
        case("a negative length", &post("Content-Length: -3\r\n"), &[400]),
        case("a length with a sign", &post("Content-Length: +3\r\n"), &[400]),
        case("a hexadecimal length", &post("Content-Length: 0x3\r\n"), &[400]),
        case("an empty length", &post("Content-Length: \r\n"), &[400]),
        case("a length beyond all", &post("Content-Length: 99999999999999999999999\r\n"), &[400]),
        case("an unknown coding", &post("Transfer-Encoding: gzip\r\n"), &[400, 501]),
        case("an unknown coding before chunked", &post("Transfer-Encoding: gzip, chunked\r\n"), &[400, 501]),
        case("a coding after chunked", &post("Transfer-Encoding: chunked, gzip\r\n"), &[400, 501]),
        case("chunked twice", &post("Transfer-Encoding: chunked, chunked\r\n"), &[400, 501]),
        case("identity", &post("Transfer-Encoding: identity\r\n"), &[400, 501]),
        case("almost chunked", &post("Transfer-Encoding: xchunked\r\n"), &[400, 501]),
        case("chunked, quoted", &post("Transfer-Encoding: \"chunked\"\r\n"), &[400, 501]),
    ]
}

#[test]
fn malformed_requests_are_refused_closed_and_never_forwarded() {
    let app = App::slow("strict");
    let reveille = start_awake(&app);
    let mut wrong = Vec::new();
    for (what, bytes, statuses) in malformed_heads().into_iter().chain(wrong_hosts()).chain(wrong_lengths()) {
        let mut conn = Conn::open(app.listen);
        let _ = conn.try_send(bytes);
        let _ = conn.try_send(SMUGGLED);
        match conn.try_answer("GET") {
            Ok(answer) if !statuses.contains(&answer.status()) => {
                wrong.push(format!("{what}: {} instead of {statuses:?}", answer.status()));
            }
            Ok(_) if !conn.is_closed_within(secs(3)) => wrong.push(format!("{what}: not closed")),
            Ok(_) => {}
            Err(error) => wrong.push(format!("{what}: no answer: {error}")),
        }
    }
    assert_eq!(get(app.listen, "/good").status(), 200);
    let forwarded: Vec<String> = app.events("request").into_iter().map(|event| event.detail).collect();
    assert_eq!(forwarded, ["GET /good"], "what reached the app");
    assert!(wrong.is_empty(), "{wrong:#?}");
    reveille.stop();
}

#[test]
fn malformed_requests_wake_nobody() {
    let app = App::slow("asleep");
    let reveille = crate::support::start(&[&app]);
    for (what, bytes, statuses) in malformed_heads().into_iter().chain(wrong_hosts()).chain(wrong_lengths()) {
        let mut conn = Conn::open(app.listen);
        let _ = conn.try_send(bytes);
        if let Ok(answer) = conn.try_answer("GET") {
            assert!(statuses.contains(&answer.status()), "{what}: {:?}", answer.head);
        }
    }
    assert_eq!(reveille.admin.phase("asleep"), "Asleep");
    assert_eq!(app.starts(), 0);
    reveille.stop();
}

#[test]
fn a_length_is_never_forwarded_beside_chunked() {
    let app = App::slow("both");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
    );
    // RFC 9112, 6.3: may be refused, or read by its chunks with the connection closed after it.
    let answer = conn.answer();
    if answer.status() != 400 {
        let echo = answer.json();
        assert_eq!(echo["body"], "hello");
        assert!(crate::support::echoed(&echo, "content-length").is_empty(), "{echo}");
    }
    assert!(conn.is_closed_within(secs(3)));
    reveille.stop();
}

#[test]
fn a_malformed_chunk_ends_the_exchange_and_nothing_after_it_is_a_request() {
    let app = App::slow("chunks");
    let reveille = start_awake(&app);
    for chunk in
        ["zz\r\nhello\r\n", "-1\r\nhello\r\n", "5\r\nhelloXX", "ffffffffffffffffff\r\n", "5;\0\r\nhello\r\n"]
    {
        let mut conn = Conn::open(app.listen);
        conn.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _ = conn.try_send(chunk);
        let _ = conn.try_send(SMUGGLED);
        if let Ok(answer) = conn.try_answer("GET") {
            assert!(answer.status() >= 400, "{chunk:?}: {:?}", answer.head);
        }
        assert!(conn.is_closed_within(secs(5)), "{chunk:?}: not closed");
    }
    assert_eq!(app.requests("/smuggled"), 0);
    until("nothing is in flight", SOON, || reveille.admin.in_flight("chunks") == 0);
    assert_eq!(get(app.listen, "/good").status(), 200);
    reveille.stop();
}

#[test]
fn connect_and_unknown_upgrades_are_not_tunnelled() {
    let app = App::slow("tunnel");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send("CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n");
    let answer = conn.answer();
    assert!(answer.status() >= 400, "{:?}", answer.head);
    let mut conn = Conn::open(app.listen);
    conn.send("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    let answer = conn.answer();
    assert_ne!(answer.status(), 101);
    if answer.status() == 200 {
        assert!(crate::support::echoed(&answer.json(), "upgrade").is_empty(), "{}", answer.text());
    }
    reveille.stop();
}

/// How long a head takes to be given up, at least and at most; 10 s from its first byte is the rule.
fn gives_up_in_time(started: Instant) -> bool {
    (secs(8)..secs(15)).contains(&started.elapsed())
}

#[test]
fn a_slow_head_is_given_up_after_ten_seconds_however_it_trickles() {
    let app = App::slow("patient");
    let reveille = start_awake(&app);
    let port = app.listen;
    let stalled = thread::spawn(move || {
        let started = Instant::now();
        let mut conn = Conn::open(port);
        conn.send("GET /stalled HTTP/1.1\r\nHost: a\r\nX-A: ");
        assert!(conn.is_closed_within(secs(15)), "a stalled head is not given up");
        assert!(gives_up_in_time(started), "a stalled head: after {:?}", started.elapsed());
    });
    let second = thread::spawn(move || {
        let mut conn = Conn::open(port);
        assert_eq!(conn.get("/first").status(), 200);
        let started = Instant::now();
        conn.send("GET /second HTTP/1.1\r\n");
        assert!(conn.is_closed_within(secs(15)), "a stalled second head is not given up");
        assert!(gives_up_in_time(started), "a stalled second head: after {:?}", started.elapsed());
    });
    let idle = thread::spawn(move || {
        let mut conn = Conn::open(port);
        assert_eq!(conn.get("/first").status(), 200);
        assert!(conn.is_quiet_for(secs(12)), "an idle connection is kept for longer than a head may take");
        assert_eq!(conn.get("/second").status(), 200);
    });
    let started = Instant::now();
    let mut conn = Conn::open(port);
    conn.send("GET /trickling HTTP/1.1\r\nHost: a\r\nX-A: ");
    while conn.try_send("v").is_ok() && started.elapsed() < secs(20) {
        pause(ms(200));
    }
    assert!(gives_up_in_time(started), "a trickling head: after {:?}", started.elapsed());
    for client in [stalled, second, idle] {
        client.join().unwrap();
    }
    assert_eq!(app.requests("/stalled") + app.requests("/trickling"), 0);
    reveille.stop();
}

#[test]
fn a_slow_body_is_no_slow_head() {
    let app = App::slow("body");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    pause(secs(12));
    conn.send("b");
    assert_eq!(conn.answer().json()["body"], "ab");
    reveille.stop();
}

#[test]
fn an_absolute_target_with_a_query_and_no_path_is_one_of_the_root() {
    let app = App::slow("rootless");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send("GET http://a?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = conn.answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    reveille.stop();
}
