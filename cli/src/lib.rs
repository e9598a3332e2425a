//! The `reveille` command: runs apps on this machine, and calls a Reveille that runs.
//!
//! | module | holds |
//! |---|---|
//! | [`args`] | the command line and its help |
//! | [`local`] | `reveille local`: both planes in one process |
//! | [`cluster`] | `reveille activator`, `reveille controller`: one plane of a cluster in a process |
//! | [`mod@file`] | the configuration file of local mode, checked with every problem at once |
//! | `process` | what every command does alike that runs until it is told to stop |
//! | [`commands`] | `check`, `status`, `wake`, `sleep`, `crd` |
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

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use self::{
    args::{Cli, Command},
    client::{Client, ServerUrl},
    exit::{CliError, Exit},
    output::Console,
};

/// Does what the command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are errors to clap, too. If they cannot be written, nobody is there to be told.
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
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
    let server = || cli.server.parse::<ServerUrl>().map_err(|why| CliError::new(Exit::Usage, why));
    match cli.command {
        Command::Local(args) => local::run(&args),
        Command::Activator(args) => cluster::activator::run(&args),
        Command::Check(args) => Ok(commands::check::check(&args.file(std::env::var_os("REVEILLE_CONFIG")))),
        Command::Status(args) => {
            call(server()?, async |client| commands::status::run(client, args, output, console).await)
        }
        Command::Wake(args) => {
            call(server()?, async |client| commands::wake::run(client, args, output, console).await)
        }
        Command::Sleep(args) => {
            call(server()?, async |client| commands::sleep::run(client, args, output, console).await)
        }
        Command::Controller(args) => cluster::controller::run(&args),
        Command::Crd(_) => commands::crd::crd(output, console).map(|()| Exit::Ok),
    }
}

/// Runs a call to the server in a runtime of its own: one thread is enough for one connection.
fn call(
    server: ServerUrl,
    command: impl AsyncFnOnce(&Client) -> Result<(), CliError>,
) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(server);
    runtime.block_on(command(&client)).map(|()| Exit::Ok)
}
