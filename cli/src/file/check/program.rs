//! Finding an app's program when the file is read, so that its absence is known before the first request.

use std::{
    collections::HashMap,
    env, io,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use crate::file::hint::quote;

/// Where Debian and others keep servers such as nginx, often outside the `PATH` of users.
const SERVER_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Whether apps can run in `dir`.
pub(super) fn working_dir(dir: &Path) -> Result<(), String> {
    match dir.metadata() {
        Ok(metadata) if metadata.is_dir() => match access(dir, AccessFlags::X_OK) {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("{} cannot be entered: {}", dir.display(), error.desc())),
        },
        Ok(_) => Err(format!("{} is no folder", dir.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("there is no folder {}; make it, or correct the path", dir.display()))
        }
        Err(error) => Err(format!("{} cannot be read: {error}", dir.display())),
    }
}

/// The programs that were looked for: most apps of a file run one of few, in one folder.
#[derive(Default)]
pub(super) struct Found(HashMap<Wanted, Result<PathBuf, String>>);

#[derive(PartialEq, Eq, Hash)]
struct Wanted {
    name: String,
    path: Option<String>,
    working_dir: PathBuf,
}

impl Found {
    /// As [`find`] says, once for each program.
    pub(super) fn find(
        &mut self,
        name: &str,
        path: Option<&str>,
        working_dir: &Path,
    ) -> Result<PathBuf, String> {
        let wanted = Wanted {
            name: name.to_owned(),
            path: path.map(str::to_owned),
            working_dir: working_dir.to_owned(),
        };
        self.0.entry(wanted).or_insert_with_key(|w| find(&w.name, w.path.as_deref(), &w.working_dir)).clone()
    }
}

/// The file of the program `name`: a name with a `/` is a path from the working directory, any other is
/// looked for in `path` (the app's `PATH`, or Reveille's if None), and then where servers are.
fn find(name: &str, path: Option<&str>, working_dir: &Path) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("the program's name is empty".to_owned());
    }
    if name.contains('/') {
        // Without the `.` of `./program`, for the messages.
        let file: PathBuf = working_dir.join(name).components().collect();
        return match file.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                Err(format!("{} is a folder, not a program", file.display()))
            }
            Ok(_) if access(&file, AccessFlags::X_OK).is_ok() => Ok(file),
            Ok(_) => Err(format!("{0} is not executable; run chmod +x {0}", file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
                "there is no program {}; paths begin at the app's working directory",
                file.display()
            )),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        };
    }
    let path = path.map(Into::into).or_else(|| env::var_os("PATH")).unwrap_or_default();
    let dirs = env::split_paths(&path).chain(SERVER_DIRS.iter().map(PathBuf::from));
    let mut not_executable = None;
    for dir in dirs {
        let file = working_dir.join(dir).join(name);
        if !file.is_file() {
            continue;
        }
        if access(&file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        not_executable.get_or_insert(file);
    }
    match not_executable {
        Some(file) => Err(format!("{0} is not executable; run chmod +x {0}", file.display())),
        None if working_dir.join(name).is_file() => Err(format!(
            "program {} is not on PATH; for the file in the working directory write ./{name}",
            quote(name)
        )),
        None => Err(format!("program {} is not on PATH; install it, or write its whole path", quote(name))),
    }
}
