//! Raw TCP through the activator.

use std::time::Instant;

use nix::sys::signal::Signal;
use reveille_tests_local::{
    App, Reveille,
    app::file,
    pause,
    report::figure,
    server::Seen,
    tcp::Tcp,
    until,
    wait::{ms, secs},
};

use crate::support::{SOON, start};

const TCP: &str = "protocol: tcp";

#[track_caller]
fn await_nothing_left(reveille: &Reveille, app: &str) {
    until("nothing is held", SOON, || reveille.admin.held(app) == 0);
    until("nothing is in flight", SOON, || reveille.admin.in_flight(app) == 0);
}

#[test]
fn bytes_and_half_closes_pass_both_ways_held_and_warm() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let apps =
        ["echo", "count", "farewell"].map(|mode| App::tcp(mode, mode).port(TCP).env("SLOW_START_MS", "300"));
    let reveille = start(&apps.iter().collect::<Vec<_>>());
    let [echo, count, farewell] = &apps;
    for _ in 0..2 {
        assert!(Tcp::open(echo.listen).exchange(&bytes).unwrap() == bytes);
        let answer: serde_json::Value =
            serde_json::from_slice(&Tcp::open(count.listen).exchange(&bytes).unwrap()).unwrap();
        assert_eq!(answer, Seen::of(&bytes).json(), "the answer comes after the client's end");
        let conn = Tcp::open(farewell.listen);
        assert_eq!(conn.read_to_end().unwrap(), b"220 ready\r\n", "the app's end comes first");
        conn.send("still read");
        conn.finish();
    }
    until("the ends are logged", SOON, || farewell.count("end", "received=10") == 2);
    // HTTP on such a port is bytes like any other.
    let conn = Tcp::open(echo.listen);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-gone\r\nX-Gone: 1\r\n\r\n";
    conn.send(request);
    assert_eq!(conn.read(request.len()), request.as_bytes());
    drop(conn);
    for app in &apps {
        await_nothing_left(&reveille, &app.name);
    }
    let count_of = |direction| {
        reveille.admin.metric("reveille_tunnel_bytes_total", &[("app", "echo"), ("direction", direction)])
    };
    let sent = (2 * bytes.len() + request.len()) as f64;
    assert_eq!((count_of("to-app"), count_of("to-client")), (sent, sent));
    let tunnels = reveille.admin.metric("reveille_requests_total", &[("app", "echo"), ("protocol", "tcp")]);
    assert_eq!(tunnels, 3.0);
    reveille.stop();
}

#[test]
fn who_waits_wakes_the_app_and_who_only_looks_does_not() {
    let app = App::tcp("banner", "banner").port(TCP);
    let reveille = start(&[&app]);
    for _ in 0..20 {
        drop(Tcp::open(app.listen));
        Tcp::open(app.listen).reset();
    }
    pause(ms(500));
    assert_eq!((reveille.admin.phase("banner"), app.starts()), ("Asleep".into(), 0));
    let began = Instant::now();
    let conn = Tcp::open(app.listen);
    assert_eq!(conn.read(11), b"220 ready\r\n");
    assert!(began.elapsed() >= ms(250), "{:?}", began.elapsed());
    reveille.stop();
}

#[test]
fn whoever_goes_the_other_side_sees_it() {
    let app = App::tcp("gone", "echo").port(TCP).starting_when_let();
    let reveille = start(&[&app]);
    let conn = Tcp::open(app.listen);
    conn.send("x");
    reveille.admin.await_held("gone", 1, SOON);
    conn.reset();
    await_nothing_left(&reveille, "gone");
    app.let_start();
    // An end is no leaving: it is passed on.
    assert_eq!(Tcp::open(app.listen).exchange(b"hello").unwrap(), b"hello");
    Tcp::open(app.listen).reset();
    let conn = Tcp::open(app.listen);
    conn.send("x");
    assert_eq!(conn.read(1), b"x");
    conn.reset();
    until("the app misses it", SOON, || !app.events("broken").is_empty());
    let conn = Tcp::open(app.listen);
    conn.send("x");
    assert_eq!(conn.read(1), b"x");
    app.await_start(1, SOON).signal(Signal::SIGKILL);
    assert!(conn.ends_within(SOON).is_some(), "the client is told");
    await_nothing_left(&reveille, "gone");
    assert_eq!(Tcp::open(app.listen).exchange(b"next").unwrap(), b"next", "the next process");
    reveille.stop();
}

#[test]
fn one_that_has_sent_all_and_is_gone_is_not_waited_for() {
    let app = App::tcp("hung", "echo").port(TCP);
    let reveille = start(&[&app]);
    assert_eq!(Tcp::open(app.listen).exchange(b"x").unwrap(), b"x");
    let process = app.await_start(1, SOON);
    process.signal(Signal::SIGSTOP);
    let to_app =
        || reveille.admin.metric("reveille_tunnel_bytes_total", &[("app", "hung"), ("direction", "to-app")]);
    for n in 1..=20 {
        let conn = Tcp::open(app.listen);
        conn.send("y");
        conn.finish();
        until("it is passed on", SOON, || to_app() == f64::from(n + 1));
        conn.reset();
    }
    await_nothing_left(&reveille, "hung");
    process.signal(Signal::SIGCONT);
    assert_eq!(Tcp::open(app.listen).exchange(b"z").unwrap(), b"z");
    reveille.stop();
}

#[test]
fn what_cannot_be_served_is_reset() {
    let full = App::tcp("full", "echo").port(TCP).env("SLOW_START_MS", "60000").set("hold: {maxRequests: 1}");
    let broken = App::tcp("broken", "echo").port(TCP).command(&["/bin/false"]);
    let late = App::tcp("late", "echo").port(TCP).env("SLOW_START_MS", "60000").set("wake: {deadline: 1s}");
    let reveille = start(&[&full, &broken, &late]);
    let held = Tcp::open(full.listen);
    held.send("x");
    reveille.admin.await_held("full", 1, SOON);
    for app in [&full, &broken, &late] {
        let conn = Tcp::open(app.listen);
        conn.send("x");
        assert_eq!(conn.ends_within(SOON), Some(false), "{}: a reset, not an end", app.name);
    }
    let rejected = |app, reason| {
        reveille.admin.metric("reveille_rejected_requests_total", &[("app", app), ("reason", reason)])
    };
    assert_eq!((rejected("full", "hold-full"), rejected("broken", "wake-failed")), (1.0, 1.0));
    reveille.stop();
}

#[test]
fn an_open_connection_keeps_the_app_awake_until_it_ends_or_times_out() {
    let quiet = App::tcp("quiet", "echo").port(TCP).set("idle: {ttl: 500ms}");
    let timed = App::tcp("timed", "echo").port(TCP).set("timeouts: {streamIdle: 500ms}");
    let limited = App::tcp("limited", "echo").port(TCP).set("concurrency: 1");
    let reveille = start(&[&quiet, &timed, &limited]);
    let conn = Tcp::open(quiet.listen);
    conn.send("x");
    assert_eq!(conn.read(1), b"x");
    pause(secs(2));
    assert_eq!((reveille.admin.phase("quiet"), reveille.admin.in_flight("quiet")), ("Awake".into(), 1));
    drop(conn);
    reveille.admin.await_phase("quiet", "Asleep", SOON);

    let conn = Tcp::open(timed.listen);
    for _ in 0..4 {
        conn.send("x");
        assert_eq!(conn.read(1), b"x");
        pause(ms(250));
    }
    assert_eq!(conn.ends_within(SOON), Some(false));
    await_nothing_left(&reveille, "timed");

    let first = Tcp::open(limited.listen);
    first.send("x");
    assert_eq!(first.read(1), b"x");
    let second = Tcp::open(limited.listen);
    second.send("y");
    reveille.admin.await_held("limited", 1, SOON);
    drop(first);
    assert_eq!(second.read(1), b"y", "it got the first one's place");
    reveille.stop();
}

#[test]
fn an_app_that_has_ended_leaves_its_client_a_moment_and_no_more() {
    let app = App::tcp("farewell", "farewell").port(TCP);
    let reveille = start(&[&app]);
    let conn = Tcp::open(app.listen);
    assert_eq!(conn.read_to_end().unwrap(), b"220 ready\r\n");
    for _ in 0..3 {
        pause(secs(2));
        conn.try_send("still in use").unwrap();
    }
    assert_eq!(reveille.admin.in_flight("farewell"), 1);
    await_nothing_left(&reveille, "farewell");
    drop(conn);
    reveille.stop();
}

#[test]
fn drain_and_reload_leave_an_open_connection_its_time() {
    let (app, other) = (App::tcp("kept", "echo").port(TCP), App::slow("other"));
    let mut reveille = start(&[&app, &other]);
    let conn = Tcp::open(app.listen);
    conn.send("x");
    assert_eq!(conn.read(1), b"x");
    reveille.reload(&file(&[&app]));
    until("the other is gone", SOON, || reveille.admin.names() == ["kept"]);
    reveille.signal(Signal::SIGTERM);
    pause(secs(1));
    conn.send("y");
    assert_eq!(conn.read(1), b"y");
    drop(conn);
    assert!(reveille.await_end(secs(20)).success());
}

#[test]
fn one_that_does_not_read_is_waited_for_and_not_stored() {
    let app = App::tcp("pressure", "echo").port(TCP);
    let slow = App::tcp("lazy", "slow").port(TCP).env("ECHO_READ_MS", "1000");
    let reveille = start(&[&app, &slow]);
    let before = {
        assert_eq!(Tcp::open(app.listen).exchange(b"x").unwrap(), b"x");
        reveille.process().resident_kib()
    };
    let conn = Tcp::open(app.listen);
    let sent = conn.send_until_full(100 << 20, secs(3));
    assert!(sent < 100 << 20, "the client reads nothing, and yet {sent} bytes were taken");
    let other = Tcp::open(slow.listen);
    let sent = other.send_until_full(100 << 20, secs(3));
    assert!(sent < 100 << 20, "the app reads hardly, and yet {sent} bytes were taken");
    let grown = reveille.process().resident_kib().saturating_sub(before);
    figure("tcp pressure", &format!("two stalled tunnels: resident memory grew by {grown} KiB"));
    assert!(grown < 8 << 10, "{grown} KiB");
    reveille.stop();
}

#[test]
fn two_hundred_cycles_lose_no_connection() {
    let app = App::tcp("edge", "echo").port(TCP).set("idle: {ttl: 100ms}");
    let reveille = start(&[&app]);
    let asleep = || reveille.admin.metric("reveille_sleeps_total", &[("app", "edge"), ("outcome", "slept")]);
    let began = Instant::now();
    let (mut connections, mut gap) = (0u32, 1u64);
    while asleep() < 200.0 && began.elapsed() < secs(100) {
        let burst: Vec<_> = (0..3).map(|_| Tcp::open(app.listen)).collect();
        for conn in burst {
            assert_eq!(conn.exchange(b"hello").unwrap(), b"hello", "connection {connections}");
            connections += 1;
        }
        gap = gap * 1_103_515_245 % 2_147_483_647;
        pause(ms(95 + gap % 40));
    }
    figure(
        "tcp edge",
        &format!("{connections} connections in {} cycles, 0 failed, {:?}", asleep(), began.elapsed()),
    );
    assert!(asleep() >= 200.0, "{} cycles", asleep());
    reveille.stop();
}
