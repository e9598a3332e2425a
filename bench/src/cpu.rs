//! The CPU time of processes, all their threads included.

use std::{fs, io, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::clock_getcpuclockid,
    unistd::Pid,
};

use crate::error::{Error, Result};

/// The core of the load and the servers.
pub(crate) const LOAD_CORE: usize = 1;

/// The unit in which the kernel tells user time apart from system time. Their sum it counts in nanoseconds.
const TICK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) total: Duration,
    /// Exact to 10 ms a process.
    pub(crate) user: Duration,
}

impl Cpu {
    /// What these processes have used so far.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            sum.total += spent(*pid)?;
            let path = format!("/proc/{pid}/stat");
            let stat = fs::read_to_string(&path).map_err(Error::of(format!("{path} cannot be read")))?;
            // The name, in parentheses, may contain anything; user time is the 14th field.
            let fields = stat.rsplit(')').next().unwrap_or_default();
            let ticks = fields.split_whitespace().nth(11).and_then(|field| field.parse().ok());
            sum.user += TICK * ticks.unwrap_or(0);
        }
        Ok(sum)
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { total: self.total.saturating_sub(before.total), user: self.user.saturating_sub(before.user) }
    }
}

/// What one process has used so far, user and system time.
pub(crate) fn spent(pid: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()));
    let time = clock.and_then(nix::time::ClockId::now);
    time.map(Duration::from).map_err(Error::of(format!("the CPU time of process {pid} is unknown")))
}

/// Keeps the calling thread where the load runs.
pub(crate) fn stay_on_load_core() -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE)?;
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
