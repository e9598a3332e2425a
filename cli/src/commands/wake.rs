//! `reveille wake`: wakes an app and, with `--wait`, follows the wake to its end.

use std::time::Duration;

use reveille_core::{
    api::{AppStatus, WakeRequest},
    app::AppId,
    phase::Phase,
    wake::{Failure, Outcome, Step, WakeId},
};
use tokio::time::Instant;

use super::{before, called_off, explain, print, resolve, step_line};
use crate::{
    args::{OutputFormat, WakeArgs, short_name},
    client::{Answer, Client, ClientError},
    exit::{CliError, Exit},
    output::{Console, time::compact},
};

/// How often the API is asked where the wake stands.
const POLL: Duration = Duration::from_millis(100);

/// For how long no answer is no reason to give up: longer than it takes until another controller leads.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked then.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// What the user is told when it is refused, when the wake failed, or when it took longer than `--timeout`.
pub async fn run(
    client: &Client,
    args: WakeArgs,
    output: OutputFormat,
    console: &mut Console,
) -> Result<(), CliError> {
    let limit = args.timeout.map(|timeout| timeout.0);
    let started = Instant::now();
    let app = resolve(client, args.app).await?;
    let earlier = before(client, &app).await;
    let answer = match client.wake(&app, &WakeRequest { reason: args.reason, keep: args.keep }).await {
        Ok(answer) => answer,
        Err(error) => return Err(explain(client, &app, error).await),
    };
    let off = called_off(earlier.as_ref(), &answer.value);
    if !args.wait || answer.value.phase == Phase::Awake {
        return print(console, output, &answer, |console, status| {
            Ok(console.line(&(sentence(status) + &off))?)
        });
    }
    let mut follower = Follower::default();
    let mut latest = answer;
    loop {
        if output == OutputFormat::Table {
            follower.news(&latest.value).iter().try_for_each(|line| console.line(line))?;
        }
        match verdict(&latest.value) {
            Verdict::Wait => {}
            Verdict::Ready => {
                return print(console, output, &latest, |console, status| {
                    Ok(console.line(&(awake(status) + &off))?)
                });
            }
            end @ (Verdict::Failed(_) | Verdict::Gone) => return end_badly(console, output, &latest, end),
        }
        let pause = limit.map_or(POLL, |limit| POLL.min(limit.saturating_sub(started.elapsed())));
        if pause.is_zero() {
            return Err(too_late(&latest.value, started.elapsed()));
        }
        tokio::time::sleep(pause).await;
        latest = ask_again(client, &app, limit.map(|limit| started + limit)).await?;
    }
}

/// Where it stands, also while another controller takes over: the wake goes on meanwhile.
async fn ask_again(
    client: &Client,
    app: &AppId,
    until: Option<Instant>,
) -> Result<Answer<AppStatus>, ClientError> {
    let patience = Instant::now() + PATIENCE;
    let until = until.map_or(patience, |until| until.min(patience));
    loop {
        match client.get(app).await {
            Err(error) if error.may_pass() && Instant::now() + PAUSE < until => {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Without `--wait`: where it stands.
fn sentence(status: &AppStatus) -> String {
    let name = short_name(&status.id);
    match (status.phase, &status.wake) {
        (Phase::Awake, _) => format!("{name} is already awake{}", kept(status)),
        (_, Some(wake)) => {
            format!("{name} is waking (wake {}); `reveille wake {name} --wait` follows it", wake.id)
        }
        (phase, None) => format!("{name} was told to wake; it is {phase}"),
    }
}

fn awake(status: &AppStatus) -> String {
    let name = short_name(&status.id);
    let kept = kept(status);
    let steps = status.wake.iter().flat_map(|wake| &wake.steps);
    match steps.rev().find(|at| at.step == Step::Ready) {
        Some(ready) => format!("{name} is awake after {} ms{kept}", ready.after_ms),
        None => format!("{name} is awake{kept}"),
    }
}

fn kept(status: &AppStatus) -> String {
    status.awake_until.map(|until| format!(", and stays so until {until:.0}")).unwrap_or_default()
}

/// Where a wake that is waited for stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In progress.
    Wait,
    /// The app can answer.
    Ready,
    /// It cannot.
    Failed(Failure),
    /// It is asleep again, though its wake did not fail: somebody put it to sleep.
    Gone,
}

pub(super) fn verdict(status: &AppStatus) -> Verdict {
    let outcome = status.wake.as_ref().and_then(|wake| wake.outcome.as_ref());
    match (status.phase, outcome) {
        (Phase::Awake, _) => Verdict::Ready,
        // After a failure the app falls asleep; a new wake would show no outcome.
        (_, Some(Outcome::Failed(failure))) => Verdict::Failed(failure.clone()),
        (Phase::Asleep, _) => Verdict::Gone,
        (Phase::Waking | Phase::FallingAsleep, _) => Verdict::Wait,
    }
}

fn end_badly(
    console: &mut Console,
    output: OutputFormat,
    latest: &Answer<AppStatus>,
    end: Verdict,
) -> Result<(), CliError> {
    if output == OutputFormat::Json {
        print(console, output, latest, |_, _| Ok(()))?;
    }
    let name = short_name(&latest.value.id);
    Err(match end {
        Verdict::Failed(failure) => {
            let error = CliError::new(Exit::Failed, format!("{name} could not be woken: {}", failure.reason));
            let error = if failure.output.is_empty() {
                error
            } else {
                let lines = failure.output.into_iter().map(|line| format!("  | {line}"));
                error.details(["its last output:".to_owned()].into_iter().chain(lines))
            };
            error.hint(format!("`reveille status {name}` shows how far it came"))
        }
        _ => CliError::new(Exit::Failed, format!("{name} went back to sleep before it was ready"))
            .hint("somebody else may have put it to sleep; Reveille's log says who"),
    })
}

fn too_late(status: &AppStatus, waited: Duration) -> CliError {
    let name = short_name(&status.id);
    CliError::new(Exit::Failed, format!("{name} is not awake after {}; its wake goes on", compact(waited)))
        .hint(format!("`reveille status {name}` shows where it stands"))
}

/// Remembers what of a wake has been told.
#[derive(Debug, Default)]
pub(super) struct Follower {
    wake: Option<WakeId>,
    told: usize,
}

impl Follower {
    /// The lines that are new.
    pub(super) fn news(&mut self, status: &AppStatus) -> Vec<String> {
        let Some(wake) = &status.wake else { return Vec::new() };
        let mut lines = Vec::new();
        if self.wake.as_ref() != Some(&wake.id) {
            lines.push(format!("{} is waking (wake {})", short_name(&status.id), wake.id));
            self.wake = Some(wake.id.clone());
            self.told = 0;
        }
        lines.extend(wake.steps.iter().skip(self.told).map(step_line));
        self.told = wake.steps.len();
        lines
    }
}
