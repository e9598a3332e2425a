//! What the process is told from outside: SIGTERM and SIGINT stop it, SIGHUP reloads the file.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Stop; a second time: at once.
    Stop,
    /// Read the file again.
    Reload,
}

/// The signals that are listened for. From its making on, they no longer end the process.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    /// # Errors
    /// If the system does not let it listen.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// The next signal to stop; others are ignored. Cancel-safe.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
