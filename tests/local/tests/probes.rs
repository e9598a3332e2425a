//! Probes neither wake an app nor keep it awake.

use reveille_tests_local::{Answer, App, Conn, get, pause, until, wait::ms};

use crate::support::{SOON, problem, start, start_awake};

fn probe(port: u16, path: &str, agent: &str) -> Answer {
    let mut conn = Conn::open(port);
    conn.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n"));
    conn.answer()
}

#[test]
fn probes_of_a_sleeping_app_are_answered_and_do_not_wake_it() {
    let app = App::slow("asleep").set("probes: {paths: [/healthz, /status/*], userAgents: [my-monitor]}");
    let reveille = start(&[&app]);
    for agent in ["kube-probe/1.37", "GoogleHC/1.0", "ELB-HealthChecker/2.0"] {
        assert_eq!(probe(app.listen, "/", agent).status(), 200, "{agent}");
    }
    for (path, agent) in [
        ("/healthz", "curl/8"),
        ("/status/deep?full=1", "curl/8"),
        ("/", "my-monitor/2"),
        ("/", "Prometheus/3.1"),
    ] {
        let answer = probe(app.listen, path, agent);
        let detail = problem(&answer, 503);
        assert!(detail.to_lowercase().contains("asleep"), "{path} {agent}: {detail}");
    }
    assert_eq!(reveille.admin.phase("asleep"), "Asleep");
    assert_eq!(app.starts(), 0);
    assert_eq!(reveille.admin.metric("reveille_wakes_total", &[("app", "asleep")]), 0.0);

    assert_eq!(get(app.listen, "/healthz2").status(), 200, "a path that only looks like one wakes it");
    assert_eq!(app.starts(), 1);
    assert_eq!(probe(app.listen, "/healthz", "curl/8").text(), "ok", "awake, the app answers itself");
    assert_eq!(app.requests("/healthz"), 2);
    reveille.stop();
}

#[test]
fn probes_do_not_keep_an_app_awake() {
    let app = App::slow("probed").set("idle: {ttl: 700ms}").set("probes: {paths: [/healthz]}");
    let reveille = start_awake(&app);
    until("it falls asleep under probes", SOON, || {
        let _ = probe(app.listen, "/healthz", "kube-probe/1.37");
        pause(ms(50));
        reveille.admin.phase("probed") == "Asleep"
    });
    assert!(app.requests("/healthz") > 0, "they were passed on while it was awake");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn probes_that_are_told_to_wake_are_calls_like_any_other() {
    let app = App::slow("woken").set("probes: {paths: [/healthz], answer: wake}");
    let reveille = start(&[&app]);
    assert_eq!(probe(app.listen, "/healthz", "kube-probe/1.37").text(), "ok");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn probes_are_answered_as_the_app_says() {
    let up = App::slow("up").set("probes: {paths: [/healthz], answer: \"200\"}");
    let down = App::slow("down").set("probes: {answer: \"503\"}");
    let reveille = start(&[&up, &down]);
    assert_eq!(probe(up.listen, "/healthz", "curl/8").status(), 200);
    assert_eq!(probe(down.listen, "/", "kube-probe/1.37").status(), 503);
    assert_eq!(up.starts() + down.starts(), 0);
    reveille.stop();
}

#[test]
fn readiness_by_http_waits_for_the_path_and_not_for_the_port() {
    // nginx answers 404 for a file that is not there yet: it listens, and is not ready.
    let app = App::nginx("ready").set("wake: {readiness: {http: {path: /files/ready}}, deadline: 30s}");
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/");
    reveille.admin.await_held("ready", 1, SOON);
    assert!(conn.is_quiet_for(ms(500)), "answered before the app was ready");
    assert_eq!(reveille.admin.phase("ready"), "Waking");
    std::fs::write(app.folder().join("files/ready"), "yes").unwrap();
    assert_eq!(conn.answer().status(), 200);
    reveille.stop();
}

#[test]
fn a_probe_of_a_busy_app_is_passed_on_and_waits_behind_nobody() {
    let app = App::slow("busy").set("concurrency: 1").set("idle: {ttl: 5m}");
    let reveille = start_awake(&app);
    let mut first = Conn::open(app.listen);
    first.send_get("/slow?ms=60000");
    app.await_request("/slow", SOON);
    let mut second = Conn::open(app.listen);
    second.send_get("/second");
    reveille.admin.await_held("busy", 1, SOON);
    let answer = probe(app.listen, "/metrics", "Prometheus/3.1");
    assert_ne!(answer.status(), 503, "{}", answer.text());
    assert_eq!(app.requests("/metrics"), 1);
    assert_eq!(app.requests("/second"), 0, "the limit holds for work");
}
