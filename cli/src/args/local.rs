//! The commands that read a configuration file: `reveille local` and `reveille check`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::Args;
use reveille_core::quantity::{ByteSize, HumanDuration};

use super::{LogFormat, parse_workers};
use crate::file::parse_address;

/// `reveille local`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille local
  reveille local demo/reveille.yaml --access-log
  reveille local --admin 127.0.0.1:9191 --drain 5s
  reveille local --admin 0.0.0.0:9090 --keys /etc/reveille/keys

SIGHUP, or a change of the file, reloads it; a file with mistakes changes nothing.
SIGTERM or Ctrl-C finishes what is in progress; a second one ends at once.
No app outlives Reveille, even if that is killed.")]
pub struct LocalArgs {
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigFile,

    /// Where to serve the admin port; overrides the file's `admin`
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// The keys by which the admin port may be called, a line each; see `reveille key new`
    #[arg(long, env = "REVEILLE_KEYS", value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Let anybody call an admin port that others can reach, and that has no keys
    #[arg(long)]
    pub allow_anonymous: bool,

    /// Where to keep what outlives it, such as scheduled wakes [default: by the name of the file, in $STATE_DIRECTORY or ~/.local/state/reveille]
    #[arg(long, env = "REVEILLE_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// How long work in progress may take to end after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub drain: HumanDuration,

    /// How many requests all apps together may hold
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub hold_max_requests: u32,

    /// How much memory held requests of all apps together may take
    #[arg(long, value_name = "SIZE", default_value = "512Mi")]
    pub hold_max_bytes: ByteSize,

    /// How many threads forward requests [default: one per core]
    #[arg(long, value_name = "N", value_parser = parse_workers)]
    pub workers: Option<u16>,

    /// Log a line for each request, its time split into hold and upstream
    #[arg(long)]
    pub access_log: bool,

    /// How to log; auto is pretty on a terminal, JSON otherwise
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// `reveille check`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille check
  reveille check demo/reveille.yaml

Exit codes:
  0  the file is right     64  it is not; every mistake is named with its line and a hint")]
pub struct CheckArgs {
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// The configuration file, named in any of the ways that people expect.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file [env: REVEILLE_CONFIG] [default: reveille.yaml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.path_by(std::env::var_os("REVEILLE_CONFIG"))
    }

    /// The same, `variable` being what `REVEILLE_CONFIG` says. Not read by clap, to which the file of the
    /// variable and one that is named would contradict each other.
    pub(super) fn path_by(&self, variable: Option<OsString>) -> PathBuf {
        let variable = || variable.filter(|value| !value.is_empty()).map(PathBuf::from);
        let named = self.file.clone().or_else(|| self.config.clone());
        named.or_else(variable).unwrap_or_else(|| "reveille.yaml".into())
    }
}
