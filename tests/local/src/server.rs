//! What the servers of the tests have in common: they start slowly, fail on demand, stop slowly and log, as
//! their environment tells them.
//!
//! | variable | meaning |
//! |---|---|
//! | `SLOW_PORT`, else `PORT` | where it listens |
//! | `SLOW_HOST` | on which address: 127.0.0.1 unless it says so |
//! | `SLOW_LOG` | the file that it appends its log to: `MICROSECONDS PID KIND DETAIL` |
//! | `SLOW_START_MS` | how long it waits before it listens |
//! | `SLOW_START_IF` | it waits until this file exists before it listens |
//! | `SLOW_EXIT` | ends with this code instead of listening, after a line of output |
//! | `SLOW_EXIT_IF` | does so only while this file exists |
//! | `SLOW_STOP_MS` | how long it lives on after SIGTERM, serving |

mod log;
mod seen;

use std::{env, io, net::TcpListener, path::PathBuf, process::exit, thread, time::Duration};

use nix::sys::signal::{SigSet, Signal};

pub use log::{Log, now_micros};
pub use seen::Seen;

use crate::{pause, product};

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Starts as the environment says, and listens. To be called before any other thread is started, which would
/// get SIGTERM instead.
///
/// # Errors
/// If no port is named, or it cannot be had.
pub fn start() -> io::Result<(Log, TcpListener)> {
    product::allow_many_files();
    let log = Log::open()?;
    log.write("start", "");
    stop_slowly(log.clone())?;
    pause(Duration::from_millis(number("SLOW_START_MS").unwrap_or(0)));
    if let Some(told) = env::var_os("SLOW_START_IF").map(PathBuf::from) {
        while !told.exists() {
            pause(Duration::from_millis(5));
        }
    }
    fail_if_told();
    let port = number("SLOW_PORT").or_else(|| number("PORT")).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| io::Error::other("SLOW_PORT or PORT must name a port"))?;
    let host = env::var("SLOW_HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let listener = TcpListener::bind((host.as_str(), port))?;
    log.write("ready", "");
    Ok((log, listener))
}

/// Ends with a code and some output if the environment says so.
#[expect(clippy::print_stderr, reason = "this is the output that Reveille must keep from clients")]
fn fail_if_told() {
    let Some(code) = number("SLOW_EXIT").and_then(|code| i32::try_from(code).ok()) else { return };
    let told = env::var("SLOW_EXIT_IF").map_or(true, |path| std::path::Path::new(&path).exists());
    if told {
        eprintln!("server: the-secret-output-of-the-app");
        exit(code);
    }
}

/// Lives on for a while after SIGTERM, if the environment says so. The signal is blocked in every thread
/// but the one that waits for it.
fn stop_slowly(log: Log) -> io::Result<()> {
    let Some(millis) = number("SLOW_STOP_MS") else { return Ok(()) };
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    terminate.thread_block()?;
    thread::spawn(move || {
        if terminate.wait().is_ok() {
            log.write("term", "");
            pause(Duration::from_millis(millis));
            exit(0);
        }
    });
    Ok(())
}
