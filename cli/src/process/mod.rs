//! What every command does alike that runs until it is told to stop.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | the keys that the API asks for |
//! | [`logging`] | where the log goes, and in which form |
//! | [`metrics`] | the registry of metrics |
//! | [`signals`] | what the process is told from outside |

pub(crate) mod keys;
pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod signals;

use std::{io, time::Duration};

use tokio::sync::oneshot;

use self::signals::Signals;
use crate::exit::{CliError, Exit};

/// The tasks of this thread are what makes apps wake and sleep. If one of them panics, they would no longer, without
/// anybody noticing: the process ends instead.
pub(crate) fn end_with_this_thread(what: &'static str) {
    let thread = std::thread::current().id();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        if std::thread::current().id() == thread {
            tracing::error!("{what} has failed, which is a bug; Reveille ends");
            std::process::abort();
        }
    }));
}

/// One listener for each worker and port, and two sockets for each request: takes as many open files as the system
/// allows. Returns how many that are, if it says so.
pub(crate) fn raise_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft })
}

/// Runs to its end in a runtime of one thread. What waits there for a file system or a resolver does not keep the process.
pub(crate) fn run(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// How work in progress came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// By itself, or as its time was over.
    Gently,
    /// Cut off by a second signal.
    AtOnce,
}

/// Lets work in progress end, until a second signal comes. What `drain` is given then completes.
pub(crate) async fn finish<F: Future<Output = ()>>(
    signals: &mut Signals,
    drain: impl FnOnce(oneshot::Receiver<()>) -> F,
) -> Finished {
    let (force, forced) = oneshot::channel::<()>();
    let mut force = Some(force);
    let drain = drain(forced);
    tokio::pin!(drain);
    loop {
        tokio::select! {
            () = &mut drain => {
                return if force.is_none() { Finished::AtOnce } else { Finished::Gently };
            }
            () = signals.stop(), if force.is_some() => drop(force.take()),
        }
    }
}

/// Something that is needed to start could not be had.
pub(crate) fn cannot(what: &str, error: &io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("cannot {what}: {error}"))
}
