//! `reveille check`: says everything that is wrong with a file, and starts nothing.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{exit::Exit, file};

/// Checks the file. Prints `reveille.yaml: ok, 2 apps` and returns 0, or prints its problems to stderr and
/// returns 64.
///
/// Addresses in use are noted, but are no fault of the file: Reveille itself may be running with it.
pub fn check(path: &Path) -> Exit {
    run(path, &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// A reader that left (`reveille check | head -0`) is no failure of the check: write errors are ignored.
fn run(path: &Path, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let config = match file::load(path) {
        Ok(config) => config,
        Err(problems) => {
            let _ = writeln!(err, "{}", problems.display("nothing would be started"));
            return Exit::BadConfig;
        }
    };
    if let Err(taken) = file::check_ports_free(&config) {
        let _ = write!(err, "{}", taken.lines());
        let _ = writeln!(err, "that is as it should be if Reveille is running with this file already");
    }
    let apps = config.apps.len();
    let _ = writeln!(out, "{}: ok, {apps} {}", path.display(), if apps == 1 { "app" } else { "apps" });
    Exit::Ok
}
