//! The commands that call a Reveille that runs, and how they name apps.

use std::str::FromStr;

use clap::Args;
use reveille_core::{
    api::{check_keep, check_reason},
    app::{AppId, check_name},
    quantity::HumanDuration,
};

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
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_keep)]
    pub keep: Option<HumanDuration>,

    /// Why, for the log and the status, in at most 200 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
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

    /// Why, for the log, in at most 200 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    pub reason: Option<String>,
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

/// A short way to name the app on the command line: without its namespace, if that is local mode's.
pub fn short_name(app: &AppId) -> String {
    if app.is_local() { app.name.to_string() } else { app.to_string() }
}

fn parse_keep(text: &str) -> Result<HumanDuration, String> {
    text.parse().and_then(check_keep)
}

fn parse_reason(text: &str) -> Result<String, String> {
    check_reason(text).map(|()| text.to_owned())
}
