//! The CPU time of processes, as the kernel counts it: user and system time, in clock ticks of 10 ms.

use std::{fs, io, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::error::{Error, Result};

const TICK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    /// What these processes have used so far, all their threads included.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let path = format!("/proc/{pid}/stat");
            let stat = fs::read_to_string(&path).map_err(Error::of(format!("{path} cannot be read")))?;
            // The name, in parentheses, may contain anything; user and system time are the 14th and 15th field.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
            sum.user += TICK * ticks(11);
            sum.system += TICK * ticks(12);
        }
        Ok(sum)
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// Keeps the calling thread on core 1, where the load runs.
pub(crate) fn stay_on_load_core() -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(1)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// The processes below one, itself included.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        at += 1;
    }
    found
}
