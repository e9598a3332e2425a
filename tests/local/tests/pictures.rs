//! What `deploy/` holds to look at Reveille with: the Grafana dashboard and the Prometheus rules. That they are well
//! made, that they fit the metrics and the documentation, and that a real run shows in them.

mod dashboard;
mod real;
mod rules;

use std::{fs, path::Path, process::Command};

use reveille_tests_local::{product, prometheus::repository, report::skipped};
use serde_json::Value;

const DASHBOARD: &str = "deploy/grafana/reveille.json";
const RULES: &str = "deploy/prometheus/rules.yaml";
const RULES_TEST: &str = "deploy/prometheus/rules_test.yaml";

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn the_dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// Everything that draws something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().unwrap();
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap()
}

/// The queries of a panel, as written.
fn queries(panel: &Value) -> Vec<&str> {
    let targets = panel["targets"].as_array().unwrap();
    targets.iter().map(|target| target["expr"].as_str().unwrap()).collect()
}

/// A query as Grafana sends it, for all apps.
fn filled_in(query: &str, interval: &str, range: &str) -> String {
    let filled = query
        .replace("$__rate_interval", interval)
        .replace("$__range", range)
        .replace("$namespace", ".*")
        .replace("$app", ".*");
    assert!(!filled.contains('$'), "a variable that the dashboard does not have: {query}");
    filled
}

/// Runs promtool and shows what it says when it is not content; false if there is none.
#[track_caller]
fn promtool(test: &str, arguments: &[&str], file: &Path) -> bool {
    let Some(promtool) = product::find("promtool") else {
        skipped(test, "promtool is not installed (`scripts/need.sh promtool`)");
        return false;
    };
    let output = Command::new(promtool).args(arguments).arg(file).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool: {} {said}", output.status);
    true
}

/// The names of metrics that a text speaks of: Reveille's, and those of a process.
fn metrics(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words
        .filter(|word| word.starts_with("reveille_") || word.starts_with("process_"))
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
        .collect()
}

/// Fails for each metric of these queries that the reference does not have.
#[track_caller]
fn are_documented<'a>(queries: impl IntoIterator<Item = &'a str>) {
    let reference = read("docs/reference/metrics.md");
    for query in queries {
        for metric in metrics(query) {
            assert!(
                reference.contains(&format!("`{metric}`")),
                "docs/reference/metrics.md lacks {metric}: {query}"
            );
        }
    }
}
