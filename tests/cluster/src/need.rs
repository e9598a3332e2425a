//! Whether a test cluster can run on this machine, and if not, what to do about it.

use std::{path::Path, process::Command};

use crate::{node::runtime::CNI, places};

/// Programs that are run, and the package of Debian that each is in.
const PROGRAMS: &[(&str, &str)] = &[
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("runc", "runc"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("nginx", "nginx"),
    ("sysctl", "procps"),
    ("ldd", "libc-bin"),
];

/// What is missing, as a sentence with its remedy; none if nothing is.
pub fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("a test cluster needs Linux".to_owned());
    }
    if !nix::unistd::geteuid().is_root() {
        return Some("a test cluster needs root, for namespaces, mounts and control groups".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| find(program).is_none()) {
        return Some(format!("{program} is missing (apt-get install {package})"));
    }
    if !Path::new(CNI).join("ptp").exists() {
        return Some(format!("{CNI}/ptp is missing (apt-get install containernetworking-plugins)"));
    }
    let programs = places::programs();
    if !programs.exists() {
        let missing = programs.display();
        return Some(format!(
            "Kubernetes was not built: {missing} is missing (make cluster-bin; that needs Go 1.26 or later)"
        ));
    }
    cannot_be_isolated()
}

/// In most containers even root may not do this.
fn cannot_be_isolated() -> Option<String> {
    let sandbox = places::repository().join("tests/cluster/sandbox.sh");
    let output = Command::new(sandbox).arg("true").output().expect("a script of the repository runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default();
    (!output.status.success())
        .then(|| format!("no sandbox can be made: {said} (run on a machine, or in a privileged container)"))
}

/// Looks a program up in `PATH`, and where Debian keeps those of administrators.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
