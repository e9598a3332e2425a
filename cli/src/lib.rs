//! The `reveille` command: runs apps on this machine, and calls a Reveille that runs.
//!
//! | module | holds |
//! |---|---|
//! | [`args`] | the command line and its help |
//! | [`local`] | `reveille local`: both planes in one process |
//! | [`cluster`] | `reveille activator`, `reveille controller`: one plane of a cluster in a process |
//! | [`mod@file`] | the configuration file of local mode, checked with every problem at once |
//! | `process` | what every command does alike that runs until it is told to stop |
//! | [`commands`] | all other commands |
//! | [`client`] | the calls to the admin port |
//! | [`output`] | tables, times, colours |
//! | [`exit`] | exit codes and the errors behind them |

pub mod args;
pub mod client;
pub mod cluster;
pub mod commands;
pub mod exit;
pub mod file;
pub mod local;
pub mod output;
mod process;

use std::{ffi::OsString, fs::File, io::Read as _, path::Path, process::ExitCode};

use clap::Parser;

use self::{
    args::{Cli, Command, KeyArgs, KeyCommand, WatchArgs},
    client::{Client, ServerUrl},
    exit::{CliError, Exit},
    output::Console,
};

/// Does what the command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are errors to clap, too.
            let printed = usage.print();
            return match (usage.use_stderr(), printed) {
                (true, _) => Exit::Usage.into(),
                (false, Ok(())) => Exit::Ok.into(),
                (false, Err(_)) => Exit::Failed.into(),
            };
        }
    };
    let mut console = Console::system();
    match run(cli, &mut console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console.error(&error);
            error.exit().into()
        }
    }
}

fn run(cli: Cli, console: &mut Console) -> Result<Exit, CliError> {
    let output = cli.output;
    // Not read by clap: a wrong REVEILLE_SERVER is no reason for `reveille local` to fail.
    let client = || {
        let server = cli.server.parse::<ServerUrl>().map_err(|why| CliError::new(Exit::Usage, why))?;
        let key = key(cli.key.as_deref(), cli.key_file.as_deref())?;
        Client::new(server).with_key(key.as_deref()).map_err(|why| CliError::new(Exit::Usage, why))
    };
    match cli.command {
        Command::Local(args) => local::run(&args),
        Command::Activator(args) => cluster::activator::run(&args),
        Command::Check(args) => Ok(commands::check::check(&args.config.path())),
        Command::Status(args) => {
            call(&client()?, async |client| commands::status::run(client, args, output, console).await)
        }
        Command::Watch(WatchArgs {}) => {
            call(&client()?, async |client| commands::watch::run(client, output, console).await)
        }
        Command::Wake(args) => {
            call(&client()?, async |client| commands::wake::run(client, args, output, console).await)
        }
        Command::Sleep(args) => {
            call(&client()?, async |client| commands::sleep::run(client, args, output, console).await)
        }
        Command::Controller(args) => cluster::controller::run(&args),
        Command::Crd(_) => commands::crd::crd(output, console).map(|()| Exit::Ok),
        Command::Key(KeyArgs { command: KeyCommand::New(args) }) => {
            commands::key::new(args, output, console).map(|()| Exit::Ok)
        }
        Command::Completions(args) => commands::completions::run(&args, console).map(|()| Exit::Ok),
    }
}

/// How much of a file is read that is to hold one key, in bytes.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// The key to call with: that of the file, else the one that is given, if any.
fn key(given: Option<&str>, file: Option<&Path>) -> Result<Option<String>, CliError> {
    let Some(file) = file else { return Ok(given.map(str::to_owned)) };
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(KEY_FILE_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        CliError::new(Exit::Usage, format!("the key cannot be read from {}: {error}", file.display()))
    })?;
    if text.trim().is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            format!("there is no key in {}: it is empty", file.display()),
        ));
    }
    Ok(Some(text))
}

/// Runs a call to the server in a runtime of its own: one thread is enough for one connection.
fn call(
    client: &Client,
    command: impl AsyncFnOnce(&Client) -> Result<(), CliError>,
) -> Result<Exit, CliError> {
    process::run(async { command(client).await.map(|()| Exit::Ok) })
}
