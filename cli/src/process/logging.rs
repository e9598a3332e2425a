//! Where the log goes, and in which form: to stderr, pretty on a terminal, a JSON object a line otherwise.
//!
//! `RUST_LOG` chooses what is logged, as `tracing` reads it; the default is `info`. The apps' own output is
//! logged by the target `reveille::app_output` at `debug`.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::args::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. h2 warns of each frame that a client should not have sent, which would
/// let any client fill the disk. The Kubernetes client logs each call that fails, and whoever calls does so, too.
const DEFAULT: &str = "info,h2=error,kube_client::client::builder=off";

/// Starts logging. Once a process.
pub(crate) fn start(format: LogFormat) {
    let filter = || EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let pretty = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let log = fmt().with_env_filter(filter()).with_writer(io::stderr);
    // A second start (in tests) keeps the first.
    let _ = if pretty {
        let colours =
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        log.with_target(false).compact().with_ansi(colours).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}
