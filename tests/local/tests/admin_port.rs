//! The admin port: health, metrics, and whom it refuses.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use reveille_tests_local::{
    Admin, Answer, App, Conn, Reveille, app::file, get, ports, product, report::skipped, until,
};

use crate::support::{SOON, problem, start};

fn ask(admin: Admin, request: &str) -> Answer {
    let mut conn = Conn::open(admin.port);
    conn.send(request);
    conn.answer()
}

#[test]
fn it_lives_and_is_ready() {
    let app = App::slow("web");
    let reveille = start(&[&app]);
    for path in ["/livez", "/readyz"] {
        assert_eq!(reveille.admin.call("GET", path, None).status(), 200, "{path}");
    }
    assert_eq!(reveille.admin.call("GET", "/nothing", None).status(), 404);
    reveille.stop();
}

#[test]
fn a_foreign_host_is_refused_so_that_no_web_page_steers_it() {
    let app = App::slow("web");
    let reveille = start(&[&app]);
    let port = reveille.admin.port;
    for host in
        ["evil.example", &format!("evil.example:{port}"), "127.0.0.1.evil.example", "localhost.evil.example"]
    {
        for request in ["GET /api/v1/apps", "POST /api/v1/apps/local/web/wake", "GET /metrics"] {
            let request = format!("{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
            problem(&ask(reveille.admin, &request), 403);
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "localhost".to_owned()] {
        let answer = ask(reveille.admin, &format!("GET /api/v1/apps HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{host}: {}", answer.text());
    }
    assert_eq!(app.starts(), 0);
    reveille.stop();
}

#[test]
fn a_foreign_origin_is_refused() {
    let app = App::slow("web");
    let reveille = start(&[&app]);
    let host = format!("127.0.0.1:{}", reveille.admin.port);
    let wake = |origin: &str| {
        let path = "/api/v1/apps/local/web/wake";
        let fields = format!("Host: {host}\r\nOrigin: {origin}\r\nContent-Length: 0\r\n");
        ask(reveille.admin, &format!("POST {path} HTTP/1.1\r\n{fields}\r\n"))
    };
    for origin in
        ["https://evil.example", "null", "http://127.0.0.1:1", &format!("http://{host}.evil.example")]
    {
        problem(&wake(origin), 403);
    }
    assert_eq!(app.starts(), 0);
    assert!(wake(&format!("http://{host}")).status() < 300, "its own pages may");
    reveille.stop();
}

#[test]
fn the_status_of_an_app_is_complete() {
    let app = App::slow("web").set("hosts: [web.localhost]");
    let gateway = format!("gateway: \"127.0.0.1:{}\"\n", ports::free());
    let reveille = Reveille::start(&(gateway + &file(&[&app])));
    let status = reveille.admin.app("web");
    assert_eq!((&status["namespace"], &status["name"]), (&"local".into(), &"web".into()));
    assert_eq!(status["listen"].as_array().map(Vec::len), Some(1), "{status}");
    assert!(status["listen"][0].as_str().unwrap().contains(&app.listen.to_string()), "{status}");
    assert_eq!(
        (&status["replicas"], &status["held"], &status["inFlight"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(status["hosts"], serde_json::json!(["web.localhost"]));
    reveille.stop();
}

#[test]
fn metrics_tell_what_happened() {
    let app = App::starting_in("measured", 300).set("idle: {ttl: 300ms}");
    let reveille = start(&[&app]);
    let admin = reveille.admin;
    for _ in 0..3 {
        assert_eq!(get(app.listen, "/").status(), 200);
    }
    assert_eq!(get(app.listen, "/status?code=404").status(), 404);
    admin.await_phase("measured", "Asleep", SOON);
    let app_is = ("app", "measured");
    let count = |name: &str, labels: &[(&str, &str)]| admin.metric(name, labels);
    until("all requests are counted", SOON, || count("reveille_requests_total", &[app_is]) == 4.0);
    assert_eq!(count("reveille_requests_total", &[app_is, ("code_class", "2xx")]), 3.0);
    assert_eq!(count("reveille_requests_total", &[app_is, ("code_class", "4xx")]), 1.0);
    assert_eq!(count("reveille_request_duration_seconds_count", &[app_is]), 4.0);
    assert_eq!(count("reveille_requests_in_flight", &[app_is]), 0.0);
    assert_eq!(count("reveille_held_requests", &[app_is]), 0.0);
    assert!(count("reveille_hold_duration_seconds_count", &[app_is]) >= 1.0);
    assert_eq!(count("reveille_wakes_total", &[app_is, ("outcome", "ready")]), 1.0);
    assert_eq!(count("reveille_wake_duration_seconds_count", &[app_is]), 1.0);
    assert!(count("reveille_wake_step_seconds_count", &[app_is]) >= 1.0);
    assert_eq!(count("reveille_app_phase", &[app_is, ("phase", "Asleep")]), 1.0);
    assert_eq!(count("reveille_app_phase", &[app_is]), 1.0, "in one phase at a time");
    assert!(count("reveille_sleeps_total", &[app_is]) >= 1.0);
    assert_eq!(count("reveille_build_info", &[]), 1.0);
    assert!(count("process_resident_memory_bytes", &[]) > 1e6);
    let text = admin.metrics();
    assert!(!text.contains("test.localhost"), "a Host is never a label");
    reveille.stop();
}

#[test]
fn metrics_are_clean_by_promtool() {
    let Some(promtool) = product::find("promtool") else {
        skipped(
            "metrics_are_clean_by_promtool",
            "promtool is not installed (`scripts/need.sh promtool` installs it)",
        );
        return;
    };
    let app = App::slow("web");
    let reveille = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(reveille.admin.metrics().as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {} {said}", output.status);
    reveille.stop();
}

#[test]
fn each_wake_and_sleep_is_one_line_of_the_log_with_its_id() {
    let app = App::slow("logged").set("idle: {ttl: 200ms}");
    let reveille = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    let id = reveille.admin.app("logged")["wake"]["id"].as_str().unwrap().to_owned();
    reveille.admin.await_phase("logged", "Asleep", SOON);
    assert!(reveille.log().contains(&id), "the log names the wake {id}");
    for line in reveille.log().lines().filter(|line| !line.trim().is_empty()) {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "a line that is no JSON although this is no terminal: {line}");
    }
    reveille.stop();
}
