//! Runs the checker, and says what it found.

use std::{fs::OpenOptions, io::Write, time::Instant};

use reveille_core::invariants::Promise;
use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    action::Action,
    model::{Protocol, REACHED, sorted},
};

/// Says what was measured: on standard error past the test runner's capture, and in the file that
/// `REVEILLE_TEST_REPORT` names.
pub fn figure(name: &str, text: &str) {
    let line = format!("figure: model {name}: {text}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("REVEILLE_TEST_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("REVEILLE_TEST_REPORT can be written");
    }
}

/// Goes through every state and checks that every promise holds, and that what has to be possible is: else the
/// promises would mean little.
///
/// # Panics
/// If not, with the actions that lead there.
pub fn holds(name: &str, protocol: Protocol) {
    let start = Instant::now();
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).symmetry_fn(sorted);
    // In depth: fewer states wait to be looked at.
    let checker = checker.spawn_dfs().join();
    let found = checker.discoveries();
    for promise in Promise::ALL {
        if let Some(path) = found.get(promise.name()) {
            let actions = path.clone().into_actions();
            panic!(
                "{name}: \"{}\" does not hold: {}\n{}",
                promise.name(),
                promise.statement(),
                shown(&actions)
            );
        }
    }
    for reached in REACHED {
        assert!(found.contains_key(reached), "{name}: no run {reached}");
    }
    let text = format!(
        "all promises hold in {} states, {} steps, runs of up to {} steps; {:.1} s",
        grouped(checker.unique_state_count()),
        grouped(checker.state_count()),
        checker.max_depth() - 1,
        start.elapsed().as_secs_f64()
    );
    figure(name, &text);
}

/// Searches in breadth for a run that breaks the promise, so that none is shorter.
pub fn counterexample(protocol: Protocol, promise: Promise) -> Option<Vec<Action>> {
    let wanted = HasDiscoveries::AnyOf([promise.name()].into());
    let checker = protocol.checker().finish_when(wanted).spawn_bfs().join();
    checker.discovery(promise.name()).map(|path| path.into_actions())
}

/// Checks that the promise is broken, and reports by how short a run. With `REVEILLE_MODEL_TRACES` set, which.
///
/// # Panics
/// If it holds.
pub fn breaks(name: &str, protocol: Protocol, promise: Promise) -> Vec<Action> {
    let Some(actions) = counterexample(protocol, promise) else {
        panic!(
            "{name}: \"{}\" holds all the same: the step is redundant, or the bounds are too small",
            promise.name()
        );
    };
    figure(name, &format!("breaks \"{}\" in {} steps", promise.name(), actions.len()));
    if std::env::var_os("REVEILLE_MODEL_TRACES").is_some() {
        let _ = write!(std::io::stderr(), "{}", shown(&actions));
    }
    actions
}

/// The actions, one a line.
pub fn shown(actions: &[Action]) -> String {
    actions.iter().map(|action| format!("    {action:?}\n")).collect()
}

/// A number with its thousands set apart.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
