//! The subcommands that call a running Reveille.

pub mod check;
pub mod sleep;
pub mod status;
#[cfg(test)]
mod tests;
pub mod wake;

use reveille_core::wake::StepAt;

use crate::{args::OutputFormat, client::Answer, exit::CliError, output::Console};

/// Prints the answer: as JSON, as it came, or else by `table`.
fn print<T>(
    console: &mut Console,
    output: OutputFormat,
    answer: &Answer<T>,
    table: impl FnOnce(&mut Console, &T) -> Result<(), CliError>,
) -> Result<(), CliError> {
    match output {
        OutputFormat::Json => Ok(console.line(&format!("{:#}", answer.json))?),
        OutputFormat::Table => table(console, &answer.value),
    }
}

/// A step of a wake, on a line.
fn step_line(at: &StepAt) -> String {
    format!("{:>8} ms  {}", at.after_ms, at.step)
}
