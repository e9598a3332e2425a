//! Processes as /proc shows them. A pid alone names no process for long, so one is named together with the
//! time at which it started.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// One process, even if its pid is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    start: u64,
}

/// What a line of /proc/PID/stat tells.
struct Stat {
    parent: u32,
    start: u64,
    zombie: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, blanks and brackets too: what follows its last bracket is regular.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start: stat(pid)?.start })
    }

    /// Whether it runs. A dead one that nobody has waited for does not.
    pub fn runs(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && !stat.zombie)
    }

    /// Its name and arguments.
    pub fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
    }

    /// Every process below it: children, their children, and so on.
    pub fn descendants(self) -> Vec<Self> {
        let all: Vec<(u32, Stat)> = fs::read_dir("/proc")
            .expect("/proc is mounted")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?)))
            .collect();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = all.iter().filter(|(_, stat)| stat.parent == parent.pid);
            found.extend(children.map(|(pid, stat)| Self { pid: *pid, start: stat.start }));
            next += 1;
        }
        found.split_off(1)
    }

    /// Its open files.
    pub fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        if self.runs() {
            let pid = i32::try_from(self.pid).expect("Linux keeps pids below 2^22");
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}
