//! `scheduled_scale_up`: in time, once, over a restart and over a kill.

use std::{fs, process::Command, time::Duration};

use nix::sys::signal::Signal;
use reveille_tests_local::{
    App, Reveille,
    app::file,
    http, ports, product,
    scratch::Scratch,
    until,
    wait::{ms, pause, secs},
};
use serde_json::{Value, json};

use super::scale::call;
use crate::support::SOON;

/// The time so many seconds from now, as `date` writes it.
fn from_now(seconds: i64) -> String {
    let date = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("{seconds} seconds")])
        .output()
        .unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

fn order(at: &str) -> Value {
    json!({"reason": "until morning", "scheduled_scale_up": at})
}

struct Bed {
    app: App,
    state: std::path::PathBuf,
    folder: Scratch,
}

impl Bed {
    fn new() -> Self {
        let folder = Scratch::new("state");
        let app = App::slow("web").set("idle: {ttl: never}");
        Self { app, state: folder.file("deep/state.json"), folder }
    }

    #[track_caller]
    fn start(&self) -> Reveille {
        Reveille::start_with(&file(&[&self.app]), &["--state", self.state.to_str().unwrap()])
    }
}

#[test]
fn it_wakes_the_app_in_time_and_is_shown_until_then() {
    let bed = Bed::new();
    let reveille = bed.start();
    for (at, says) in [(from_now(-5), "has passed"), (from_now(367 * 86_400), "more than a year ahead")] {
        let (status, body) = call(&reveille, "web", "scale-to-zero", Some(&order(&at)));
        assert_eq!(status, 400);
        assert!(body["error"].as_str().unwrap().contains(says), "{body}");
    }
    let at = from_now(4);
    let (status, body) = call(&reveille, "web", "scale-to-zero", Some(&order(&at)));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["deployment"]["scheduled_scale_up"], at);
    assert_eq!(call(&reveille, "web", "status", None).1["deployment"]["scheduled_scale_up"], at);
    let shown = String::from_utf8(reveille.cli(&["status", "web"]).stdout).unwrap();
    assert!(
        shown.contains(&format!("scheduled   wakes at {at}")) && shown.contains("until morning"),
        "{shown}"
    );
    let table = String::from_utf8(reveille.cli(&["status"]).stdout).unwrap();
    assert!(table.contains(&format!("* web: wakes at {at}")), "{table}");
    pause(secs(2));
    assert_eq!(bed.app.starts(), 0, "not too early");
    let took = reveille.admin.await_phase("web", "Awake", secs(8));
    assert!(took < secs(7), "{took:?}");
    until("it is written off", SOON, || reveille.admin.app("web")["schedule"].is_null());
    assert_eq!(reveille.admin.app("web")["wake"]["trigger"], "schedule: until morning");
    assert!(!fs::read_to_string(&bed.state).unwrap().contains("until morning"));
    reveille.stop();
}

#[test]
fn one_that_was_due_while_reveille_was_killed_comes_at_the_next_start_and_once() {
    let bed = Bed::new();
    let mut reveille = bed.start();
    assert_eq!(call(&reveille, "web", "scale-to-zero", Some(&order(&from_now(3)))).0, 200);
    reveille.signal(Signal::SIGKILL);
    reveille.await_end(SOON);
    drop(reveille);
    pause(ms(3500));
    assert_eq!(bed.app.starts(), 0);
    let reveille = bed.start();
    let took = reveille.admin.await_phase("web", "Awake", SOON);
    assert!(took < secs(5), "{took:?}");
    until("it is written off", SOON, || reveille.admin.app("web")["schedule"].is_null());
    reveille.stop();
    let reveille = bed.start();
    pause(Duration::from_secs(2));
    assert_eq!(reveille.admin.phase("web"), "Asleep", "it is done once");
    reveille.stop();
}

#[test]
fn one_that_is_not_due_survives_a_restart_and_later_calls_replace_it() {
    let bed = Bed::new();
    let reveille = bed.start();
    let (first, second) = (from_now(3600), from_now(7200));
    assert_eq!(call(&reveille, "web", "scale-to-zero", Some(&order(&first))).0, 200);
    reveille.stop();
    let reveille = bed.start();
    let scheduled = || call(&reveille, "web", "status", None).1["deployment"]["scheduled_scale_up"].clone();
    assert_eq!(scheduled(), first);
    assert_eq!(call(&reveille, "web", "scale-to-zero", Some(&order(&second))).0, 200);
    assert_eq!(scheduled(), second);
    let output = reveille.cli(&["wake", "web"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(scheduled(), Value::Null, "a wake by hand calls it off");
    reveille.stop();
}

#[test]
fn a_state_file_that_is_broken_is_put_aside() {
    let bed = Bed::new();
    fs::create_dir_all(bed.state.parent().unwrap()).unwrap();
    fs::write(&bed.state, "{\"version\": 1, \"sched").unwrap();
    let reveille = bed.start();
    assert!(reveille.log().contains("the state file cannot be understood"), "{}", reveille.log());
    assert!(bed.state.with_extension("json.broken").exists());
    reveille.stop();
}

#[test]
fn what_was_asked_by_hand_holds_over_a_kill_and_the_state_has_one_keeper() {
    let bed = Bed::new();
    let mut reveille = bed.start();
    let asleep = json!({"reason": "weekend", "wake_on_request": false});
    assert_eq!(call(&reveille, "web", "scale-to-zero", Some(&asleep)).0, 200);
    let yaml = format!("admin: 127.0.0.1:{}\n{}", ports::free(), file(&[&App::slow("other")]));
    let other = bed.folder.write("other.yaml", &yaml);
    let mut second = Command::new(product::reveille());
    second.args(["local", "--state"]).args([&bed.state, &other]).env("NO_COLOR", "1");
    let refused = second.output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains("another Reveille keeps its state in") && said.contains("--state FILE"), "{said}");
    reveille.signal(Signal::SIGKILL);
    reveille.await_end(SOON);
    drop(reveille);

    let reveille = bed.start();
    assert_eq!(http::get(bed.app.listen, "/").status(), 503, "requests do not wake it");
    assert_eq!(reveille.cli(&["wake", "web", "--wait"]).status.code(), Some(0));
    assert_eq!(http::get(bed.app.listen, "/").status(), 200);
    reveille.stop();
}
