//! Where things are: the programs that Kubernetes was built into, the logs that outlive a cluster, and the state that
//! does not.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use nix::fcntl::{Flock, FlockArg};

/// In memory, and the sandbox's own: gone with it.
const STATE: &str = "/run/reveille";

/// The repository that this crate lies in.
pub fn repository() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("this crate lies in tests/cluster of the repository")
}

/// The folder of what a cluster leaves behind: `target/cluster`.
pub fn left_behind() -> PathBuf {
    repository().join("target/cluster")
}

/// Where the programs belong, whether or not they were built.
///
/// # Panics
/// If the script of the repository that knows it does not run.
pub fn programs() -> PathBuf {
    let script = repository().join("scripts/cluster-bin.sh");
    let output = Command::new(&script).arg("--path").output();
    let output = output.unwrap_or_else(|error| panic!("{} does not run: {error}", script.display()));
    assert!(
        output.status.success(),
        "{} --path: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// Whether no cluster of this checkout has this name.
pub fn is_free(name: &str) -> bool {
    lock(name).is_some()
}

/// Holds a name for as long as the lock lives, which is no longer than this process.
fn lock(name: &str) -> Option<Flock<File>> {
    let folder = left_behind();
    let path = folder.join(format!(".{name}.lock"));
    let file = fs::create_dir_all(folder).and_then(|()| File::create(&path));
    let file = file.unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// The folders of one cluster.
#[derive(Debug)]
pub struct Places {
    programs: PathBuf,
    logs: PathBuf,
    _lock: Flock<File>,
}

impl Places {
    /// Those of the cluster of this sandbox. `name` tells its logs from those of others: they are kept in
    /// `target/cluster/NAME`, which is emptied first.
    ///
    /// # Panics
    /// If the folders cannot be made, or another cluster of this checkout has that name.
    pub fn new(name: &str) -> Self {
        let lock = lock(name).unwrap_or_else(|| panic!("another cluster of this checkout runs as {name}"));
        let logs = left_behind().join(name);
        let _ = fs::remove_dir_all(&logs);
        for folder in [logs.as_path(), Path::new(STATE)] {
            fs::create_dir_all(folder)
                .unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
        }
        Self { programs: programs(), logs, _lock: lock }
    }

    /// A program that was built for the cluster.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The folder of the programs: containerd looks its shim up in `PATH`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// What outlives the cluster: logs, and what one needs to speak to it from outside.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The log of one program of the cluster.
    pub fn log(&self, program: &str) -> PathBuf {
        self.logs.join(format!("{program}.log"))
    }

    /// A path in the folder that ends with the sandbox. Short, because paths of sockets have to be.
    pub fn state(&self, name: &str) -> PathBuf {
        Path::new(STATE).join(name)
    }
}
