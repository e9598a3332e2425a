//! What an app's sleep saves: shown while it sleeps, and counted on after a restart.

use reveille_tests_local::{App, Reveille, app::file, scratch::Scratch, until};
use serde_json::Value;

use crate::support::SOON;

fn asleep_ms(app: &Value) -> u64 {
    app["asleepMs"].as_u64().unwrap()
}

fn amount(app: &Value) -> f64 {
    app["saved"]["amount"].as_str().unwrap().parse().unwrap()
}

#[test]
fn it_is_counted_over_a_restart_and_not_while_the_app_is_awake() {
    let folder = Scratch::new("saving");
    let state = folder.file("state.json");
    // 277 a second.
    let app =
        App::slow("web").set("idle: {ttl: never}").set("cost: {perReplicaHour: \"1000000\", currency: EUR}");
    let start = || Reveille::start_with(&file(&[&app]), &["--state", state.to_str().unwrap()]);
    let reveille = start();
    until("it has slept a while", SOON, || asleep_ms(&reveille.admin.app("web")) > 1_200);
    let shown = reveille.admin.app("web");
    assert_eq!((&shown["saved"]["currency"], &shown["saved"]["perHour"]), (&"EUR".into(), &"1000000".into()));
    let expected = asleep_ms(&shown) as f64 * 1_000_000.0 / 3_600_000.0;
    assert!((amount(&shown) - expected).abs() < 1.0, "{shown}: {expected}");

    reveille.admin.wake("web");
    reveille.admin.await_phase("web", "Awake", SOON);
    let awake = reveille.admin.app("web");
    assert_eq!(awake["saved"]["perHour"], Value::Null, "it costs now");
    until("time passes", SOON, || reveille.admin.metric("process_start_time_seconds", &[]) > 0.0);
    assert_eq!(asleep_ms(&reveille.admin.app("web")), asleep_ms(&awake));
    assert_eq!(amount(&reveille.admin.app("web")), amount(&awake));
    let counted = reveille.admin.metric("reveille_saved_cost_total", &[("app", "web"), ("currency", "EUR")]);
    assert!((counted - amount(&awake)).abs() < 1e-3, "{counted}");
    reveille.stop();

    let again = start();
    let shown = again.admin.app("web");
    assert!(asleep_ms(&shown) >= asleep_ms(&awake) && amount(&shown) >= amount(&awake), "{shown} {awake}");
    until("it goes on", SOON, || asleep_ms(&again.admin.app("web")) > asleep_ms(&shown));
    again.stop();
}
