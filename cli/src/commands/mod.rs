//! The subcommands but for `local`: those that call a running Reveille, and those that only read or print.

pub mod check;
pub mod completions;
pub mod crd;
pub mod key;
pub mod sleep;
pub mod status;
#[cfg(test)]
mod suggestion_tests;
#[cfg(test)]
mod tests;
pub mod wake;
pub mod watch;

use reveille_core::{app::AppId, wake::StepAt};

use crate::{
    args::{OutputFormat, short_name},
    client::{Answer, Client, ClientError},
    exit::CliError,
    file::nearest,
    output::Console,
};

/// What a call about an app failed with, as the user is told: if there is no such app, which one was meant.
async fn explain(client: &Client, app: &AppId, error: ClientError) -> CliError {
    if !error.is_unknown_app() {
        return error.into();
    }
    // Only for a hint: whatever this call fails with matters less than what failed before.
    let known = client.list().await.map(|list| list.value.apps).unwrap_or_default();
    let names: Vec<_> = known.iter().map(|status| short_name(&status.id)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let meant = nearest(&short_name(app), &names).map(|name| format!("did you mean {name}?"));
    let error = CliError::from(error);
    match meant {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

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
