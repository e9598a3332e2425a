//! The dashboard as a file: what Grafana would only show to whoever looks.

use std::collections::HashSet;

use reveille_tests_local::scratch::Scratch;
use serde_json::{Value, json};

use super::{are_documented, filled_in, panels, promtool, queries, the_dashboard, title};

/// What every Grafana has without a plugin.
const CORE: [&str; 5] = ["bargauge", "stat", "state-timeline", "table", "timeseries"];
const COLUMNS: u64 = 24;

#[test]
fn it_is_the_same_one_wherever_it_is_loaded() {
    let dashboard = the_dashboard();
    // Links and updates go by it.
    assert_eq!(dashboard["uid"], "reveille");
    assert!(dashboard.get("id").is_none(), "an id is one Grafana's own");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "namespace", "app"]);
    are_documented(variables[1..].iter().map(|variable| variable["query"]["query"].as_str().unwrap()));
}

#[test]
fn every_panel_has_its_place_a_description_and_a_unit() {
    let dashboard = the_dashboard();
    let everything = dashboard["panels"].as_array().unwrap();
    let ids: HashSet<_> = everything.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), everything.len(), "an id is there twice");
    let titles: HashSet<_> = everything.iter().map(title).collect();
    assert_eq!(titles.len(), everything.len(), "a title is there twice");
    let mut taken = HashSet::new();
    for panel in everything {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < COLUMNS, "{}: beyond the right edge", title(panel));
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}: on top of another panel", title(panel));
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = title(panel);
        assert!(CORE.contains(&panel["type"].as_str().unwrap()), "{title}: needs a plugin");
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{title}: no description");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}: no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}: no query");
        let letters: HashSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(letters.len(), targets.len(), "{title}: a refId is there twice");
        assert!(targets.iter().all(|target| target["datasource"]["uid"] == "${datasource}"), "{title}");
    }
}

#[test]
fn every_query_of_apps_obeys_the_variables() {
    for panel in panels(&the_dashboard()) {
        for query in queries(panel) {
            let of_apps = query.contains("by (namespace, app") || query.contains("$namespace");
            let selectors = query.matches(r#"namespace=~"$namespace", app=~"$app""#).count();
            let series = query.matches("reveille_").count();
            assert!(!of_apps || selectors == series, "{}: {query}", title(panel));
        }
    }
}

#[test]
fn every_query_parses_and_asks_for_metrics_that_there_are() {
    let dashboard = the_dashboard();
    let all: Vec<_> = panels(&dashboard).into_iter().flat_map(queries).collect();
    are_documented(all.iter().copied());
    // promtool parses queries as parts of rules.
    let rules: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(n, query)| json!({"record": format!("query_{n}"), "expr": filled_in(query, "5m", "6h")}))
        .collect();
    let scratch = Scratch::new("queries");
    let file =
        scratch.write("queries.yaml", &json!({"groups": [{"name": "all", "rules": rules}]}).to_string());
    promtool(
        "pictures::dashboard::every_query_parses_and_asks_for_metrics_that_there_are",
        &["check", "rules"],
        &file,
    );
}
