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

use reveille_core::{api::AppStatus, app::AppId, wake::StepAt};

use crate::{
    args::{AppArg, OutputFormat, short_name},
    client::{Answer, Client, ClientError},
    exit::{CliError, Exit},
    file::nearest,
    output::Console,
};

/// Which app is meant. Of a bare name the server is asked first: only it knows in which namespaces there is one.
///
/// # Errors
/// If there are several of that name, or none in a cluster, or no answer.
async fn resolve(client: &Client, app: AppArg) -> Result<AppId, CliError> {
    let name = match app {
        AppArg::Full(app) => return Ok(app),
        AppArg::Name(name) => name,
    };
    let known: Vec<AppId> = client.list().await?.value.apps.into_iter().map(|app| app.id).collect();
    let named: Vec<&AppId> = known.iter().filter(|id| *id.name == *name).collect();
    match named[..] {
        [only] => Ok(only.clone()),
        // Of local mode's namespace the server itself says what is wrong, be it the name or the key.
        [] if known.iter().all(AppId::is_local) => Ok(AppId::local(&name)),
        [] => {
            let error = CliError::new(Exit::Failed, format!("there is no app named {name}"));
            Err(suggest(error, &AppId::local(&name), &known))
        }
        [..] => {
            let ids: Vec<_> = named.iter().map(ToString::to_string).collect();
            let message = format!("{} apps are named {name}: {}", ids.len(), ids.join(", "));
            Err(CliError::new(Exit::Failed, message).hint("name it with its namespace: NAMESPACE/NAME"))
        }
    }
}

/// What a call about an app failed with, as the user is told: if there is no such app, which one was meant.
async fn explain(client: &Client, app: &AppId, error: ClientError) -> CliError {
    if !error.is_unknown_app() {
        return error.into();
    }
    // Only for a hint: whatever this call fails with matters less than what failed before.
    let known = client.list().await.map(|list| list.value.apps).unwrap_or_default();
    let known: Vec<AppId> = known.into_iter().map(|status| status.id).collect();
    suggest(error.into(), app, &known)
}

/// Adds which of the apps was meant, if one is called much alike.
fn suggest(error: CliError, app: &AppId, known: &[AppId]) -> CliError {
    let alike = |asked: &str, names: &[String]| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        nearest(asked, &names).and_then(|found| names.iter().position(|name| *name == found))
    };
    let short: Vec<_> = known.iter().map(short_name).collect();
    let meant = alike(&short_name(app), &short).or_else(|| {
        let bare: Vec<_> = known.iter().map(|id| id.name.to_string()).collect();
        alike(&app.name, &bare).filter(|_| app.is_local())
    });
    match meant {
        Some(index) => error.hint(format!("did you mean {}?", short[index])),
        None => error,
    }
}

/// What an order by hand did beside what it was given for: a wake that was to come is none any more.
fn called_off(before: Option<&AppStatus>, after: &AppStatus) -> String {
    match before.and_then(|before| before.schedule.as_ref()) {
        Some(schedule) if after.schedule.is_none() => {
            format!("; its wake at {:.0} is called off", schedule.at)
        }
        _ => String::new(),
    }
}

/// The app before an order, for [`called_off`]. Whatever is wrong, the order itself will say.
async fn before(client: &Client, app: &AppId) -> Option<AppStatus> {
    client.get(app).await.ok().map(|answer| answer.value)
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
