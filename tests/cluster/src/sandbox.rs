//! Entering the sandbox: this program is started again inside of it, see `sandbox.sh`.

use std::{env, ffi::OsString, io, os::unix::process::CommandExt as _, path::Path, process::Command};

use crate::places;

/// Set inside.
const INSIDE: &str = "REVEILLE_CLUSTER_INSIDE";

/// Whether this process is in the sandbox.
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Goes on as this same program in the sandbox. `pid` is a file for the pid whose namespaces `nsenter --net --mount`
/// enters. Returns only if that cannot be.
pub fn enter(pid: Option<&Path>) -> io::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut sandbox = Command::new(places::repository().join("tests/cluster/sandbox.sh"));
    sandbox.arg(program).args(env::args_os().skip(1)).env(INSIDE, "1").env("PATH", path());
    if let Some(pid) = pid {
        sandbox.env("REVEILLE_SANDBOX_PID", pid);
    }
    sandbox.exec()
}

/// With what Debian leaves out of an ordinary user's.
fn path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    env::join_paths(folders).expect("what was split can be joined")
}
