//! An app that is killed at the worst times.

use nix::sys::signal::Signal;
use reveille_tests_local::{
    Answer, App, Conn,
    http::{get, post},
    pause,
    process::Process,
    until,
    wait::secs,
};

use crate::support::{SOON, problem, start, start_awake, wake};

/// Asks again as `Retry-After` says, as a polite client does.
#[track_caller]
fn politely(mut ask: impl FnMut() -> Answer) {
    let mut refused = Vec::new();
    for _ in 0..4 {
        let answer = ask();
        if answer.status() == 200 {
            return;
        }
        let after = answer.retry_after().unwrap_or_else(|| panic!("no Retry-After: {answer:?}"));
        assert!(after <= 10, "Retry-After: {after}");
        refused.push((answer.status(), after));
        pause(secs(after));
    }
    panic!("not served: {refused:?}");
}

#[test]
fn killed_while_it_serves_it_wakes_again_and_only_the_delivered_request_fails() {
    // Asked by HTTP whether it is ready: the kernel may accept a connection for a process that is dying.
    let app = App::slow("serving").set("concurrency: 1").set("wake: {readiness: {http: {path: /ready}}}");
    let reveille = start_awake(&app);
    let first = app.await_start(1, SOON);
    let mut delivered = Conn::open(app.listen);
    delivered.send_post("/slow?ms=60000", "not to be repeated");
    app.await_request("/slow", SOON);
    // The limit of one keeps these in Reveille: they are not delivered.
    let mut waiting: Vec<Conn> = (0..5).map(|_| Conn::open(app.listen)).collect();
    for conn in &mut waiting {
        conn.send_post("/waiting", "once");
    }
    until("they are in flight", SOON, || reveille.admin.in_flight("serving") == 6);
    assert_eq!(app.requests("/waiting"), 0);

    first.signal(Signal::SIGKILL);
    problem(&delivered.answer(), 502);
    for conn in &mut waiting {
        let answer = conn.answer();
        assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    }
    assert_eq!((app.starts(), app.requests("/waiting"), app.requests("/slow")), (2, 5, 1));
    assert_eq!(get(app.listen, "/after").status(), 200);
    reveille.stop();
}

#[test]
fn killed_while_it_is_idle_the_next_request_on_a_kept_connection_is_served() {
    let app = App::slow("idle");
    let reveille = start_awake(&app);
    let mut kept = Conn::open(app.listen);
    assert_eq!(kept.get("/before").status(), 200);
    let first = app.await_start(1, SOON);
    first.signal(Signal::SIGKILL);
    // A dying process may still take a request along. Once it is dead, its connection to Reveille has ended,
    // which need not have been noticed yet: what may be repeated is.
    until("the process is dead", SOON, || !first.runs());
    let answer = kept.get("/at-once");
    assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    assert_eq!(app.starts(), 2);
    reveille.admin.await_phase("idle", "Awake", SOON);

    // Once the death is known, nothing is sent to the dead: what may not be repeated is served, too.
    app.await_start(2, SOON).signal(Signal::SIGKILL);
    reveille.admin.await_phase("idle", "Asleep", SOON);
    politely(|| {
        kept.send_post("/after", "once");
        kept.answer()
    });
    assert_eq!((app.starts(), app.requests("/after")), (3, 1));
    reveille.stop();
}

#[test]
fn killed_while_it_starts_it_says_so_at_once_and_serves_the_next_attempt() {
    let app = App::slow("starting").starting_when_let();
    let reveille = start(&[&app]);
    let mut held: Vec<Conn> = (0..5).map(|_| Conn::open(app.listen)).collect();
    for conn in &mut held {
        conn.send_post("/held", "once");
    }
    reveille.admin.await_held("starting", 5, SOON);
    app.await_start(1, SOON).signal(Signal::SIGKILL);
    app.let_start();
    for conn in &mut held {
        let answer = conn.answer();
        if answer.status() != 200 {
            let reason = problem(&answer, 502);
            assert!(reason.contains("signal") || reason.contains("SIGKILL"), "{reason}");
            assert!(answer.retry_after().is_some(), "{:?}", answer.head);
        }
    }
    politely(|| get(app.listen, "/next"));
    assert!(app.starts() >= 2);
    reveille.stop();
}

#[test]
fn a_request_that_comes_while_it_stops_is_served_by_the_next_process() {
    let app = App::slow("stopping").env("SLOW_STOP_MS", "700").set("idle: {ttl: 200ms}");
    let reveille = start_awake(&app);
    until("it was told to stop", SOON, || app.events("term").len() == 1);
    let answer = post(app.listen, "/name", "once");
    assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    let second = app.await_start(2, SOON);
    assert_eq!(answer.json()["pid"], second.pid);
    reveille.stop();
}

#[test]
fn killed_while_it_stops_it_wakes_again_at_once() {
    let app = App::slow("stopped").env("SLOW_STOP_MS", "8000").set("idle: {ttl: 200ms}");
    let reveille = start_awake(&app);
    let first = app.await_start(1, SOON);
    until("it was told to stop", SOON, || app.events("term").len() == 1);
    let mut held = Conn::open(app.listen);
    held.send_post("/held", "once");
    reveille.admin.await_held("stopped", 1, SOON);
    let killed = std::time::Instant::now();
    first.signal(Signal::SIGKILL);
    let answer = held.answer();
    assert_eq!(answer.status(), 200, "{:?} {}", answer.head, answer.text());
    assert!(killed.elapsed() < secs(5), "served {:?} after the kill", killed.elapsed());
    assert_eq!(app.starts(), 2);
}

#[test]
fn an_app_that_ignores_its_grace_is_killed() {
    let app = App::slow("deaf").env("SLOW_STOP_MS", "60000").set("idle: {ttl: never}").set("stopGrace: 1s");
    let reveille = start_awake(&app);
    let first = app.await_start(1, SOON);
    assert!(reveille.admin.sleep("deaf", None).status() < 300);
    reveille.admin.await_phase("deaf", "Asleep", secs(5));
    assert!(!first.runs());
    assert_eq!(get(app.listen, "/again").status(), 200);
}

#[test]
fn an_nginx_whose_master_is_killed_leaves_no_worker_on_its_port() {
    let app = App::nginx("master").set("idle: {ttl: 5m}");
    let reveille = start_awake(&app);
    let master: u32 =
        std::fs::read_to_string(app.folder().join("nginx.pid")).unwrap().trim().parse().unwrap();
    let master = Process::of(master).unwrap();
    let mut workers = Vec::new();
    until("nginx has its workers", SOON, || {
        workers = master.descendants();
        workers.len() == 2
    });
    master.signal(Signal::SIGKILL);
    reveille_tests_local::reveille::assert_gone(&workers, secs(5));
    politely(|| get(app.listen, "/"));
    wake(&reveille, "master");
    let after: u32 = std::fs::read_to_string(app.folder().join("nginx.pid")).unwrap().trim().parse().unwrap();
    assert_ne!(after, master.pid);
    reveille.stop();
}
