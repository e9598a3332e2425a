//! The figures of a run, which a script repeats at its end.

use std::{fs::OpenOptions, io::Write as _};

/// Says what was measured: to standard error, and to the file that `REVEILLE_TEST_REPORT` names.
///
/// # Panics
/// If that file cannot be written.
pub fn figure(test: &str, text: &str) {
    let line = format!("figure: {test}: {text}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("REVEILLE_TEST_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("REVEILLE_TEST_REPORT can be written");
    }
}
