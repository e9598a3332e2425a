//! `reveille check`: says everything that is wrong with a file, and starts nothing.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{exit::Exit, file};

/// Checks the file. Prints `reveille.yaml: ok, 2 apps` and returns 0, or prints its problems to stderr and
/// returns 64.
///
/// Addresses in use are noted, but are no fault of the file: Reveille itself may be running with it. Those that
/// cannot be listened on at all are, as `reveille local` would refuse them.
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
    let obstacles = file::obstacles(&config);
    if let Some(taken) = obstacles.in_use {
        let _ = write!(err, "{}", taken.lines());
        let _ = writeln!(err, "that is as it should be if Reveille is running with this file already");
    }
    if let Some(refused) = obstacles.refused {
        let _ = writeln!(err, "{}", refused.display("nothing would be started"));
        return Exit::BadConfig;
    }
    let apps = config.apps.len();
    let _ = writeln!(out, "{}: ok, {apps} {}", path.display(), if apps == 1 { "app" } else { "apps" });
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_ok_or_named_with_its_problems() {
        let path = std::env::temp_dir().join(format!("reveille-check-{}.yaml", std::process::id()));
        let app = "apps: [{name: web, command: [sh], ports: [{listen: 127.0.0.1:18081}]}]";
        // An address that no machine has (RFC 5737).
        let elsewhere = app.replace("127.0.0.1", "192.0.2.1");
        let mut printed = Vec::new();
        for text in [app, "apps: []", &elsewhere] {
            fs::write(&path, text).unwrap();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let exit = run(&path, &mut out, &mut err);
            let lines = [out, err]
                .map(|bytes| String::from_utf8(bytes).unwrap().replace(path.to_str().unwrap(), "FILE"));
            printed.push((exit, lines));
        }
        fs::remove_file(&path).unwrap();
        let [(good, [out, _]), (bad, [nothing, err]), (refused, [silent, why])] = printed.try_into().unwrap();
        assert_eq!((good, out.as_str()), (Exit::Ok, "FILE: ok, 1 app\n"));
        assert_eq!((bad, nothing.as_str()), (Exit::BadConfig, ""));
        let problem = "FILE:1:1: apps: no app is given; add one with a name, a command and a port";
        assert_eq!(err, format!("{problem}\n1 problem; nothing would be started\n"));
        assert_eq!((refused, silent.as_str()), (Exit::BadConfig, ""));
        assert!(
            why.contains("FILE:1:52: apps[0].ports[0].listen: 192.0.2.1 is no address of this machine"),
            "{why}"
        );
        assert!(why.ends_with("1 problem; nothing would be started\n"), "{why}");
    }
}
