//! Requests that cannot be served are refused at once, with the reason.

use std::{net::TcpListener, time::Instant};

use reveille_tests_local::{
    App, Conn, Reveille,
    app::file,
    get, pause, until,
    wait::{ms, secs},
};

use crate::support::{SOON, problem, start};

const SECRET: &str = "the-secret-output-of-the-app";

#[test]
fn a_full_queue_refuses_at_once_and_keeps_what_it_holds() {
    let app = App::starting_in("full", 3_000).set("hold: {maxRequests: 2}");
    let reveille = start(&[&app]);
    let mut held: Vec<Conn> = (0..2).map(|_| Conn::open(app.listen)).collect();
    for conn in &mut held {
        conn.send_get("/held");
    }
    reveille.admin.await_held("full", 2, SOON);
    let asked = Instant::now();
    let refused = get(app.listen, "/third");
    assert!(asked.elapsed() < secs(1), "refused after {:?}", asked.elapsed());
    let detail = problem(&refused, 503);
    assert!(detail.contains("full"), "it names the app: {detail}");
    assert!(refused.retry_after().is_some_and(|after| after >= 1), "{:?}", refused.head);
    for conn in &mut held {
        assert_eq!(conn.answer().status(), 200);
    }
    assert_eq!(app.requests("/third"), 0);
    assert_eq!(reveille.admin.metric("reveille_rejected_requests_total", &[("app", "full")]), 1.0);
    reveille.stop();
}

#[test]
fn no_place_at_all_still_wakes_the_app() {
    let app = App::starting_in("none", 300).set("hold: {maxRequests: 0}");
    let reveille = start(&[&app]);
    let refused = get(app.listen, "/first");
    problem(&refused, 503);
    assert!(refused.retry_after().is_some());
    reveille.admin.await_phase("none", "Awake", SOON);
    assert_eq!(get(app.listen, "/second").status(), 200);
    reveille.stop();
}

#[test]
fn the_bytes_that_are_held_are_bounded() {
    let app = App::starting_in("bytes", 2_000).set("hold: {maxBytes: 16Ki}");
    let reveille = start(&[&app]);
    let padding = "p".repeat(6 * 1024);
    let mut conns: Vec<Conn> = (0..6).map(|_| Conn::open(app.listen)).collect();
    for conn in &mut conns {
        conn.send(format!("GET /held HTTP/1.1\r\nHost: a\r\nX-Padding: {padding}\r\n\r\n"));
    }
    let statuses: Vec<u16> = conns.iter_mut().map(|conn| conn.answer().status()).collect();
    let served = statuses.iter().filter(|&&status| status == 200).count();
    let refused = statuses.iter().filter(|&&status| status == 503).count();
    assert!((1..=2).contains(&served) && served + refused == 6, "16 KiB of 6 x 6 KiB: {statuses:?}");
    reveille.stop();
}

#[test]
fn one_app_never_takes_the_places_of_all() {
    let (first, second) = (App::starting_in("first", 3_000), App::starting_in("second", 3_000));
    let reveille = Reveille::start_with(&file(&[&first, &second]), &["--hold-max-requests", "8"]);
    let mut greedy: Vec<Conn> = (0..20).map(|_| Conn::open(first.listen)).collect();
    for conn in &mut greedy {
        conn.send_get("/greedy");
    }
    let mut modest = Conn::open(second.listen);
    modest.send_get("/modest");
    let served = greedy.iter_mut().filter_map(|conn| (conn.answer().status() == 200).then_some(())).count();
    assert!((1..=4).contains(&served), "{served} of 8 places for one app");
    assert_eq!(modest.answer().status(), 200);
    reveille.stop();
}

#[test]
fn a_passed_deadline_is_a_504() {
    let app = App::starting_in("late", 600_000).set("wake: {deadline: 1s}");
    let reveille = start(&[&app]);
    let asked = Instant::now();
    let answer = get(app.listen, "/");
    let waited = asked.elapsed();
    let detail = problem(&answer, 504);
    assert!(detail.contains("late"), "it names the app: {detail}");
    assert!((ms(900)..secs(5)).contains(&waited), "waited {waited:?}");
    // The request's deadline and that of the wake pass at the same time; either may be first.
    let failed =
        || reveille.admin.metric("reveille_wakes_total", &[("app", "late"), ("outcome", "deadline")]);
    until("the wake has failed", SOON, || failed() == 1.0);
    reveille.admin.await_phase("late", "Asleep", SOON);
    reveille.stop();
}

#[test]
fn an_early_answer_comes_when_asked_for_and_the_wake_goes_on() {
    let app = App::starting_in("early", 2_500).set("hold: {answerAfter: 1s}");
    let reveille = start(&[&app]);
    let asked = Instant::now();
    let answer = get(app.listen, "/");
    problem(&answer, 503);
    assert!(answer.retry_after().is_some_and(|after| after >= 1), "{:?}", answer.head);
    assert!((ms(900)..ms(2_400)).contains(&asked.elapsed()), "answered after {:?}", asked.elapsed());
    reveille.admin.await_phase("early", "Awake", SOON);
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_wake_that_fails_tells_clients_the_reason_and_only_the_owner_the_output() {
    let app = App::starting_in("broken", 300).env("SLOW_EXIT", "3");
    let reveille = start(&[&app]);
    let mut held: Vec<Conn> = (0..10).map(|_| Conn::open(app.listen)).collect();
    let asked = Instant::now();
    for conn in &mut held {
        conn.send_get("/");
    }
    for conn in &mut held {
        let answer = conn.answer();
        let detail = problem(&answer, 502);
        assert!(detail.contains("broken") && detail.contains('3'), "it names app and exit code: {detail}");
        assert!(!answer.text().contains(SECRET), "the app's output went to a client: {}", answer.text());
        assert!(answer.retry_after().is_some(), "{:?}", answer.head);
    }
    assert!(asked.elapsed() < secs(5), "at once, not after {:?}", asked.elapsed());
    assert_eq!(app.starts(), 1, "one attempt for all");
    let status = reveille.admin.app("broken");
    assert_eq!(status["wake"]["outcome"]["result"], "failed", "{status}");
    assert_eq!(status["wake"]["outcome"]["kind"], "exitedEarly", "{status}");
    assert!(status["wake"]["outcome"]["output"].to_string().contains(SECRET), "{status}");
    reveille.stop();
}

#[test]
fn crash_back_off_refuses_at_once_and_ends() {
    let mut app = App::slow("flaky").env("SLOW_EXIT", "7");
    let flag = app.folder().join("broken");
    app = app.env("SLOW_EXIT_IF", &flag.display().to_string());
    std::fs::write(&flag, "").unwrap();
    let reveille = start(&[&app]);
    problem(&get(app.listen, "/"), 502);
    problem(&get(app.listen, "/"), 502);
    let starts = app.starts();
    let asked = Instant::now();
    let refused = get(app.listen, "/");
    if app.starts() == starts {
        problem(&refused, 502);
        assert!(asked.elapsed() < secs(1), "refused after {:?}", asked.elapsed());
        assert!(refused.retry_after().is_some_and(|after| (1..=4).contains(&after)), "{:?}", refused.head);
    }
    std::fs::remove_file(&flag).unwrap();
    let answer = loop {
        let answer = get(app.listen, "/");
        let Some(after) = answer.retry_after() else { break answer };
        assert!(after <= 8 && asked.elapsed() < secs(30), "Retry-After: {after}");
        pause(secs(after));
    };
    assert_eq!(answer.status(), 200);
    reveille.stop();
}

#[test]
fn many_requests_during_back_off_start_nothing() {
    let app = App::slow("crashing").env("SLOW_EXIT", "1");
    let reveille = start(&[&app]);
    for _ in 0..4 {
        // Each failure doubles the pause; by hand it need not be waited for here.
        problem(&get(app.listen, "/"), 502);
        if reveille.admin.app("crashing")["retryInMs"].as_u64().unwrap_or(0) > 1_500 {
            break;
        }
        pause(ms(1_100));
    }
    let starts = app.starts();
    let asked = Instant::now();
    let mut refused = 0;
    while asked.elapsed() < ms(500) {
        problem(&get(app.listen, "/"), 502);
        refused += 1;
    }
    assert_eq!(app.starts(), starts, "started during the pause, after {refused} requests");
    reveille.stop();
}

#[test]
fn a_taken_upstream_port_is_named() {
    let app = App::slow("taken");
    let reveille = start(&[&app]);
    let squatter = TcpListener::bind(("127.0.0.1", app.upstream)).unwrap();
    let answer = get(app.listen, "/");
    let detail = problem(&answer, 502);
    assert!(detail.contains(&app.upstream.to_string()), "it names the port: {detail}");
    let status = reveille.admin.app("taken");
    assert_eq!(status["wake"]["outcome"]["kind"], "portTaken", "{status}");
    drop(squatter);
    reveille.stop();
}

#[test]
fn an_app_that_closes_instead_of_answering_is_a_502() {
    let app = App::slow("closing").env("SLOW_NAME", "x");
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send_post("/reset", "once");
    problem(&conn.answer(), 502);
    assert_eq!(app.requests("/reset"), 1, "a POST that was delivered is not repeated");
    assert_eq!(conn.get("/after").status(), 200, "the client's connection goes on");
    reveille.stop();
}

#[test]
fn timeouts_of_the_answer_are_504_or_cut_the_stream() {
    let app = App::slow("timed").set("timeouts: {responseHeader: 300ms, streamIdle: 400ms}");
    let reveille = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    problem(&get(app.listen, "/slow?ms=3000"), 504);
    assert_eq!(get(app.listen, "/drip?bytes=5&ms=100").body.len(), 5);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/drip?bytes=5&ms=3000");
    assert_eq!(conn.head().unwrap().status, 200);
    assert!(conn.is_closed_within(secs(2)), "a stream that is idle for too long is cut");
    reveille.stop();
}

#[test]
fn a_port_that_the_app_does_not_serve_is_refused_and_does_not_disturb_the_other() {
    let app = App::slow("half");
    let dead = reveille_tests_local::ports::free();
    let ports = format!(
        "ports: [{{listen: \"127.0.0.1:{}\", upstream: \"127.0.0.1:{}\"}}, {{listen: \"127.0.0.1:{dead}\"}}]",
        app.listen, app.upstream
    );
    let app = app.set(&ports);
    let reveille = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    let detail = problem(&get(dead, "/"), 502);
    assert!(detail.contains("takes no connection"), "{detail}");
    assert_eq!(get(app.listen, "/after").status(), 200);
    assert_eq!(app.starts(), 1);
    reveille.stop();
}
