//! One run of one app as Reveille sees it: a handle on the guardian that runs it.
//!
//! The handle says what is wanted and hears what happened; a task of its own (`driver`) speaks with the
//! guardian, so that nothing is left undone when a handle is dropped or a future is cancelled.

mod driver;
mod orphans;

use std::{fmt, io, path::PathBuf, process::Stdio, time::Duration};

use nix::sys::signal::Signal;
use reveille_core::app::AppId;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use self::{driver::Driver, orphans::RunMark};
pub use super::output::Tail;
use super::{
    config::Command,
    guardian::{SUBCOMMAND, protocol::Start},
    output,
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Spawn<'a> {
    /// The program that becomes a guardian when its first argument says so: `/proc/self/exe`, but for tests.
    pub guardian_exe: PathBuf,
    /// Whose process it is, for the log.
    pub app: AppId,
    /// What is run.
    pub command: &'a Command,
    /// Added to the environment after the command's own, such as `PORT`.
    pub extra_env: Vec<(String, String)>,
}

/// What happened to the process. In order: [`Started`](Self::Started) and later [`Exited`](Self::Exited), or
/// [`CannotStart`](Self::CannotStart); then [`Gone`](Self::Gone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program runs. It may not serve yet.
    Started {
        /// Its first process.
        pid: u32,
    },
    /// The program could not be run at all.
    CannotStart {
        /// Why and what to do: a clause without a full stop that does not name the app.
        reason: String,
    },
    /// Its first process ended; whatever it left behind is being killed. The output is complete, unless
    /// somebody outside the app holds its end of the pipe.
    Exited(Exit),
    /// Nothing of it is left, neither process nor port: it may be started again.
    Gone,
}

/// How the first process ended. Displays as what follows the app's name: `exited with code 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// With its guardian, which somebody else had killed.
    GuardianLost,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(126) => f.write_str("exited with code 126 (from a shell: the program cannot be run)"),
            Self::Code(127) => f.write_str("exited with code 127 (from a shell: the program was not found)"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "was killed by {}", signal.as_str()),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
            Self::GuardianLost => {
                f.write_str("was killed because its guardian process (rv-guardian) had died")
            }
        }
    }
}

/// What the handle wants of the run. Only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Run,
    Terminate,
    Kill,
}

/// A handle on one run of one app. Dropping it kills the run, in the background: to know when its ports are
/// free, wait for [`Event::Gone`].
#[derive(Debug)]
pub struct Process {
    pid: Option<u32>,
    guardian_pid: u32,
    tail: Tail,
    /// A watch, since only the strongest wish counts; its end counts as [`Wish::Kill`].
    wish: watch::Sender<Wish>,
    events: mpsc::Receiver<Event>,
    gone: bool,
}

/// Starts a guardian that starts the app. Returns at once: the first [`Event`] says whether the app runs.
///
/// Must be called within a tokio runtime whose I/O and time drivers are enabled, and which lives as long as
/// the process is to: its end kills the app.
///
/// # Errors
/// If the guardian itself could not be started, such as for want of processes or open files.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Process> {
    let mark = RunMark::new();
    let Command { argv, program, env, working_dir, .. } = spawn.command;
    let own = env.iter().map(|(name, value)| (name.clone(), value.clone()));
    let start = Start {
        program: program.clone().into(),
        argv: argv.clone(),
        env: own.chain(spawn.extra_env.iter().cloned()).chain([mark.variable()]).collect(),
        working_dir: working_dir.clone().into(),
    };
    let mut guardian = tokio::process::Command::new(&spawn.guardian_exe)
        .arg0("rv-guardian")
        .arg(SUBCOMMAND)
        .arg(spawn.app.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0) // a terminal's Ctrl-C is for Reveille alone
        .spawn()?;
    let pipes = (guardian.stdin.take(), guardian.stdout.take(), guardian.stderr.take());
    let (Some(control), Some(report), Some(printed)) = pipes else {
        return Err(io::Error::other("the guardian's pipes are missing"));
    };
    let guardian_pid = guardian.id().ok_or_else(|| io::Error::other("the guardian has ended already"))?;
    let tail = Tail::default();
    let (wish, wishes) = watch::channel(Wish::Run);
    let (event_to, events) = mpsc::channel(driver::EVENTS);
    let output = tokio::spawn(output::follow(printed, tail.clone(), spawn.app.clone()));
    let driver = Driver::new(spawn.app.clone(), guardian, output, event_to, mark);
    tokio::spawn(driver.run(start.encode()?, control, report, wishes));
    Ok(Process { pid: None, guardian_pid, tail, wish, events, gone: false })
}

impl Process {
    /// The app's first process, once [`Event::Started`] was returned.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The guardian's process.
    pub fn guardian_pid(&self) -> u32 {
        self.guardian_pid
    }

    /// The last lines of output. Stays readable when the process is gone and the handle dropped.
    pub fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// Waits for the next event. After [`Event::Gone`] it is returned again and again.
    ///
    /// Cancel safe: if the future is dropped, as `tokio::select!` does, no event is lost.
    pub async fn event(&mut self) -> Event {
        if self.gone {
            return Event::Gone;
        }
        // The channel ends without `Gone` only when the runtime ends, and the app with it.
        let event = self.events.recv().await.unwrap_or(Event::Gone);
        match event {
            Event::Started { pid } => self.pid = Some(pid),
            Event::Gone => self.gone = true,
            Event::CannotStart { .. } | Event::Exited(_) => {}
        }
        event
    }

    /// Asks the app's process group to end, by SIGTERM. Returns at once; harmless if repeated or too late.
    pub fn terminate(&mut self) {
        self.raise(Wish::Terminate);
    }

    /// Kills the app and all its descendants, wherever they are. Returns at once; harmless if repeated.
    pub fn kill(&mut self) {
        self.raise(Wish::Kill);
    }

    /// Ends the run: SIGTERM, and SIGKILL to whatever is left after `grace`. Returns when nothing is left,
    /// with how the first process ended, unless that was returned by [`event`](Self::event) before.
    ///
    /// If the future is dropped, everything is killed at once.
    pub async fn stop(mut self, grace: Duration) -> Option<Exit> {
        let mut exit = None;
        self.terminate();
        if timeout(grace, self.until_gone(&mut exit)).await.is_err() {
            self.kill();
            self.until_gone(&mut exit).await;
        }
        exit
    }

    async fn until_gone(&mut self, exit: &mut Option<Exit>) {
        loop {
            match self.event().await {
                Event::Exited(how) => *exit = Some(how),
                Event::Gone => return,
                Event::Started { .. } | Event::CannotStart { .. } => {}
            }
        }
    }

    fn raise(&self, wish: Wish) {
        self.wish.send_if_modified(|now| {
            let rises = *now < wish;
            *now = wish.max(*now);
            rises
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_as_the_end_of_a_sentence() {
        assert_eq!(Exit::Code(1).to_string(), "exited with code 1");
        assert_eq!(Exit::Signal(9).to_string(), "was killed by SIGKILL");
        assert_eq!(Exit::Signal(40).to_string(), "was killed by signal 40");
        assert!(Exit::GuardianLost.to_string().contains("guardian"));
    }
}
