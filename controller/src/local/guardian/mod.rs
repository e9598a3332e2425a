//! The guardian: a small single-threaded process between Reveille and one run of one app, whose only work is
//! that nothing of the app outlives that run.
//!
//! Why a process of its own: `PR_SET_PDEATHSIG` fires when the forking *thread* ends, which in a
//! multi-threaded parent is any time, and it reaches the first process alone: an nginx worker outlives its
//! master's SIGKILL and keeps the port. A guardian has one thread; it learns of Reveille's death, SIGKILL
//! included, by the end of a pipe; and as a subreaper it also gets hold of what left the app's process group.
//!
//! ```text
//! reveille ── control pipe ──> guardian ── PDEATHSIG ──> app's first process ─> its descendants
//!      └──── report pipe <────────┘                             (one process group, but for those that left it)
//! ```
//!
//! Invariant: `Report::Gone` is said, and the guardian ends, only when `waitpid` knows no child any more.
//! Whoever starts the app again after that finds its ports free.

mod children;
pub(crate) mod protocol;
mod setup;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{signal::Signal, signalfd::SignalFd},
    unistd::Pid,
};

use self::{
    children::Reaped,
    protocol::{Report, Start, TERMINATE},
    setup::Pipes,
};

/// The first word of the command line with which the program becomes a guardian.
pub const SUBCOMMAND: &str = "guardian";

/// While it kills, the guardian looks again at least this often: a process that was forked in the very
/// moment of the last look may have become its child unheard. Doubles from the first to the second.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(64)];

/// Where the guardian stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The app runs.
    Guarding,
    /// Everything must go. Looks again after the pause if nothing happens before.
    Killing(Duration),
}

/// What a guardian does instead of everything else that the program can do. Must be called on the process's
/// first thread, while it is the only one. The arguments are only there to be seen in a process list.
pub fn main(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if io::stdin().is_terminal() {
        let _ = writeln!(io::stderr(), "`{SUBCOMMAND}` is started by Reveille itself, never by hand");
        return ExitCode::from(2);
    }
    // There is nobody to tell but Reveille, and it notices the end of the report pipe.
    match setup::take_pipes().and_then(guard) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn guard(pipes: Pipes) -> io::Result<()> {
    let Pipes { control, report, output } = pipes;
    let mut report = Reports(report);
    let start = Start::read(&control)?;
    match launch(&start, output) {
        Ok((app, ends)) => {
            report.send(&Report::Started { pid: app.as_raw() });
            let mut guardian = Guardian { app, ends, control: Some(control), report, stage: Stage::Guarding };
            while guardian.look() {
                guardian.wait();
            }
        }
        Err(reason) => {
            report.send(&Report::CannotStart { reason });
            report.send(&Report::Gone);
        }
    }
    Ok(())
}

fn launch(start: &Start, output: OwnedFd) -> Result<(Pid, SignalFd), String> {
    let ends =
        setup::become_guardian().map_err(|error| format!("its guardian could not be set up: {error}"))?;
    let app = children::start(start, output).map_err(|error| children::explain(start, &error))?;
    Ok((app, ends))
}

/// The report pipe.
struct Reports(File);

impl Reports {
    fn send(&mut self, report: &Report) {
        // If Reveille is gone, the control pipe says so as well. A report is short: it is written whole.
        let _ = report.encode().and_then(|line| self.0.write_all(line.as_bytes()));
    }
}

struct Guardian {
    app: Pid,
    /// Readable when a child has ended.
    ends: SignalFd,
    /// `None` once it has ended.
    control: Option<File>,
    report: Reports,
    stage: Stage,
}

impl Guardian {
    /// Notices what has ended, and kills if that is due. Returns whether anything is left.
    fn look(&mut self) -> bool {
        loop {
            match children::reap(self.app) {
                Reaped::App(end) => {
                    self.report.send(&end);
                    self.stage = Stage::Killing(LOOK_AGAIN[0]);
                }
                Reaped::Other => {}
                Reaped::NoneNow => break,
                Reaped::NoneLeft => {
                    self.report.send(&Report::Gone);
                    return false;
                }
            }
        }
        if let Stage::Killing(pause) = &mut self.stage {
            children::kill_all();
            *pause = pause.saturating_mul(2).min(LOOK_AGAIN[1]);
        }
        true
    }

    /// Waits for something to happen, and obeys if it is an order.
    fn wait(&mut self) {
        let timeout = match self.stage {
            Stage::Guarding => PollTimeout::NONE,
            Stage::Killing(pause) => pause.try_into().unwrap_or(PollTimeout::ZERO),
        };
        let mut files = vec![PollFd::new(self.ends.as_fd(), PollFlags::POLLIN)];
        files.extend(self.control.as_ref().map(|control| PollFd::new(control.as_fd(), PollFlags::POLLIN)));
        // It fails with EINTR at most, after a SIGSTOP: then nothing is ready, and the loop comes back.
        let _ = poll(&mut files, timeout);
        let ready = |file: Option<&PollFd>| file.and_then(PollFd::any).unwrap_or(false);
        let ordered = ready(files.get(1));
        // Which child it was, `waitpid` says; this only makes the file unreadable again.
        while let Ok(Some(_)) = self.ends.read_signal() {}
        if ordered {
            self.obey();
        }
    }

    fn obey(&mut self) {
        let Some(mut control) = self.control.as_ref() else { return };
        let mut orders = [0; 64];
        match control.read(&mut orders) {
            Ok(0) => {
                self.control = None;
                if self.stage == Stage::Guarding {
                    // At one blow, so that no member sees another one die and does something about it.
                    children::signal_group(self.app, Signal::SIGKILL);
                    self.stage = Stage::Killing(LOOK_AGAIN[0]);
                }
            }
            Ok(length) if self.stage == Stage::Guarding && orders[..length].contains(&TERMINATE) => {
                children::signal_group(self.app, Signal::SIGTERM);
            }
            Ok(_) | Err(_) => {}
        }
    }
}
