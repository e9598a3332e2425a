//! `reveille completions`: prints what makes a shell complete the commands.

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    exit::CliError,
    output::Console,
};

/// Runs the command.
///
/// # Errors
/// Those of the output.
pub fn run(args: &CompletionsArgs, console: &mut Console) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reveille", &mut script);
    Ok(console.raw(&String::from_utf8_lossy(&script))?)
}
