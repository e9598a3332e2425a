//! What a watcher sees of events.

#![expect(clippy::needless_pass_by_value, reason = "every caller makes it in place")]

use serde_json::{Value, json};

use super::{board::Board, lines::line, *};
use crate::output::color::Palette;

fn app(phase: &str, different: Value) -> Value {
    let mut app = json!({
        "namespace": "local", "name": "web", "phase": phase, "since": "2026-01-02T03:00:00Z", "replicas": 1,
        "inFlight": 0, "held": 0, "ttl": "30s", "listen": ["127.0.0.1:8081"], "wakeOnRequest": true,
    });
    for (field, value) in different.as_object().unwrap() {
        app[field] = value.clone();
    }
    app
}

fn event(name: &str, data: Value) -> SseEvent {
    SseEvent { name: name.to_owned(), id: "a-1".to_owned(), data: data.to_string() }
}

fn changed(kind: &str, second: u32, app: Value) -> SseEvent {
    event(kind, json!({"time": format!("2026-01-02T03:00:{second:02}Z"), "app": app}))
}

fn begin() -> SseEvent {
    event("apps", json!({"time": "2026-01-02T03:00:00Z", "apps": [app("Asleep", json!({}))]}))
}

#[test]
fn each_event_is_a_line() {
    let mut board = Board::default();
    let wake = json!({"id": "web-000001", "trigger": "3 requests", "started": "2026-01-02T03:00:01Z",
                      "steps": [{"step": "Requested", "afterMs": 0}, {"step": "Probing", "afterMs": 12}]});
    let mut failed = wake.clone();
    failed["outcome"] = json!({"result": "failed", "kind": "deadline", "reason": "too\u{1b}[2J slow"});
    for (event, wanted) in [
        (begin(), "2026-01-02T03:00:00.000Z web Asleep"),
        (
            changed("phase", 1, app("Waking", json!({"wake": wake}))),
            "2026-01-02T03:00:01.000Z web Waking (wake web-000001, by 3 requests)",
        ),
        (
            changed("wake", 2, app("Waking", json!({"wake": wake}))),
            "2026-01-02T03:00:02.000Z web wake web-000001: Probing after 12 ms",
        ),
        (
            changed("counts", 3, app("Waking", json!({"held": 3, "inFlight": 4}))),
            "2026-01-02T03:00:03.000Z web 4 in flight, 3 held",
        ),
        (
            changed("phase", 4, app("Asleep", json!({"wake": failed}))),
            "2026-01-02T03:00:04.000Z web Asleep: too\u{fffd}[2J slow",
        ),
        (
            changed("wake", 5, app("Asleep", json!({"wake": failed}))),
            "2026-01-02T03:00:05.000Z web wake web-000001 failed: too\u{fffd}[2J slow",
        ),
        (changed("later", 6, app("Asleep", json!({}))), "2026-01-02T03:00:06.000Z web changed"),
        (
            event("gone", json!({"time": "2026-01-02T03:00:07Z", "namespace": "local", "name": "web"})),
            "2026-01-02T03:00:07.000Z web gone",
        ),
    ] {
        let lines: Vec<_> = board.take(&event).iter().map(line).collect();
        assert_eq!(lines, [wanted]);
    }
    assert!(board.take(&event("phase", json!("nonsense"))).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_table_goes_on_with_time_and_stands_still_without_a_connection() {
    let mut board = Board::default();
    board.take(&begin());
    board.take(&changed(
        "phase",
        10,
        app("Awake", json!({"since": "2026-01-02T03:00:10Z", "sleepsInMs": 30_000})),
    ));
    tokio::time::advance(Duration::from_secs(5)).await;
    let lines = board.lines(80, 24, Palette::OFF, None);
    assert_eq!(lines[1], "web   Awake         1          0     0     5s        25s  127.0.0.1:8081");
    assert_eq!(lines[2], "apps: 1, as of 2026-01-02T03:00:15Z; Ctrl-C ends this");
    let lines = board.lines(80, 24, Palette::OFF, Some("why"));
    assert!(lines[1].contains(" 30s "), "{lines:?}");
    assert_eq!(lines[2], "connection lost, connecting again: why");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_many_apps_fits_the_terminal() {
    let apps: Vec<_> = (0..1000).map(|n| app("Asleep", json!({"name": format!("app-{n}")}))).collect();
    let mut board = Board::default();
    board.take(&event("apps", json!({"time": "2026-01-02T03:00:00Z", "apps": apps})));
    for height in [0, 1, 2, 3, 10, 24] {
        let lines = board.lines(40, height, Palette::OFF, None);
        assert!(lines.len() < height.max(3), "{height}: {}", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
    }
    let lines = board.lines(80, 10, Palette::OFF, None);
    assert_eq!(lines[7], "… 994 more lines; make the terminal higher");
}
