//! Where scheduled wakes are kept: in the folder that the system has for such things, under a name that tells the
//! configuration files of a machine apart. Not beside the configuration, which Reveille may often not write.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use reveille_controller::local::{check_state_file, lock_state_file};

use crate::exit::{CliError, Exit};

/// How much of a file's path is in the name, in bytes: a name may have 255.
const NAME_MAX: usize = 200;

/// Refuses a file that was named and is of no use. Of one that was not, the log says so: Reveille runs without it.
fn check(file: &Path) -> Result<(), CliError> {
    check_state_file(file).map_err(|error| {
        let message = format!("the state cannot be kept in {}: {error}", file.display());
        refused(
            message,
            "--state names a file that this user may write, in a folder that is there or can be made",
        )
    })
}

/// Keeps the file for this process until what is returned is dropped.
///
/// # Errors
/// If it was named and is of no use, or another Reveille has it: each would write over what the other has promised.
pub(super) fn keep(file: Option<&Path>, is_named: bool) -> Result<Option<File>, CliError> {
    let Some(file) = file else { return Ok(None) };
    if is_named {
        check(file)?;
    }
    match lock_state_file(file) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => {
            let message = format!("another Reveille keeps its state in {}", file.display());
            Err(refused(message, "end it, or give each a file of its own: --state FILE"))
        }
        // What keeps it from being locked keeps it from being written, too, and is said then.
        Err(_) => Ok(None),
    }
}

fn refused(message: String, hint: &str) -> CliError {
    CliError::new(Exit::BadConfig, message).details(["nothing was started".to_owned()]).hint(hint)
}

/// The state file: the one that is named, else one in systemd's `$STATE_DIRECTORY`, `$XDG_STATE_HOME/reveille` or
/// `~/.local/state/reveille`. None if there is no such folder.
pub(super) fn file(
    named: Option<&Path>,
    config: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let systemd = || {
        // There may be several, with colons between.
        let all = variable("STATE_DIRECTORY")?;
        absolute(OsStr::from_bytes(all.as_bytes().split(|byte| *byte == b':').next()?).to_owned())
    };
    let xdg = || Some(absolute(variable("XDG_STATE_HOME")?)?.join("reveille"));
    let home = || Some(absolute(variable("HOME")?)?.join(".local/state/reveille"));
    let folder = systemd().or_else(xdg).or_else(home)?;
    // A path that cannot be followed now names one file all the same.
    let config = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    Some(folder.join(name(&config)))
}

/// The path with `%` for `/`, as editors name what they keep of a file.
fn name(config: &Path) -> OsString {
    let bytes: Vec<u8> =
        config.as_os_str().as_bytes().iter().map(|byte| if *byte == b'/' { b'%' } else { *byte }).collect();
    let mut name = OsString::from_vec(bytes[bytes.len().saturating_sub(NAME_MAX)..].to_vec());
    name.push(".json");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(named: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        };
        let file = file(named.map(Path::new), Path::new("/nowhere/x/reveille.yaml"), variable);
        file.map(|file| file.display().to_string())
    }

    #[test]
    fn it_lies_where_the_system_has_such_things() {
        let home = ("HOME", "/home/a");
        for (named, variables, wanted) in [
            (Some("s.json"), &[home][..], Some("s.json")),
            (None, &[home], Some("/home/a/.local/state/reveille/%nowhere%x%reveille.yaml.json")),
            (None, &[home, ("XDG_STATE_HOME", "/s")], Some("/s/reveille/%nowhere%x%reveille.yaml.json")),
            (
                None,
                &[home, ("XDG_STATE_HOME", "relative")],
                Some("/home/a/.local/state/reveille/%nowhere%x%reveille.yaml.json"),
            ),
            (
                None,
                &[home, ("STATE_DIRECTORY", "/var/lib/r:/var/lib/q")],
                Some("/var/lib/r/%nowhere%x%reveille.yaml.json"),
            ),
            (None, &[], None),
            (None, &[("HOME", "")], None),
        ] {
            assert_eq!(found(named, variables).as_deref(), wanted, "{variables:?}");
        }
    }

    #[test]
    fn the_longest_path_makes_a_name() {
        let path = format!("/{}/reveille.yaml", "é".repeat(300));
        assert!(name(Path::new(&path)).len() <= 255);
    }
}
