//! Clients that disappear at any byte leave nothing behind: no place in the queue, no socket, no task.

use std::time::Instant;

use reveille_tests_local::{App, Conn, get, until, wait::secs};

use crate::support::{SOON, start, start_awake};

/// A request with all its parts. It is cut after every byte.
const REQUEST: &[u8] = b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678";

/// How clients leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// By closing.
    Close,
    /// By a reset.
    Reset,
    /// By closing their sending side alone: with a request held, that counts as gone.
    Finish,
}

/// How many of `REQUEST`'s cuts hold a whole head.
fn with_whole_head() -> usize {
    let head = REQUEST.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    REQUEST.len() - head + 1
}

/// One client for each cut: it has sent that much and waits.
fn cut_clients(port: u16) -> Vec<Conn> {
    (1..=REQUEST.len())
        .map(|length| {
            let mut conn = Conn::open(port);
            conn.send(&REQUEST[..length]);
            conn
        })
        .collect()
}

/// Makes all clients leave; those that only finish are returned, for they still read.
fn leave(conns: Vec<Conn>, how: Leave) -> Vec<Conn> {
    let mut reading = Vec::new();
    for conn in conns {
        match how {
            Leave::Close => drop(conn),
            Leave::Reset => conn.reset(),
            Leave::Finish => {
                conn.finish();
                reading.push(conn);
            }
        }
    }
    reading
}

#[test]
fn held_clients_that_vanish_at_any_byte_free_their_place_at_once() {
    let app = App::slow("held").starting_when_let();
    let reveille = start(&[&app]);
    let process = reveille.process();
    let files = process.open_files();
    let held = with_whole_head() as u64;
    for how in [Leave::Close, Leave::Reset, Leave::Finish] {
        let conns = cut_clients(app.listen);
        reveille.admin.await_held("held", held, SOON);
        let left = Instant::now();
        let reading = leave(conns, how);
        until(&format!("places are free after {how:?}"), secs(5), || reveille.admin.held("held") == 0);
        assert!(left.elapsed() < secs(1), "{how:?}: places were freed after {:?}", left.elapsed());
        drop(reading);
    }
    assert!(app.events("ready").is_empty(), "this was to happen while the app starts");
    assert_eq!(reveille.admin.phase("held"), "Waking", "the wake goes on without them");
    app.let_start();
    reveille.admin.await_phase("held", "Awake", secs(15));
    assert_eq!(app.starts(), 1);
    assert_eq!(app.requests("/cut"), 0, "requests of clients that had left were delivered");
    until("nothing is in flight", SOON, || reveille.admin.in_flight("held") == 0);
    // The app's guardian and a kept connection to it are there now.
    until("sockets are closed", secs(15), || process.open_files() <= files + 16);
    assert_eq!(get(app.listen, "/after").status(), 200);
    reveille.stop();
}

#[test]
fn a_held_client_with_unread_requests_behind_its_first_is_seen_to_leave() {
    let app = App::starting_in("unread", 600_000);
    let reveille = start(&[&app]);
    let more = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50);
    let long = "x".repeat(50_000);
    let requests = [
        format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{more}"),
        format!("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{long}"),
        format!("POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nC350\r\n{long}\r\n"),
        format!(
            "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n{more}"
        ),
    ];
    for how in [Leave::Close, Leave::Reset, Leave::Finish] {
        for request in &requests {
            let mut conn = Conn::open(app.listen);
            conn.send(request);
            reveille.admin.await_held("unread", 1, SOON);
            let left = Instant::now();
            let reading = leave(vec![conn], how);
            until(&format!("the place is free after {how:?}"), secs(5), || {
                reveille.admin.held("unread") == 0
            });
            assert!(left.elapsed() < secs(1), "{how:?}: freed after {:?}", left.elapsed());
            drop(reading);
        }
    }
    assert_eq!(reveille.admin.phase("unread"), "Waking");
}

#[test]
fn warm_clients_that_vanish_at_any_byte_leave_nothing_behind() {
    let app = App::slow("warm").env("SLOW_REQUEST_MS", "100");
    let reveille = start_awake(&app);
    let process = reveille.process();
    let files = process.open_files();
    for how in [Leave::Close, Leave::Reset] {
        leave(cut_clients(app.listen), how);
        until(&format!("nothing is in flight after {how:?}"), SOON, || reveille.admin.in_flight("warm") == 0);
    }
    until("sockets are closed", secs(15), || process.open_files() <= files + 16);
    assert_eq!(get(app.listen, "/after").status(), 200);
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_warm_client_that_finishes_sending_is_answered_or_let_go() {
    let app = App::slow("half").env("SLOW_REQUEST_MS", "200");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/");
    app.await_request("/", SOON);
    conn.finish();
    // nginx, too, takes this for a client that has left.
    if let Ok(answer) = conn.try_answer("GET") {
        assert_eq!(answer.text(), "ok");
    }
    until("nothing is in flight", SOON, || reveille.admin.in_flight("half") == 0);
    assert_eq!(get(app.listen, "/after").text(), "ok");
    reveille.stop();
}

#[test]
fn a_client_that_vanishes_within_its_answer_ends_the_work_for_it() {
    let app = App::slow("cut").set("idle: {ttl: 300ms}");
    let reveille = start_awake(&app);
    for path in ["/big?bytes=50000000", "/sse?events=100000&ms=5", "/drip?bytes=100000&ms=5"] {
        for how in [Leave::Close, Leave::Reset] {
            let mut conn = Conn::open(app.listen);
            conn.send_get(path);
            assert_eq!(conn.head().unwrap().status, 200);
            leave(vec![conn], how);
            until(&format!("{path} has ended after {how:?}"), SOON, || reveille.admin.in_flight("cut") == 0);
        }
    }
    reveille.admin.await_phase("cut", "Asleep", SOON);
    reveille.stop();
}

#[test]
fn a_crowd_that_vanishes_while_the_app_starts_leaves_room_for_the_next() {
    let app = App::slow("crowd").starting_when_let().set("hold: {maxRequests: 200}");
    let reveille = start(&[&app]);
    for _ in 0..3 {
        let mut crowd: Vec<Conn> = (0..200).map(|_| Conn::open(app.listen)).collect();
        for conn in &mut crowd {
            conn.send_get("/vanishing");
        }
        reveille.admin.await_held("crowd", 200, secs(2));
        drop(crowd);
        until("places are free", secs(2), || reveille.admin.held("crowd") == 0);
    }
    app.let_start();
    assert_eq!(get(app.listen, "/next").status(), 200);
    assert_eq!((app.starts(), app.requests("/vanishing")), (1, 0));
    reveille.stop();
}
