//! Processes that no handle is left of: the shims of containers, which detach themselves, and what runs below them.

use std::{collections::BTreeMap, fs};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait::{secs, until};

/// Kills the processes that have `argument` among their arguments, with all that descends from them, and returns when
/// they are gone.
pub(crate) async fn kill_with_descendants(argument: &str) {
    until("killed processes are gone", secs(20), async || {
        let found = find(argument);
        for pid in &found {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL); // it may just have ended
        }
        found.is_empty()
    })
    .await;
}

fn find(argument: &str) -> Vec<i32> {
    let parents = parents();
    let is_root = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    let mut found: Vec<i32> = parents.keys().copied().filter(is_root).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, other)| **other == parent).map(|(pid, _)| pid));
        next += 1;
    }
    found
}

/// The parent of each process that has not ended.
fn parents() -> BTreeMap<i32, i32> {
    let pids = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, blanks and brackets too: what follows its last bracket is regular.
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?);
        (!matches!(state, "Z" | "X")).then(|| Some((pid, parent.parse().ok()?)))?
    })
    .collect()
}
