//! Reading files that people name: those of keys and of state are read again and again, which only a regular file is good for,
//! and a pipe would hold whoever opens it for as long as nobody writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Opens a regular file, or a link to one, for reading. Never waits.
///
/// # Errors
/// If there is none that may be read, or it is something else.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Of a pipe that nobody writes: open at once instead of when somebody does.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file, so it could not be read again"))
}

/// Reads a regular file, or a link to one: as many bytes as there are, `limit` at most.
///
/// # Errors
/// As of [`open_regular`], or if it cannot be read to its end.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pipe_is_refused_at_once() {
        let folder = std::env::temp_dir().join(format!("reveille-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [pipe, file, link] = ["pipe", "file", "link"].map(|name| folder.join(name));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_regular(&pipe).unwrap_err().to_string().contains("no regular file"));
        assert_eq!(open_regular(&folder).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(open_regular(&file).is_ok() && open_regular(&link).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}
