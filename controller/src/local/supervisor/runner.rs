//! What a supervisor needs of the machine, narrow enough for a test to play it.

use std::{collections::HashSet, future::Future, io, net::SocketAddr, path::PathBuf};

use reveille_core::app::AppId;

use crate::local::{
    config::Command,
    process::{self, Event, Process, Spawn},
    upstream,
};

/// Starts processes and knows which ports are free.
pub(crate) trait Runner: Send + Sync + 'static {
    /// A process that it started.
    type Process: Running;

    /// Starts the command with these variables added to its environment.
    fn spawn(&self, app: &AppId, command: &Command, env: Vec<(String, String)>) -> io::Result<Self::Process>;

    /// Chooses a free port that is not in `taken`.
    fn choose(&self, taken: &HashSet<u16>) -> io::Result<u16>;

    /// Says who listens there already, and what to do.
    fn check_free(&self, address: SocketAddr) -> Result<(), String>;
}

/// A process that was started; dropping it kills it.
pub(crate) trait Running: Send + 'static {
    /// The next event; [`Event::Gone`] is the last. Cancel-safe.
    fn event(&mut self) -> impl Future<Output = Event> + Send;

    /// Asks it to end.
    fn terminate(&mut self);

    /// Kills it and all its descendants.
    fn kill(&mut self);

    /// The last lines that it printed, oldest first.
    fn output(&self) -> Vec<String>;
}

/// The real one: each process under a guardian.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    /// The program that becomes a guardian when its first argument says so.
    pub(crate) guardian_exe: PathBuf,
}

impl Runner for Guarded {
    type Process = Process;

    fn spawn(&self, app: &AppId, command: &Command, env: Vec<(String, String)>) -> io::Result<Process> {
        let guardian_exe = self.guardian_exe.clone();
        process::spawn(&Spawn { guardian_exe, app: app.clone(), command, extra_env: env })
    }

    fn choose(&self, taken: &HashSet<u16>) -> io::Result<u16> {
        upstream::choose(taken)
    }

    fn check_free(&self, address: SocketAddr) -> Result<(), String> {
        upstream::check_free(address)
    }
}

impl Running for Process {
    fn event(&mut self) -> impl Future<Output = Event> + Send {
        Self::event(self)
    }

    fn terminate(&mut self) {
        Self::terminate(self);
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn output(&self) -> Vec<String> {
        self.tail().lines()
    }
}
