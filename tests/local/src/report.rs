//! What a run has to tell besides green and red: what was skipped, and the figures.
//!
//! The lines go to standard error past the test runner's capture, and to the file that
//! `REVEILLE_TEST_REPORT` names, so that a script can repeat them at the end of a run.

use std::{fs::OpenOptions, io::Write};

/// Says that a test did not run, and why. Such a test returns at once; it proved nothing.
pub fn skipped(test: &str, reason: &str) {
    line(&format!("skipped: {test}: {reason}"));
}

/// Says what was measured.
pub fn figure(test: &str, text: &str) {
    line(&format!("figure: {test}: {text}"));
}

fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
    if let Some(path) = std::env::var_os("REVEILLE_TEST_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{text}")).expect("REVEILLE_TEST_REPORT can be written");
    }
}
