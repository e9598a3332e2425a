//! Work that lasts longer than the TTL.

use std::{thread, time::Duration};

use reveille_tests_local::{App, Conn, app::now, get, http::Framing, pause, report::figure, until, wait::ms};

use crate::support::{SOON, start, start_awake};

const SHORT: &str = "idle: {ttl: 200ms}";

#[test]
fn a_body_that_takes_longer_than_the_ttl_is_never_cut() {
    let app = App::slow("drip").set(SHORT);
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/drip?bytes=20&ms=100");
    let head = conn.head().unwrap();
    let mut framing = head.framing("GET").unwrap();
    assert_eq!(framing, Framing::Length(20));
    let mut received = 0;
    while let Some(piece) = conn.piece(&mut framing).unwrap() {
        received += piece.len();
        if received < 20 {
            assert_eq!(reveille.admin.phase("drip"), "Awake", "after {received} bytes");
        }
    }
    assert_eq!(received, 20);
    reveille.admin.await_phase("drip", "Asleep", SOON);
    assert_eq!(app.starts(), 1, "it slept once, at the end");
    reveille.stop();
}

#[test]
fn a_request_body_that_takes_longer_than_the_ttl_is_never_cut() {
    let app = App::slow("upload").set(SHORT);
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..12 {
        conn.send("4\r\nwait\r\n");
        pause(ms(100));
        assert_eq!(reveille.admin.phase("upload"), "Awake");
    }
    conn.send("0\r\n\r\n");
    let echo = conn.answer().json();
    assert_eq!(echo["body"], "wait".repeat(12));
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_slow_answer_keeps_the_app_awake() {
    let app = App::slow("thinking").set(SHORT);
    let reveille = start(&[&app]);
    let answer = get(app.listen, "/slow?ms=1500");
    assert_eq!((answer.status(), answer.text()), (200, "slow".into()));
    assert_eq!(app.starts(), 1);
    reveille.admin.await_phase("thinking", "Asleep", SOON);
    reveille.stop();
}

#[test]
fn server_sent_events_arrive_as_they_are_sent_and_keep_the_app_awake() {
    let app = App::slow("events").set(SHORT);
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/sse?events=10&ms=400");
    let head = conn.head().unwrap();
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    let mut framing = head.framing("GET").unwrap();
    let mut late = Vec::new();
    while let Some(event) = conn.piece(&mut framing).unwrap() {
        let arrived = now();
        let event = String::from_utf8(event).unwrap();
        let sent = event.trim().rsplit(' ').next().unwrap().parse().unwrap();
        late.push(arrived.saturating_sub(Duration::from_micros(sent)));
    }
    assert_eq!(late.len(), 10, "events");
    late.sort_unstable();
    figure("streams", &format!("events arrived after {:?} (median), {:?} (most)", late[5], late[9]));
    // One that waited for its successor would be 400 ms late. The machine may stall once.
    assert!(late[8] < ms(200) && late[9] < ms(400), "events came late: {late:?}");
    assert_eq!(app.starts(), 1, "the app slept under the stream");
    reveille.admin.await_phase("events", "Asleep", SOON);
    reveille.stop();
}

#[test]
fn an_idle_kept_connection_does_not_keep_the_app_awake_and_survives_its_sleep() {
    let app = App::slow("kept").set(SHORT);
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    for cycle in 1..=3 {
        assert_eq!(conn.get("/again").status(), 200);
        assert_eq!(app.starts(), cycle);
        reveille.admin.await_phase("kept", "Asleep", SOON);
    }
    reveille.stop();
}

#[test]
fn several_streams_end_one_by_one_and_the_last_one_lets_the_app_sleep() {
    let app = App::slow("several").set(SHORT);
    let reveille = start_awake(&app);
    let streams: Vec<_> = [3, 6, 9]
        .map(|bytes| {
            let port = app.listen;
            thread::spawn(move || get(port, &format!("/drip?bytes={bytes}&ms=150")).body.len())
        })
        .into_iter()
        .collect();
    let lengths: Vec<usize> = streams.into_iter().map(|stream| stream.join().unwrap()).collect();
    assert_eq!(lengths, [3, 6, 9]);
    assert_eq!(app.starts(), 1);
    until("nothing is in flight", SOON, || reveille.admin.in_flight("several") == 0);
    reveille.admin.await_phase("several", "Asleep", SOON);
    reveille.stop();
}
