//! The rules as a file: promtool's own tests of them, and that an alert says enough to whoever it wakes.

use std::collections::HashSet;

use reveille_tests_local::prometheus::repository;

use super::{RULES, RULES_TEST, are_documented, promtool, read};

const REPOSITORY: &str = "https://github.com/reveille-dev/reveille/blob/main/";

/// Each alert: its name, and its lines.
fn alerts(rules: &str) -> Vec<(&str, &str)> {
    rules.split("- alert: ").skip(1).map(|alert| alert.split_once('\n').unwrap()).collect()
}

#[test]
fn promtool_accepts_them_and_their_tests_pass() {
    let test = "pictures::rules::promtool_accepts_them_and_their_tests_pass";
    if promtool(test, &["check", "rules"], &repository(RULES)) {
        promtool(test, &["test", "rules"], &repository(RULES_TEST));
    }
}

#[test]
fn each_alert_is_tested_where_it_fires_and_where_it_does_not() {
    let (rules, tests) = (read(RULES), read(RULES_TEST));
    let (mut fires, mut silent) = (HashSet::new(), HashSet::new());
    for case in tests.split("alertname: ").skip(1) {
        let name = case.split([',', '\n']).next().unwrap();
        if case.contains("exp_alerts: []") && !case.contains("exp_labels") {
            silent.insert(name);
        } else {
            fires.insert(name);
        }
    }
    let all: HashSet<_> = alerts(&rules).into_iter().map(|(name, _)| name).collect();
    assert!(all.len() >= 12, "{all:?}");
    assert_eq!(fires, all, "where each fires");
    assert_eq!(silent, all, "where each is silent");
}

#[test]
fn each_alert_says_what_happened_and_where_it_is_explained() {
    let rules = read(RULES);
    let operations = read("docs/operations.md");
    for (name, lines) in alerts(&rules) {
        for key in ["severity: ", "summary: ", "description: ", "runbook_url: "] {
            assert_eq!(lines.matches(key).count(), 1, "{name}: {key}");
        }
        let of_an_app = lines.contains("by (namespace, app") || lines.contains("namespace_app");
        assert!(!of_an_app || lines.contains("{{ $labels.app }}"), "{name} does not name the app");
        let link = lines.split("runbook_url: ").nth(1).unwrap().lines().next().unwrap();
        let (page, anchor) = link.strip_prefix(REPOSITORY).unwrap().split_once('#').unwrap();
        assert!(anchors(&read(page)).contains(&anchor.to_owned()), "{name}: there is no {page}#{anchor}");
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md lacks {name}");
    }
}

#[test]
fn they_ask_for_metrics_that_there_are() {
    let rules = read(RULES);
    let recorded: Vec<_> = rules.split("record: ").skip(1).map(|rule| rule.lines().next().unwrap()).collect();
    // What they record themselves is named otherwise.
    assert!(recorded.iter().all(|name| name.starts_with("namespace_app")), "{recorded:?}");
    let code = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    are_documented(code);
}

/// A page's headings as GitHub links to them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>()
        })
        .map(|words| words.replace(' ', "-"))
        .collect()
}
