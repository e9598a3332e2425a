//! What `/proc` says of other processes: their state, their group, their session, their environment.
//!
//! Everything here is a snapshot that may be out of date when it is read. A process that ends meanwhile, or
//! that may not be looked at, is left out.

use std::{fs, path::PathBuf};

/// One line of `/proc/PID/stat` (proc_pid_stat(5)), as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
}

impl Stat {
    /// Reads one process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        // A name may hold blanks and brackets: it ends at the last bracket.
        let (head, rest) = text.rsplit_once(')')?;
        let (pid, name) = head.split_once(" (")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut number = || fields.next()?.parse().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.into(),
            state,
            parent: number()?,
            group: number()?,
            session: number()?,
        })
    }

    /// Whether it has ended and only waits for its parent to notice: it holds no memory, file or port.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The ids of all processes, in no order.
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// All processes.
pub(crate) fn processes() -> impl Iterator<Item = Stat> {
    pids().filter_map(Stat::of)
}

/// The environment with which a process was started, as `NAME=value` entries, each ended by a NUL.
pub(crate) fn environment(pid: i32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// What a process's open files lead to.
pub(crate) fn open_files(pid: i32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let stat = Stat::parse("42 (a) Z 1 (b) S 7 41 40 34816 42 4194304 1").unwrap();
        assert_eq!((stat.pid, stat.name.as_str(), stat.state), (42, "a) Z 1 (b", 'S'));
        assert_eq!((stat.parent, stat.group, stat.session), (7, 41, 40));
        assert_eq!(Stat::parse("42 (half"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let me = i32::try_from(std::process::id()).unwrap();
        let stat = processes().find(|stat| stat.pid == me).unwrap();
        assert!(!stat.is_dead());
        assert!(environment(me).is_some());
        assert!(open_files(me).count() > 0);
    }
}
