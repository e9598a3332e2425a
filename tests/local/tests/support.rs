//! What several tests do alike.

use reveille_tests_local::{Answer, App, Reveille, app::file, wait::secs};

/// How long anything may take that should be quick, on a busy machine.
pub(crate) const SOON: std::time::Duration = secs(10);

/// Starts Reveille with these apps.
#[track_caller]
pub(crate) fn start(apps: &[&App]) -> Reveille {
    Reveille::start(&file(apps))
}

/// Starts Reveille with one app and wakes that.
#[track_caller]
pub(crate) fn start_awake(app: &App) -> Reveille {
    let reveille = start(&[app]);
    wake(&reveille, &app.name);
    reveille
}

/// Wakes an app by hand and waits until it is awake.
#[track_caller]
pub(crate) fn wake(reveille: &Reveille, name: &str) {
    let answer = reveille.admin.wake(name);
    assert!(answer.status() < 300, "wake: {:?} {}", answer.head, answer.text());
    reveille.admin.await_phase(name, "Awake", SOON);
}

/// Puts an app to sleep by hand and waits until it is asleep.
#[track_caller]
pub(crate) fn sleep(reveille: &Reveille, name: &str) {
    let answer = reveille.admin.sleep(name, None);
    assert!(answer.status() < 300, "sleep: {:?} {}", answer.head, answer.text());
    reveille.admin.await_phase(name, "Asleep", SOON);
}

/// Checks that an answer is a problem as RFC 9457 has it, with this status, and returns its detail.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status(), status, "{:?} {}", answer.head, answer.text());
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{:?}", answer.head);
    let body = answer.json();
    assert_eq!(body["status"], status, "{body}");
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
    body["detail"].as_str().expect("a problem has a detail").to_owned()
}

/// The fields that an echoed request had, by name.
pub(crate) fn echoed<'a>(echo: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let fields = echo["fields"].as_array().expect("an echo lists the fields");
    fields.iter().filter(|field| field[0] == name).filter_map(|field| field[1].as_str()).collect()
}
