//! The command line: every subcommand, its options, and their help.

#[cfg(test)]
mod tests;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr};

pub use crate::cluster::args::ActivatorArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use reveille_controller::keys::{
    Namespaces,
    file::{check_key_name, parse_namespaces},
};
use reveille_core::{
    app::{AppId, check_name},
    quantity::{ByteSize, HumanDuration},
};

use crate::{cluster::controller_args::ControllerArgs, file::parse_address};

/// Let apps sleep while nobody calls them, and wake them on the first request.
///
/// Reveille holds a request that arrives for a sleeping app, starts the app, and forwards the request once the
/// app can answer. After an idle time the app is stopped again.
#[derive(Debug, Parser)]
#[command(
    name = "reveille",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  reveille local                 run the apps of ./reveille.yaml
  reveille status                see which of them sleep
  reveille watch                 see it change
  reveille wake web --wait       wake one and watch it start

Exit codes:
  0  done     1  refused or failed     2  wrong usage     3  no Reveille at --server
  64 wrong configuration; nothing was started"
)]
pub struct Cli {
    /// Where Reveille's admin port is, for status, watch, wake and sleep
    #[arg(
        long,
        global = true,
        env = "REVEILLE_SERVER",
        value_name = "URL",
        default_value = crate::client::DEFAULT_SERVER,
        help_heading = "Global options"
    )]
    pub server: String,

    /// The key to call it with, if it asks for one; --key-file does not show it to other users of this machine
    #[arg(
        long,
        global = true,
        env = "REVEILLE_KEY",
        hide_env_values = true,
        value_name = "KEY",
        help_heading = "Global options"
    )]
    pub key: Option<String>,

    /// A file that holds the key; goes before --key and its variable
    #[arg(
        long,
        global = true,
        env = "REVEILLE_KEY_FILE",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub key_file: Option<PathBuf>,

    /// How to print: for people, or the API's JSON for programs
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub output: OutputFormat,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs: what the admin port answered.
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run apps as processes on this machine, each asleep until it is called
    Local(LocalArgs),
    /// Check a configuration file and print everything that is wrong with it
    Check(CheckArgs),
    /// Show which apps sleep, or everything about one
    Status(StatusArgs),
    /// Show what happens to the apps, as it happens
    Watch(WatchArgs),
    /// Wake an app before anybody calls it
    Wake(WakeArgs),
    /// Put an app to sleep now instead of after its idle time
    Sleep(SleepArgs),
    /// Run an activator of a Kubernetes cluster: it holds requests, wakes apps and forwards
    Activator(ActivatorArgs),
    /// Print the definition of ScaledApp, by which a Kubernetes cluster knows apps
    Crd(CrdArgs),
    /// Run the control plane of a cluster, in a pod
    Controller(Box<ControllerArgs>),
    /// Make keys for the API
    Key(KeyArgs),
    /// Print what makes a shell complete these commands
    Completions(CompletionsArgs),
}

/// `reveille local`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille local
  reveille local -c demo/reveille.yaml --access-log
  reveille local --admin 127.0.0.1:9191 --drain 5s
  reveille local --admin 0.0.0.0:9090 --keys /etc/reveille/keys

SIGHUP, or a change of the file, reloads it; a file with mistakes changes nothing.
SIGTERM or Ctrl-C finishes what is in progress; a second one ends at once.
No app outlives Reveille, even if that is killed.")]
pub struct LocalArgs {
    /// The configuration file
    #[arg(
        short = 'c',
        long = "config",
        env = "REVEILLE_CONFIG",
        value_name = "FILE",
        default_value = "reveille.yaml"
    )]
    pub file: PathBuf,

    /// Where to serve the admin port; overrides the file's `admin`
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// The keys by which the admin port may be called, a line each; see `reveille key new`
    #[arg(long, env = "REVEILLE_KEYS", value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Let anybody call an admin port that others can reach, and that has no keys
    #[arg(long)]
    pub allow_anonymous: bool,

    /// Where to keep scheduled wakes [default: by the name of the file, in $STATE_DIRECTORY or ~/.local/state/reveille]
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

/// How a command that runs on logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
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
    /// The configuration file [env: REVEILLE_CONFIG] [default: reveille.yaml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same, as of `reveille local`
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl CheckArgs {
    /// The file to check, `variable` being what `REVEILLE_CONFIG` says. Not read by clap, to which the file of
    /// the variable and one that is named would contradict each other.
    pub fn file(self, variable: Option<OsString>) -> PathBuf {
        let variable = variable.filter(|value| !value.is_empty()).map(PathBuf::from);
        self.file.or(self.config).or(variable).unwrap_or_else(|| "reveille.yaml".into())
    }
}

/// `reveille status`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille status
  reveille status web
  reveille status web --output json | jq .phase")]
pub struct StatusArgs {
    /// One app, NAME or NAMESPACE/NAME: shows its last wake step by step, too
    #[arg(value_name = "APP")]
    pub app: Option<AppArg>,
}

/// `reveille watch`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille watch
  reveille watch | grep -w web
  reveille watch --output json | jq -r 'select(.event == \"phase\") | .data.app.phase'

On a terminal a table that is always up to date; else a line for each event. With
--output json each event is a JSON object on a line of its own. Ctrl-C ends it.")]
pub struct WatchArgs {}

/// `reveille wake`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille wake web
  reveille wake web --wait --timeout 2m && curl localhost:8081
  reveille wake triton --for 2h --reason 'demo at noon'

With --wait the exit code is 0 once the app can answer, 1 if its wake failed; its last lines
of output are then printed.")]
pub struct WakeArgs {
    /// The app: NAME if there is one of it only, or NAMESPACE/NAME
    #[arg(value_name = "APP")]
    pub app: AppArg,

    /// Wait until it can answer, and show each step on the way
    #[arg(long)]
    pub wait: bool,

    /// How long to wait; the wake goes on afterwards [default: until the wake ends]
    #[arg(long, value_name = "DURATION", requires = "wait")]
    pub timeout: Option<HumanDuration>,

    /// Keep it awake so long, called or not, from 1s to 30d
    #[arg(long = "for", value_name = "DURATION")]
    pub keep: Option<HumanDuration>,

    /// Why, for the log and the status
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `reveille sleep`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille sleep web
  reveille sleep triton --no-wake-on-request --reason 'GPU needed elsewhere'

Work in flight is never cut: it is waited for, at most 10 s; then the call is refused.")]
pub struct SleepArgs {
    /// The app: NAME if there is one of it only, or NAMESPACE/NAME
    #[arg(value_name = "APP")]
    pub app: AppArg,

    /// Let requests be refused instead of waking it, until `reveille wake`
    #[arg(long)]
    pub no_wake_on_request: bool,

    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `reveille crd`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille crd | kubectl apply --server-side -f -
  kubectl explain scaledapp.spec --recursive
  reveille crd --output json | jq .spec.names")]
pub struct CrdArgs {}

/// `reveille key`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille key new ci --namespace team-a,ml
  reveille key new grafana --namespace '*' --read")]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// The subcommands of `reveille key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key: prints it once, and the line to store
    New(NewKeyArgs),
}

/// `reveille key new`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille key new ci --namespace team-a,ml
  reveille key new grafana --namespace '*' --read
  reveille key new ci --namespace local --output json | jq -r .line >> /etc/reveille/keys

Nothing is stored, and the key cannot be had again: give it to whoever is to use it, and put
the line into the file of keys (`reveille local --keys FILE`).")]
pub struct NewKeyArgs {
    /// Whose key it is, for the log: a-z, 0-9 and '-'
    #[arg(value_name = "NAME", value_parser = parse_key_name)]
    pub name: String,

    /// Where it is good: namespaces with commas between, or * for all; local mode's is `local`
    #[arg(long, value_name = "NAMES", value_parser = parse_namespaces)]
    pub namespace: Namespaces,

    /// Good for seeing apps, not for waking them and putting them to sleep
    #[arg(long)]
    pub read: bool,
}

fn parse_key_name(text: &str) -> Result<String, String> {
    check_key_name(text).map(|()| text.to_owned())
}

/// `reveille completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille completions bash > /etc/bash_completion.d/reveille
  reveille completions zsh > ~/.zfunc/_reveille
  reveille completions fish > ~/.config/fish/completions/reveille.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// An app as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppArg {
    /// `web`: the app of that name, wherever it is; there must be one only.
    Name(String),
    /// `namespace/name`.
    Full(AppId),
}

impl FromStr for AppArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((namespace, name)) = text.split_once('/') else {
            return check_name(text).map(|()| Self::Name(text.to_owned()));
        };
        check_name(namespace).map_err(|why| format!("the namespace is wrong: {why}"))?;
        check_name(name)?;
        Ok(Self::Full(AppId::new(namespace, name)))
    }
}

/// The most threads that may forward requests.
const MAX_WORKERS: u16 = 1024;

pub(crate) fn parse_workers(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(workers @ 1..=MAX_WORKERS) => Ok(workers),
        Ok(0) => Err("no thread would forward requests; leave it out for one per core".to_owned()),
        _ => Err(format!("write a whole number from 1 to {MAX_WORKERS}, or leave it out for one per core")),
    }
}

/// A short way to name the app on the command line: without its namespace, if that is local mode's.
pub fn short_name(app: &AppId) -> String {
    if app.is_local() { app.name.to_string() } else { app.to_string() }
}
