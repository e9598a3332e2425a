//! The end of Reveille: asked for, hurried, and violent.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use nix::sys::signal::Signal;
use reveille_tests_local::{
    App, Conn, Reveille,
    app::file,
    get, pause, product,
    reveille::assert_gone,
    until,
    wait::{ms, secs},
};

use crate::support::{SOON, problem, start, start_awake, wake};

#[test]
fn sigterm_serves_what_is_held_and_lets_streams_end() {
    let (held_app, stream_app) = (App::starting_in("held", 2_000), App::slow("stream"));
    let mut reveille = start(&[&held_app, &stream_app]);
    wake(&reveille, "stream");
    let mut stream = Conn::open(stream_app.listen);
    stream.send_get("/sse?events=15&ms=200");
    let mut kept = Conn::open(stream_app.listen);
    assert_eq!(kept.get("/kept").status(), 200);
    let mut held: Vec<Conn> = (0..5).map(|_| Conn::open(held_app.listen)).collect();
    for conn in &mut held {
        conn.send_post("/held", "once");
    }
    reveille.admin.await_held("held", 5, SOON);
    stream_app.await_request("/sse", SOON);
    let below = reveille.process().descendants();

    reveille.signal(Signal::SIGTERM);
    until("it says that it is not ready", SOON, || !reveille.admin.is_ready());
    assert!(reveille.ended().is_none(), "it ended with work in flight");
    // A kept connection may still carry a request, and is then closed; it must not be cut in between.
    kept.send_get("/late");
    let late = kept.answer();
    assert_eq!(late.status(), 200, "{:?}", late.head);
    assert_eq!(late.field("connection"), Some("close"), "{:?}", late.head);
    for conn in &mut held {
        let answer = conn.answer();
        assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    }
    let events = stream.answer();
    assert_eq!(events.text().matches("data: ").count(), 15, "{}", events.text());

    let status = reveille.await_end(SOON);
    assert_eq!(status.code(), Some(0), "{status}");
    assert_gone(&below, secs(5));
}

#[test]
fn an_idle_reveille_ends_at_once_and_takes_its_apps_along() {
    let app = App::nginx("idle").set("idle: {ttl: never}");
    let mut reveille = start_awake(&app);
    let _kept = Conn::open(app.listen).get("/");
    let below = reveille.process().descendants();
    assert!(below.len() >= 3, "nginx and its workers run: {below:?}");
    let asked = Instant::now();
    reveille.signal(Signal::SIGTERM);
    assert_eq!(reveille.await_end(SOON).code(), Some(0));
    assert!(asked.elapsed() < secs(5), "it took {:?}", asked.elapsed());
    assert_gone(&below, ms(500));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let app = App::slow("hurry");
    let mut reveille = start_awake(&app);
    let mut stream = Conn::open(app.listen);
    stream.send_get("/slow?ms=60000");
    app.await_request("/slow", SOON);
    let below = reveille.process().descendants();
    reveille.signal(Signal::SIGTERM);
    until("it drains", SOON, || !reveille.admin.is_ready());
    assert!(reveille.ended().is_none(), "it ended with work in flight");
    let asked = Instant::now();
    // One that comes with the first, as timeout(1) sends it, is the first; one that comes later is a second.
    pause(ms(150));
    reveille.signal(Signal::SIGTERM);
    reveille.await_end(secs(5));
    assert!(asked.elapsed() < secs(3), "it took {:?}", asked.elapsed());
    assert_gone(&below, secs(5));
}

#[test]
fn a_sigterm_that_comes_twice_at_once_is_one() {
    let app = App::slow("doubled");
    let mut reveille = start_awake(&app);
    let mut stream = Conn::open(app.listen);
    stream.send_get("/slow?ms=700");
    app.await_request("/slow", SOON);
    for _ in 0..3 {
        reveille.signal(Signal::SIGTERM);
    }
    assert_eq!(stream.answer().status(), 200, "cut off");
    reveille.await_end(SOON);
}

#[test]
fn the_end_of_the_drain_refuses_what_is_still_held() {
    let app = App::starting_in("never", 600_000);
    let mut reveille = Reveille::start_with(&file(&[&app]), &["--drain", "1s"]);
    let mut held = Conn::open(app.listen);
    held.send_get("/");
    reveille.admin.await_held("never", 1, SOON);
    let below = reveille.process().descendants();
    let asked = Instant::now();
    reveille.signal(Signal::SIGTERM);
    problem(&held.answer(), 503);
    assert!((ms(800)..secs(5)).contains(&asked.elapsed()), "refused after {:?}", asked.elapsed());
    reveille.await_end(SOON);
    assert_gone(&below, secs(5));
}

#[test]
fn sigint_ends_it_like_sigterm() {
    let app = App::slow("interrupted");
    let mut reveille = start_awake(&app);
    let below = reveille.process().descendants();
    reveille.signal(Signal::SIGINT);
    assert_eq!(reveille.await_end(SOON).code(), Some(0));
    assert_gone(&below, secs(5));
}

#[test]
fn sigkill_leaves_no_orphan_and_a_new_reveille_can_start_at_once() {
    let nginx = App::nginx("nginx").set("idle: {ttl: never}");
    // One that puts a process of its own into another session, as daemons do.
    let script = format!("setsid sleep 1000 & exec {}", product::slow_server().display());
    let escaping = App::slow("escaping").command(&["/bin/sh", "-c", &script]).set("idle: {ttl: never}");
    let waking = App::starting_in("waking", 600_000);
    let yaml = file(&[&nginx, &escaping, &waking]);
    let mut reveille = Reveille::start(&yaml);
    wake(&reveille, "nginx");
    wake(&reveille, "escaping");
    reveille.admin.wake("waking");
    waking.await_start(1, SOON);
    let mut below = Vec::new();
    until("all processes are there", SOON, || {
        below = reveille.process().descendants();
        let lines: Vec<String> = below.iter().map(|process| process.command_line()).collect();
        lines.iter().any(|line| line.starts_with("sleep 1000"))
            && lines.iter().filter(|line| line.contains("nginx: worker")).count() == 2
    });
    reveille.signal(Signal::SIGKILL);
    reveille.await_end(SOON);
    assert_gone(&below, secs(10));

    let again = Reveille::start(&yaml);
    assert_eq!(get(nginx.listen, "/").status(), 200);
    assert_eq!(get(escaping.listen, "/").status(), 200);
    again.stop();
}

/// A client that keeps its connection as long as the answers allow it. Returns how many requests were
/// served, and what failed.
fn careful_client(port: u16, stop: &AtomicBool) -> (usize, Option<String>) {
    let mut served = 0;
    'connect: while !stop.load(Ordering::Relaxed) {
        let Ok(mut conn) = Conn::try_open(port) else { break };
        let mut fresh = true;
        while !stop.load(Ordering::Relaxed) {
            let sent = conn.try_send("GET /careful HTTP/1.1\r\nHost: a\r\n\r\n");
            match sent.and_then(|()| conn.try_answer("GET")) {
                Ok(answer) if answer.status() != 200 => return (served, Some(format!("{:?}", answer.head))),
                Ok(answer) => {
                    served += 1;
                    fresh = false;
                    if answer.field("connection") == Some("close") {
                        continue 'connect;
                    }
                }
                // The kernel accepts until the listener is gone: such a connection never was Reveille's. Each worker
                // has a listener, and they go one after the other.
                Err(_) if fresh => {
                    until("no listener is left", SOON, || Conn::try_open(port).is_err());
                    return (served, None);
                }
                Err(error) => return (served, Some(error.to_string())),
            }
        }
    }
    (served, None)
}

#[test]
fn careful_clients_lose_nothing_while_it_drains() {
    let app = App::slow("careful");
    let mut reveille = start_awake(&app);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| careful_client(app.listen, &stop))).collect();
        until("they are at work", SOON, || app.requests("/careful") > 200);
        reveille.signal(Signal::SIGTERM);
        pause(secs(1));
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let (served, failed) = client.join().expect("a client does not panic");
            assert_eq!(failed, None, "after {served} requests");
        }
    });
    assert_eq!(reveille.await_end(SOON).code(), Some(0));
}
