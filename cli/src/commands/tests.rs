//! What the commands print about apps in every phase.

use jiff::Timestamp;
use reveille_core::{
    api::{AppList, AppStatus},
    wake::{Failure, FailureKind},
};
use serde_json::{Value, json};

use super::{
    status::{details, overview},
    wake::{Follower, Verdict, verdict},
};
use crate::output::color::Palette;

const NOW: &str = "2026-01-02T03:04:05Z";

/// An app that sleeps, and what is different about it.
#[expect(clippy::needless_pass_by_value, reason = "every caller makes it in place")]
fn app(name: &str, different: Value) -> AppStatus {
    let mut json = json!({
        "namespace": "local", "name": name, "phase": "Asleep", "since": "2026-01-02T03:00:00Z", "replicas": 0,
        "inFlight": 0, "held": 0, "ttl": "30s", "listen": ["127.0.0.1:8081"], "wakeOnRequest": true,
    });
    for (field, value) in different.as_object().unwrap() {
        json[field] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

fn wake(steps: &[(&str, u64)], outcome: Value) -> Value {
    let steps: Vec<_> = steps.iter().map(|(step, ms)| json!({"step": step, "afterMs": ms})).collect();
    let mut wake =
        json!({"id": "web-000001", "trigger": "request", "started": "2026-01-02T03:04:00Z", "steps": steps});
    if !outcome.is_null() {
        wake["outcome"] = outcome;
    }
    wake
}

fn failed() -> Value {
    json!({"result": "failed", "kind": "exitedEarly", "reason": "it ended with exit code 1 before it was ready",
           "output": ["line 1", "bind() failed\u{1b}[2J"]})
}

fn table(apps: Vec<AppStatus>) -> Vec<String> {
    overview(&AppList { time: NOW.parse().unwrap(), apps }, 80, Palette::OFF)
}

fn detailed(app: &AppStatus) -> String {
    details(app, NOW.parse::<Timestamp>().unwrap(), Palette::OFF).join("\n")
}

#[test]
fn the_table_of_a_few_apps() {
    let lines = table(vec![
        app("web", json!({})),
        app("api", json!({"phase": "Awake", "replicas": 1, "inFlight": 12, "held": 3, "sleepsInMs": 12_300})),
        app("cron", json!({"phase": "Awake", "replicas": 1, "ttl": "never", "listen": []})),
    ]);
    assert_eq!(
        lines,
        [
            "NAME  PHASE   REPLICAS  IN-FLIGHT  HELD  SINCE  SLEEPS-IN  LISTEN",
            "web   Asleep         0          0     0   4m5s          -  127.0.0.1:8081",
            "api   Awake          1         12     3   4m5s        12s  127.0.0.1:8081",
            "cron  Awake          1          0     0   4m5s      never  -",
        ]
    );
}

#[test]
fn the_table_of_a_cluster_says_the_namespaces() {
    let of = |namespace: &str, name: &str| app(name, json!({"namespace": namespace, "listen": []}));
    let mut waiting = of("ml", "web");
    waiting.problem = Some("it has no Service".into());
    let lines = table(vec![of("local", "web"), waiting, of("team-a", "triton")]);
    assert_eq!(
        lines,
        [
            "NAMESPACE  NAME    PHASE   REPLICAS  IN-FLIGHT  HELD  SINCE  SLEEPS-IN  LISTEN",
            "local      web     Asleep         0          0     0   4m5s          -  -",
            "ml         web     Asleep         0          0     0   4m5s          -  -",
            "team-a     triton  Asleep         0          0     0   4m5s          -  -",
            "! ml/web: it has no Service",
        ]
    );
}

#[test]
fn the_widest_apps_fit_80_columns_and_keep_their_ports() {
    let long = "x".repeat(63);
    let lines = table(vec![app(
        &long,
        json!({
            "namespace": "y".repeat(63), "phase": "FallingAsleep", "since": "2023-04-08T00:00:00Z",
            "replicas": u32::MAX, "inFlight": u64::MAX, "held": u64::MAX, "sleepsInMs": u64::MAX,
            "listen": ["[2001:db8:1111:2222:3333:4444:5555:6666]:65535", "127.0.0.1:1"],
            "wake": wake(&[], failed()),
        }),
    )]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");

    let lines = table(vec![app(
        &long,
        json!({
            "phase": "FallingAsleep", "since": "2023-04-08T00:00:00Z", "listen": ["192.168.100.200:65535"],
        }),
    )]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    assert!(lines[1].starts_with("xxxxx") && lines[1].ends_with(":65535"), "{lines:#?}");
    assert!(lines[1].contains(" FallingAsleep "), "{lines:#?}");
}

#[test]
fn no_apps_and_failed_ones() {
    assert_eq!(table(vec![]).len(), 1);
    let lines = table(vec![app("web", json!({"wake": wake(&[], failed())}))]);
    assert_eq!(lines[2], "! web: it ended with exit code 1 before it was ready");
}

#[test]
fn what_is_to_come_is_shown() {
    let kept = json!({
        "phase": "Awake", "awakeUntil": "2026-01-02T05:04:05.123Z",
        "schedule": {"at": "2026-01-03T03:04:05Z", "reason": "day\u{1b}[2J"},
    });
    let shown = detailed(&app("web", kept.clone()));
    assert!(shown.contains("\n  kept awake  until 2026-01-02T05:04:05Z, for another 2h\n"), "{shown}");
    assert!(
        shown.contains("\n  scheduled   wakes at 2026-01-03T03:04:05Z, in 1d: day\u{fffd}[2J"),
        "{shown}"
    );
    assert_eq!(table(vec![app("web", kept)])[2], "* web: wakes at 2026-01-03T03:04:05Z (day\u{fffd}[2J)");
}

#[test]
fn one_app_in_every_detail() {
    let awake = app(
        "web",
        json!({
            "phase": "Awake", "replicas": 1, "inFlight": 2, "sleepsInMs": 27_000, "hosts": ["web.localhost"],
            "pending": "the new command applies at the next wake",
            "wake": wake(&[("Requested", 0), ("Starting", 3), ("Ready", 412)], json!({"result": "ready"})),
        }),
    );
    assert_eq!(
        detailed(&awake),
        "\
web
  phase       Awake, for 4m5s
  replicas    1
  requests    2 in flight, 0 of them held
  sleeps in   27s if nobody calls (idle.ttl 30s)
  listen      127.0.0.1:8081
  hosts       web.localhost
  pending     the new command applies at the next wake
  last wake   web-000001, by request, 5s ago; ready
           0 ms  Requested
           3 ms  Starting
         412 ms  Ready"
    );

    let failed = app(
        "web",
        json!({
            "wakeOnRequest": false, "retryInMs": 4000, "wake": wake(&[("Requested", 0)], failed()),
        }),
    );
    assert_eq!(
        detailed(&failed),
        "\
web
  phase       Asleep, for 4m5s
  replicas    0
  requests    0 in flight, 0 of them held
  idle.ttl    30s
  listen      127.0.0.1:8081
  on request  stays asleep, as it was told; `reveille wake web` wakes it
  next try    in 4s at the earliest
  last wake   web-000001, by request, 5s ago; failed
           0 ms  Requested
  reason      it ended with exit code 1 before it was ready
  last output
    | line 1
    | bind() failed\u{fffd}[2J"
    );
}

#[test]
fn a_wake_is_followed_step_by_step() {
    let mut follower = Follower::default();
    let at = |steps: &[(&str, u64)]| app("web", json!({"phase": "Waking", "wake": wake(steps, Value::Null)}));
    assert_eq!(
        follower.news(&at(&[("Requested", 0)])),
        ["web is waking (wake web-000001)", "       0 ms  Requested"]
    );
    assert!(follower.news(&at(&[("Requested", 0)])).is_empty());
    let more = at(&[("Requested", 0), ("Starting", 3), ("Probing", 12)]);
    assert_eq!(follower.news(&more), ["       3 ms  Starting", "      12 ms  Probing"]);
}

#[test]
fn a_wake_ends_in_one_of_three_ways() {
    let of = |phase: &str, outcome: Value| {
        verdict(&app("web", json!({"phase": phase, "wake": wake(&[], outcome)})))
    };
    let ready = json!({"result": "ready"});
    assert_eq!(of("Waking", Value::Null), Verdict::Wait);
    assert_eq!(of("Awake", ready.clone()), Verdict::Ready);
    assert_eq!(of("Awake", Value::Null), Verdict::Ready);
    assert_eq!(of("Asleep", ready), Verdict::Gone);
    assert_eq!(of("Asleep", Value::Null), Verdict::Gone);
    let failure = Failure {
        kind: FailureKind::ExitedEarly,
        reason: "it ended with exit code 1 before it was ready".into(),
        output: vec!["line 1".into(), "bind() failed\u{1b}[2J".into()],
    };
    assert_eq!(of("FallingAsleep", failed()), Verdict::Failed(failure));
}
