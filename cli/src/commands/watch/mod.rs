//! `reveille watch`: shows what happens to the apps, as it happens, until it is ended.
//!
//! A connection that is lost is made anew for as long as it takes, and goes on after the last event that was seen. Only
//! the first one must succeed, and a refusal ends it: neither gets better by waiting.
//!
//! | module | holds |
//! |---|---|
//! | [`board`] | what is known of the apps, and the events that change it |
//! | [`lines`] | an event on a line |

mod board;
mod lines;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::board::Board;
use crate::{
    args::OutputFormat,
    client::{Client, ClientError, EventStream, SseEvent},
    exit::CliError,
    output::Console,
};

/// How long it waits before it connects again: the first time, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// How often the table is drawn anew at most, and at least, since times go on.
const DRAW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Runs the command. It ends by an error, or when nobody reads its output any more.
///
/// # Errors
/// What the user is told when there is no Reveille to begin with, or when it refuses.
pub async fn run(client: &Client, output: OutputFormat, console: &mut Console) -> Result<(), CliError> {
    let mut view = View::new(output, console);
    let mut stream = client.events(None).await?;
    let mut last = String::new();
    loop {
        let lost = follow(&mut stream, &mut view, &mut last).await?;
        view.lost(&lost)?;
        stream = connect_again(client, &last).await?;
        view.found()?;
    }
}

/// Shows what comes until the connection is lost, and returns how.
async fn follow(
    stream: &mut EventStream,
    view: &mut View<'_>,
    last: &mut String,
) -> Result<String, CliError> {
    let mut ticks = interval(DRAW.0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Ok(Some(event)) => {
                    last.clone_from(&event.id);
                    view.event(event)?;
                }
                Ok(None) => return Ok("Reveille ended the stream".to_owned()),
                Err(error) => return Ok(error.to_string()),
            },
            _ = ticks.tick(), if view.draws() => view.tick()?,
        }
    }
}

async fn connect_again(client: &Client, last: &str) -> Result<EventStream, CliError> {
    let mut pause = PAUSES.0;
    loop {
        sleep(pause).await;
        match client.events(Some(last)).await {
            Ok(stream) => return Ok(stream),
            // It is stopping, or has too many who watch.
            Err(ClientError::Refused(problem)) if problem.status >= 500 => {}
            Err(refused @ ClientError::Refused(_)) => return Err(refused.into()),
            Err(ClientError::Unreachable { .. } | ClientError::NotReveille { .. }) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// What the user sees of it.
struct View<'a> {
    console: &'a mut Console,
    form: Form,
    board: Board,
    drawn: Option<Instant>,
    /// Whether the table differs from what is drawn.
    stale: bool,
    /// Why there is no connection, while there is none.
    lost: Option<String>,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A table that is always up to date.
    Table,
    /// A line for each event.
    Lines,
    /// A JSON object for each event.
    Json,
}

impl<'a> View<'a> {
    fn new(output: OutputFormat, console: &'a mut Console) -> Self {
        let form = match output {
            OutputFormat::Json => Form::Json,
            OutputFormat::Table if console.height.is_some() => Form::Table,
            OutputFormat::Table => Form::Lines,
        };
        Self { console, form, board: Board::default(), drawn: None, stale: true, lost: None }
    }

    fn draws(&self) -> bool {
        self.form == Form::Table
    }

    fn event(&mut self, event: SseEvent) -> Result<(), CliError> {
        if self.form == Form::Json {
            // What is no JSON is shown as it came: this is what a program has to go by.
            let data = serde_json::from_str(&event.data).unwrap_or(Value::String(event.data));
            let line = json!({"event": event.name, "id": event.id, "data": data});
            return Ok(self.console.line(&line.to_string())?);
        }
        let news = self.board.take(&event);
        self.stale = true;
        if self.form == Form::Lines {
            news.iter().try_for_each(|news| self.console.line(&lines::line(news)))?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), CliError> {
        let shown_for = self.drawn.map(|drawn| drawn.elapsed());
        if self.stale || shown_for.is_none_or(|shown| shown >= DRAW.1) {
            self.draw()?;
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<(), CliError> {
        self.console.measure();
        let height = self.console.height.unwrap_or(usize::MAX);
        let lost = self.lost.as_deref();
        let lines = self.board.lines(self.console.width, height, self.console.palette, lost);
        // Over what is there, each line to its end, then all below: a cleared screen would flicker.
        let home = if self.drawn.is_none() { "\x1b[2J\x1b[H" } else { "\x1b[H" };
        let text: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        self.console.raw(&format!("{home}{text}\x1b[J"))?;
        (self.drawn, self.stale) = (Some(Instant::now()), false);
        Ok(())
    }

    fn lost(&mut self, why: &str) -> Result<(), CliError> {
        self.lost = Some(why.to_owned());
        match self.form {
            Form::Table => self.draw(),
            Form::Lines | Form::Json => {
                self.console.note(&format!("connection lost: {why}; connecting again"));
                Ok(())
            }
        }
    }

    fn found(&mut self) -> Result<(), CliError> {
        self.lost = None;
        match self.form {
            Form::Table => self.draw(),
            Form::Lines | Form::Json => {
                self.console.note("connected again");
                Ok(())
            }
        }
    }
}
