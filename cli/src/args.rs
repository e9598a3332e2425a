//! The command line: every subcommand, its options, and their help.

mod calls;
mod key;
mod local;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::{
    calls::{AppArg, SleepArgs, StatusArgs, WakeArgs, WatchArgs, short_name},
    key::{KeyArgs, KeyCommand, NewKeyArgs},
    local::{CheckArgs, ConfigFile, LocalArgs},
};
pub use crate::cluster::args::ActivatorArgs;
use crate::cluster::controller_args::ControllerArgs;

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

/// `reveille crd`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille crd | kubectl apply --server-side -f -
  kubectl explain scaledapp.spec --recursive
  reveille crd --output json | jq .spec.names")]
pub struct CrdArgs {}

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

/// The most threads that may forward requests.
const MAX_WORKERS: u16 = 1024;

pub(crate) fn parse_workers(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(workers @ 1..=MAX_WORKERS) => Ok(workers),
        Ok(0) => Err("no thread would forward requests; leave it out for one per core".to_owned()),
        _ => Err(format!("write a whole number from 1 to {MAX_WORKERS}, or leave it out for one per core")),
    }
}
