//! What the process is told from outside: SIGTERM and SIGINT stop it, SIGHUP reloads what can be reloaded.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::signal::unix::{self, SignalKind};

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop; a second time: at once.
    Stop,
    /// Read again what it was started with.
    Reload,
}

/// The signals that are listened for. From its making on, they no longer end the process.
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    /// When it was last told to stop.
    stopped: Option<Instant>,
}

/// Told to stop twice within this time is told once: `timeout`, for one, signals its child and then its group.
const ONCE: Duration = Duration::from_millis(100);

impl Signals {
    /// # Errors
    /// If the system does not let it listen.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            stopped: None,
        })
    }

    /// The next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => return Signal::Reload,
            }
            let before = self.stopped.replace(Instant::now());
            if before.is_none_or(|before| before.elapsed() > ONCE) {
                return Signal::Stop;
            }
        }
    }

    /// The next signal to stop; others are ignored. Cancel-safe.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
