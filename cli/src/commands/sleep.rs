//! `reveille sleep`: puts an app to sleep now, and says what happened.

use reveille_core::{
    api::{AppStatus, SleepRequest},
    phase::Phase,
};

use super::{before, called_off, explain, print, resolve};
use crate::{
    args::{OutputFormat, SleepArgs, short_name},
    client::Client,
    exit::CliError,
    output::Console,
};

/// Runs the command.
///
/// # Errors
/// What the user is told when it is refused.
pub async fn run(
    client: &Client,
    args: SleepArgs,
    output: OutputFormat,
    console: &mut Console,
) -> Result<(), CliError> {
    let request = SleepRequest { reason: args.reason, wake_on_request: !args.no_wake_on_request };
    let app = resolve(client, args.app).await?;
    let earlier = before(client, &app).await;
    let answer = match client.sleep(&app, &request).await {
        Ok(answer) => answer,
        Err(error) => return Err(explain(client, &app, error).await),
    };
    print(console, output, &answer, |console, status| {
        Ok(console.line(&(sentence(status) + &called_off(earlier.as_ref(), status)))?)
    })
}

fn sentence(status: &AppStatus) -> String {
    let name = short_name(&status.id);
    let what = match status.phase {
        Phase::Asleep => format!("{name} is asleep"),
        Phase::FallingAsleep => format!("{name} is falling asleep: it is stopping"),
        // Somebody called in the very moment.
        Phase::Waking | Phase::Awake => return format!("{name} was asleep and is {} again", status.phase),
    };
    if status.wake_on_request {
        format!("{what}; the next request wakes it")
    } else {
        format!("{what}; requests do not wake it until `reveille wake {name}`")
    }
}
