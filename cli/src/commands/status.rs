//! `reveille status`: all apps in a table, or one in every detail.

use std::time::Duration;

use jiff::Timestamp;
use reveille_core::{
    api::{AppList, AppStatus, WakeStatus},
    phase::Phase,
    wake::{Failure, Outcome},
};

use super::{explain, print, resolve, step_line};
use crate::{
    args::{OutputFormat, StatusArgs, short_name},
    client::Client,
    exit::CliError,
    output::{
        Console,
        color::{Paint, Palette},
        printable,
        table::{self, Align, Cell, Column, Cut},
        time::{ago, compact},
    },
};

/// Stands first where not all apps are of local mode.
const NAMESPACE: Column = column("NAMESPACE", Align::Left, Cut::KeepStart);

const COLUMNS: [Column; 8] = [
    column("NAME", Align::Left, Cut::KeepStart),
    column("PHASE", Align::Left, Cut::Last),
    column("REPLICAS", Align::Right, Cut::Last),
    column("IN-FLIGHT", Align::Right, Cut::Last),
    column("HELD", Align::Right, Cut::Last),
    column("SINCE", Align::Right, Cut::Last),
    column("SLEEPS-IN", Align::Right, Cut::Last),
    column("LISTEN", Align::Left, Cut::KeepEnd),
];

const fn column(title: &'static str, align: Align, cut: Cut) -> Column {
    Column { title, align, cut }
}

/// Runs the command.
///
/// # Errors
/// What the user is told when there is no answer, or no such app.
pub async fn run(
    client: &Client,
    args: StatusArgs,
    output: OutputFormat,
    console: &mut Console,
) -> Result<(), CliError> {
    let lines_to = |console: &mut Console, lines: Vec<String>| -> Result<(), CliError> {
        lines.iter().try_for_each(|line| console.line(line)).map_err(CliError::from)
    };
    match args.app {
        None => print(console, output, &client.list().await?, |console, list| {
            if list.apps.is_empty() && client.has_key() {
                return Ok(console.line("no apps that this key is good for")?);
            }
            let lines = overview(list, console.width, console.palette);
            lines_to(console, lines)
        }),
        Some(app) => {
            let app = resolve(client, app).await?;
            match client.get(&app).await {
                Ok(answer) => print(console, output, &answer, |console, status| {
                    let lines = details(status, Timestamp::now(), console.palette);
                    lines_to(console, lines)
                }),
                Err(error) => Err(explain(client, &app, error).await),
            }
        }
    }
}

/// The table of all apps, and a line for each that is to be woken or whose last wake failed.
pub(super) fn overview(list: &AppList, width: usize, palette: Palette) -> Vec<String> {
    if list.apps.is_empty() {
        let none = "no apps; they are declared under `apps:` in reveille.yaml, in a cluster by ScaledApps";
        return vec![none.to_owned()];
    }
    let rows: Vec<[Cell; 8]> = list.apps.iter().map(|app| row(app, list.time)).collect();
    let mut lines = if list.apps.iter().all(|app| app.id.is_local()) {
        table::lines(&COLUMNS, &rows, width, palette)
    } else {
        let namespaces = list.apps.iter().map(|app| Cell::from(app.id.namespace.to_string()));
        let rows: Vec<[Cell; 9]> = namespaces.zip(rows).map(|(cell, row)| after(cell, row)).collect();
        table::lines(&after(NAMESPACE, COLUMNS), &rows, width, palette)
    };
    for app in &list.apps {
        if let Some(schedule) = &app.schedule {
            let note = printable(&format!(
                "{}: wakes at {:.0} ({})",
                short_name(&app.id),
                schedule.at,
                schedule.reason
            ));
            lines.push(format!("* {}", table::cut(&note, width.saturating_sub(2), Cut::KeepStart)));
        }
        if let Some(problem) = &app.problem {
            let note = printable(&format!("{}: {problem}", short_name(&app.id)));
            let note = table::cut(&note, width.saturating_sub(2), Cut::KeepStart);
            lines.push(format!("{} {note}", palette.paint(Paint::Bad, "!")));
        }
        if let Some(failure) = app.wake.as_ref().and_then(failure_of) {
            let note = printable(&format!("{}: {}", short_name(&app.id), failure.reason));
            let note = table::cut(&note, width.saturating_sub(2), Cut::KeepStart);
            lines.push(format!("{} {note}", palette.paint(Paint::Bad, "!")));
        }
    }
    lines
}

/// A column and those that follow it.
fn after<T>(first: T, rest: [T; 8]) -> [T; 9] {
    let [a, b, c, d, e, f, g, h] = rest;
    [first, a, b, c, d, e, f, g, h]
}

fn row(app: &AppStatus, now: Timestamp) -> [Cell; 8] {
    let listen = match app.listen.as_slice() {
        [] => "-".to_owned(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    };
    [
        app.id.name.to_string().into(),
        Cell { text: app.phase.to_string(), paint: Paint::of(app.phase) },
        app.replicas.to_string().into(),
        app.in_flight.to_string().into(),
        app.held.to_string().into(),
        compact(ago(now, app.since)).into(),
        sleeps_in(app).unwrap_or_else(|| "-".to_owned()).into(),
        listen.into(),
    ]
}

/// When it falls asleep; None if there is nothing to say.
fn sleeps_in(app: &AppStatus) -> Option<String> {
    match app.sleeps_in_ms {
        Some(millis) => Some(compact(Duration::from_millis(millis))),
        None if app.phase == Phase::Awake && app.ttl == "never" => Some(app.ttl.clone()),
        None => None,
    }
}

/// Everything about one app.
pub(super) fn details(app: &AppStatus, now: Timestamp, palette: Palette) -> Vec<String> {
    let name = short_name(&app.id);
    let mut lines = vec![palette.paint(Paint::Bold, &name)];
    let mut field = |title: &str, text: &str| lines.push(format!("  {title:<11} {text}"));
    let since = compact(ago(now, app.since));
    field("phase", &format!("{}, for {since}", palette.paint(Paint::of(app.phase), app.phase.as_str())));
    field("replicas", &app.replicas.to_string());
    field("requests", &format!("{} in flight, {} of them held", app.in_flight, app.held));
    match sleeps_in(app).filter(|_| app.sleeps_in_ms.is_some()) {
        Some(time) => field("sleeps in", &format!("{time} if nobody calls (idle.ttl {})", app.ttl)),
        None => field("idle.ttl", &app.ttl),
    }
    field("listen", &printable(&app.listen.join(", ")));
    if !app.hosts.is_empty() {
        field("hosts", &printable(&app.hosts.join(", ")));
    }
    if !app.wake_on_request {
        field("on request", &format!("stays asleep, as it was told; `reveille wake {name}` wakes it"));
    }
    if let Some(until) = app.awake_until {
        let left = compact(ago(until, now));
        field("kept awake", &format!("until {until:.0}, for another {left}"));
    }
    if let Some(schedule) = &app.schedule {
        let left = compact(ago(schedule.at, now));
        field(
            "scheduled",
            &printable(&format!("wakes at {:.0}, in {left}: {}", schedule.at, schedule.reason)),
        );
    }
    if let Some(millis) = app.retry_in_ms {
        field("next try", &format!("in {} at the earliest", compact(Duration::from_millis(millis))));
    }
    if app.asleep_ms > 0 {
        let asleep = compact(Duration::from_millis(app.asleep_ms));
        let saved = app.saved.as_ref().map(|saved| format!("; saved {} {}", saved.amount, saved.currency));
        field("asleep", &printable(&format!("{asleep} in all{}", saved.unwrap_or_default())));
    }
    if let Some(problem) = &app.problem {
        field("problem", &printable(problem));
    }
    if let Some(pending) = &app.pending {
        field("pending", &printable(pending));
    }
    if let Some(wake) = &app.wake {
        lines.extend(wake_details(wake, now, palette));
    }
    lines
}

fn wake_details(wake: &WakeStatus, now: Timestamp, palette: Palette) -> Vec<String> {
    let (title, result) = match &wake.outcome {
        None => {
            ("waking", wake.eta_ms.map(|ms| format!("ready in about {}", compact(Duration::from_millis(ms)))))
        }
        Some(Outcome::Ready) => ("last wake", Some(palette.paint(Paint::Good, "ready"))),
        Some(Outcome::Failed(_)) => ("last wake", Some(palette.paint(Paint::Bad, "failed"))),
    };
    let started = compact(ago(now, wake.started));
    let result = result.map(|result| format!("; {result}")).unwrap_or_default();
    let trigger = printable(&wake.trigger);
    let mut lines = vec![format!("  {title:<11} {}, by {trigger}, {started} ago{result}", wake.id)];
    lines.extend(wake.steps.iter().map(|at| format!("    {}", step_line(at))));
    if let Some(failure) = failure_of(wake) {
        lines.push(format!("  {:<11} {}", "reason", printable(&failure.reason)));
        if !failure.output.is_empty() {
            lines.push("  last output".to_owned());
            lines.extend(failure.output.iter().map(|line| format!("    | {}", printable(line))));
        }
    }
    lines
}

fn failure_of(wake: &WakeStatus) -> Option<&Failure> {
    match &wake.outcome {
        Some(Outcome::Failed(failure)) => Some(failure),
        _ => None,
    }
}
