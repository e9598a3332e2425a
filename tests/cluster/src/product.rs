//! The `reveille` under test: built before the sandbox is entered, as there is no network in it. `REVEILLE_BIN` names another
//! one, such as a release.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{need, places};

/// The program, inside the sandbox.
pub fn program() -> PathBuf {
    binary()
}

/// Where it is found inside the sandbox.
pub(crate) fn binary() -> PathBuf {
    places::left_behind().join("bin/reveille")
}

/// The servers of `tests/local` that are apps of a cluster, too.
pub(crate) const SERVERS: [&str; 2] = ["slow_server", "echo_server"];

/// Where one of them is found inside the sandbox.
pub(crate) fn server(name: &str) -> PathBuf {
    places::left_behind().join("bin").join(name)
}

/// Builds it and the servers, as this program was built, and puts all to their places.
///
/// # Errors
/// What is wrong, and what says more.
pub fn build() -> Result<(), String> {
    let built = cargo_build()?;
    let program = env::var_os("REVEILLE_BIN").map_or_else(|| built.join("reveille"), PathBuf::from);
    let servers = SERVERS.iter().map(|name| (built.join(name), server(name)));
    for (program, place) in [(program, binary())].into_iter().chain(servers) {
        put(&program, &place).map_err(|error| format!("{} cannot be copied: {error}", program.display()))?;
    }
    Ok(())
}

/// Returns the folder of what was built.
fn cargo_build() -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| format!("this program does not know its file: {error}"))?;
    // target/debug/reveille-test-cluster, or target/debug/deps/cluster-0123456789abcdef
    let mut folders = this.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
    let (Some(folder), Some(target)) = (folders.next(), folders.next()) else {
        return Err(format!("{} does not lie in cargo's target folder", this.display()));
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "-p", "reveille-cli", "--bin", "reveille"]);
    cargo.args([
        "-p",
        "reveille-tests-local",
        "--bin",
        "slow_server",
        "--bin",
        "echo_server",
        "--target-dir",
    ]);
    cargo.arg(target).current_dir(places::repository()).stdin(Stdio::null());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().map_err(|error| format!("cargo does not run: {error}"))?;
    if !status.success() {
        return Err(format!("reveille does not build ({status}): `cargo build -p reveille-cli` says why"));
    }
    Ok(folder.to_owned())
}

/// Copies a program without what only a debugger reads: the cluster's files are in memory, several times over. Whoever runs
/// the one of before keeps that.
fn put(program: &Path, to: &Path) -> io::Result<()> {
    let new = to.with_extension(std::process::id().to_string());
    fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
    let stripped = need::find("strip").is_some_and(|strip| {
        let status = Command::new(strip).arg("--strip-debug").arg("-o").arg(&new).arg(program).status();
        status.is_ok_and(|status| status.success())
    });
    if !stripped {
        fs::copy(program, &new)?;
    }
    fs::rename(new, to)
}
