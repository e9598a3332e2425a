//! Where the programs under test are. `reveille` is built once per run; `REVEILLE_BIN` names another one,
//! such as a release.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The folder of this build, such as `target/debug`.
fn build_folder() -> PathBuf {
    let test = env::current_exe().expect("a running test knows its own file");
    // target/debug/deps/local-0123456789abcdef
    test.ancestors().nth(2).expect("a test lies in the folder deps of its build").to_path_buf()
}

/// The `reveille` under test.
///
/// # Panics
/// If it does not build.
pub fn reveille() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        allow_many_files();
        if let Some(path) = env::var_os("REVEILLE_BIN") {
            return path.into();
        }
        let folder = build_folder();
        let target = folder.parent().expect("a build lies in the target folder");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "-p", "reveille-cli", "--bin", "reveille", "--target-dir"])
            .arg(target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdout(Stdio::null());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs: it started this test");
        assert!(status.success(), "reveille does not build: `cargo build -p reveille-cli` says why");
        folder.join("reveille")
    })
}

/// The slow-to-start server of this package.
pub fn slow_server() -> PathBuf {
    own("slow_server")
}

/// The server of this package for gRPC, WebSocket, TCP and HTTP/2.
pub fn echo_server() -> PathBuf {
    own("echo_server")
}

/// The scripted server of this package, for the differential test.
pub fn mirror_server() -> PathBuf {
    own("mirror_server")
}

fn own(program: &str) -> PathBuf {
    let path = build_folder().join(program);
    assert!(path.exists(), "{program} is missing; run the tests by `cargo test -p reveille-tests-local`");
    path
}

/// The nginx of this machine.
///
/// # Panics
/// If there is none, with what to install.
pub fn nginx() -> PathBuf {
    find("nginx").expect("nginx is missing: `apt-get install nginx`")
}

/// Looks a program up in `PATH`, and where Debian keeps servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Raises the soft limit of open files to the hard one: 1,000 clients and their server need more than the
/// usual 1,024, and children inherit it.
pub fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a soft limit may be raised to the hard one");
}
