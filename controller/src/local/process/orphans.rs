//! Killing what a killed guardian left behind.
//!
//! The kernel kills the app's first process with its guardian. The rest is no longer anybody's descendant
//! and is found by two marks: it is in the app's process group, or the environment that it was started with
//! names the run. Neither is enough alone: `setsid` leaves the group, and a program that writes its title
//! over its environment (nginx) loses the other.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getsid},
};
use reveille_core::app::AppId;
use tokio::time::{Instant, sleep};

use crate::local::procfs::{self, Stat};

/// The variable that names the run in the environment of every process of it.
const VARIABLE: &str = "REVEILLE_RUN";

/// How long a killed process may take to be gone before it is given up and said so.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// How often to look whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Names one run among all runs of this machine since it started.
#[derive(Clone, Debug)]
pub(super) struct RunMark(String);

impl RunMark {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Self(format!("{}-{number}-{time:x}", std::process::id()))
    }

    /// As it is added to the app's environment.
    pub(super) fn variable(&self) -> (String, String) {
        (VARIABLE.into(), self.0.clone())
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        let entry = format!("{VARIABLE}={}", self.0);
        environment.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
    }
}

/// Kills everything that carries the marks, and waits until it is gone.
pub(super) async fn kill_all(app: &AppId, group: Option<i32>, mark: &RunMark) {
    // All of the app's group are in Reveille's own session: should the number name another group by now,
    // that one is most likely in another.
    let session = getsid(None).map_or(-1, Pid::as_raw);
    let in_group = |stat: &Stat| Some(stat.group) == group && stat.session == session;
    let marked = |stat: &Stat| procfs::environment(stat.pid).is_some_and(|found| mark.is_in(&found));
    let started = Instant::now();
    loop {
        let mut left = Vec::new();
        for stat in procfs::processes().filter(|stat| !stat.is_dead()) {
            if in_group(&stat) || marked(&stat) {
                let killed = kill(Pid::from_raw(stat.pid), Signal::SIGKILL).map_err(io::Error::from);
                left.push((stat, killed));
            }
        }
        if left.is_empty() {
            return;
        }
        if started.elapsed() > GIVE_UP_AFTER {
            tracing::error!(%app, ?left, "these processes of the app could not be killed; end them by hand");
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_whole_and_is_used_once() {
        let mark = RunMark("7-1-a".into());
        assert!(mark.is_in(b"A=b\0REVEILLE_RUN=7-1-a\0C=d\0"));
        assert!(!mark.is_in(b"A=b\0REVEILLE_RUN=7-1-ab\0C=d\0"));
        assert!(!mark.is_in(b""));
        assert_ne!(RunMark::new().0, RunMark::new().0);
    }
}
