//! Sleep and wake as asked for on the admin port.

use std::{thread, time::Instant};

use reveille_tests_local::{
    App, Conn, get, pause,
    wait::{ms, secs},
};

use crate::support::{SOON, problem, sleep, start, start_awake, wake};

#[test]
fn a_wake_by_hand_is_joined_by_requests_and_by_other_wakes() {
    let app = App::starting_in("joined", 800);
    let reveille = start(&[&app]);
    let first = reveille.admin.wake("joined");
    assert!(first.status() < 300, "{:?}", first.head);
    let id = reveille.admin.app("joined")["wake"]["id"].clone();
    assert!(id.is_string());
    assert!(reveille.admin.wake("joined").status() < 300);
    assert_eq!(get(app.listen, "/").status(), 200);
    let status = reveille.admin.app("joined");
    assert_eq!(status["wake"]["id"], id, "{status}");
    assert_eq!(status["wake"]["outcome"]["result"], "ready", "{status}");
    let steps = status["wake"]["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"Requested"), Some(&"Ready")), "{status}");
    assert_eq!(app.starts(), 1);
    assert!(reveille.admin.wake("joined").status() < 300, "a wake of what is awake changes nothing");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_sleep_by_hand_skips_the_ttl_and_the_next_request_wakes_it() {
    let app = App::slow("hand").set("idle: {ttl: never}");
    let reveille = start_awake(&app);
    let process = app.await_start(1, SOON);
    sleep(&reveille, "hand");
    assert!(!process.runs());
    assert_eq!(get(app.listen, "/").status(), 200);
    assert_eq!(app.starts(), 2);
    reveille.stop();
}

#[test]
fn a_sleep_by_hand_may_forbid_requests_to_wake() {
    let app = App::slow("down");
    let reveille = start_awake(&app);
    let body = r#"{"reason": "maintenance", "wake_on_request": false}"#;
    assert!(reveille.admin.sleep("down", Some(body)).status() < 300);
    reveille.admin.await_phase("down", "Asleep", SOON);
    assert_eq!(reveille.admin.app("down")["wakeOnRequest"], false);
    let asked = Instant::now();
    let detail = problem(&get(app.listen, "/"), 503);
    assert!(asked.elapsed() < secs(2), "refused after {:?}", asked.elapsed());
    assert!(detail.contains("down"), "{detail}");
    assert_eq!(app.starts(), 1);

    wake(&reveille, "down");
    assert_eq!(reveille.admin.app("down")["wakeOnRequest"], true);
    assert_eq!(get(app.listen, "/").status(), 200);
    reveille.stop();
}

#[test]
fn a_sleep_by_hand_waits_for_short_work() {
    let app = App::slow("short").set("idle: {ttl: never}");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/slow?ms=1200");
    app.await_request("/slow", SOON);
    sleep(&reveille, "short");
    assert_eq!(conn.answer().text(), "slow", "the work ended properly");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn a_sleep_by_hand_of_what_is_in_use_is_refused_after_ten_seconds() {
    let app = App::slow("used").set("idle: {ttl: never}");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    conn.send_get("/slow?ms=16000");
    app.await_request("/slow", SOON);
    let asked = Instant::now();
    let admin = reveille.admin;
    let refusal = thread::spawn(move || admin.sleep("used", None));
    // Others are not refused meanwhile, whether served now or held until the refusal.
    pause(ms(300));
    assert_eq!(get(app.listen, "/other").status(), 200);
    let detail = problem(&refusal.join().unwrap(), 409);
    assert!((secs(8)..secs(15)).contains(&asked.elapsed()), "refused after {:?}", asked.elapsed());
    assert!(detail.contains("used"), "{detail}");
    assert_eq!(conn.answer().text(), "slow");
    assert_eq!(app.starts(), 1);
    reveille.stop();
}

#[test]
fn what_is_not_there_or_not_understood_is_refused() {
    let app = App::slow("there");
    let reveille = start(&[&app]);
    let admin = reveille.admin;
    let detail = problem(&admin.call("POST", "/api/v1/apps/local/none/wake", None), 404);
    assert!(detail.contains("none"), "{detail}");
    problem(&admin.call("POST", "/api/v1/apps/local/none/sleep", None), 404);
    problem(&admin.call("GET", "/api/v1/apps/local/none", None), 404);
    problem(&admin.call("GET", "/api/v1/apps/other/there", None), 404);
    for body in ["{", "7", r#"{"wake_on_reqest": false}"#, r#"{"wake_on_request": "no"}"#] {
        let answer = admin.sleep("there", Some(body));
        assert!(matches!(answer.status(), 400 | 422), "{body}: {:?}", answer.head);
        problem(&answer, answer.status());
    }
    assert_eq!(admin.call("DELETE", "/api/v1/apps/local/there/wake", None).status(), 405);
    assert_eq!(admin.phase("there"), "Asleep");
    assert!(admin.sleep("there", None).status() < 300, "a sleep of what sleeps changes nothing");
    assert_eq!(app.starts(), 0);
    reveille.stop();
}

#[test]
fn an_app_that_never_sleeps_by_itself_stays() {
    let app = App::slow("never").set("idle: {ttl: never}");
    let short = App::slow("short").set("idle: {ttl: 100ms}");
    let floor = App::slow("floor").set("idle: {ttl: 100ms, minAwake: 1h}");
    let reveille = start(&[&app, &short, &floor]);
    for app in [&app, &short, &floor] {
        assert_eq!(get(app.listen, "/").status(), 200);
    }
    reveille.admin.await_phase("short", "Asleep", SOON);
    assert_eq!(reveille.admin.phase("never"), "Awake");
    assert_eq!(reveille.admin.phase("floor"), "Awake");
    reveille.stop();
}
