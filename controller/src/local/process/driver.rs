//! The task that speaks with one guardian: hands on wishes, hands out events, reaps it, and does its work if
//! it was killed.
//!
//! It lives until the guardian is reaped, however early the handle is dropped: so there is never a zombie,
//! and a run whose handle is gone is cleaned up like any other.

use std::{process::ExitStatus, time::Duration};

use reveille_core::app::AppId;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    Event, Exit, Wish,
    orphans::{self, RunMark},
};
use crate::local::guardian::protocol::{Report, TERMINATE};

/// There are never more events in one run than this, so that sending them never waits.
pub(super) const EVENTS: usize = 3;

/// How long the rest of the output is waited for when its writers have been killed. Their deaths end the
/// pipe: only a process outside the app, to which its end was handed, can make this pass in full.
const REST_OF_OUTPUT: Duration = Duration::from_millis(200);

/// What was heard of the app so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Running {
        pid: i32,
    },
    /// Its first process ended or never was; the rest is being killed.
    Ended {
        pid: Option<i32>,
    },
    Gone,
}

pub(super) struct Driver {
    app: AppId,
    guardian: Child,
    /// The reader of the output; `None` once it ended.
    output: Option<JoinHandle<()>>,
    events: mpsc::Sender<Event>,
    mark: RunMark,
    seen: Seen,
}

impl Driver {
    pub(super) fn new(
        app: AppId,
        guardian: Child,
        output: JoinHandle<()>,
        events: mpsc::Sender<Event>,
        mark: RunMark,
    ) -> Self {
        Self { app, guardian, output: Some(output), events, mark, seen: Seen::Nothing }
    }

    pub(super) async fn run(
        mut self,
        start: Vec<u8>,
        mut control: ChildStdin,
        report: ChildStdout,
        mut wishes: watch::Receiver<Wish>,
    ) {
        // It fails only if the guardian was killed already: then the report pipe ends, too.
        let _ = control.write_all(&start).await;
        let mut control = Some(control);
        let mut reports = BufReader::new(report).lines();
        loop {
            tokio::select! {
                line = reports.next_line() => match line.and_then(|line| line.map(|l| Report::decode(&l)).transpose()) {
                    Ok(Some(report)) => self.hear(report).await,
                    Ok(None) | Err(_) => break,
                },
                changed = wishes.changed(), if control.is_some() => {
                    let wish = changed.map_or(Wish::Kill, |()| *wishes.borrow_and_update());
                    match (wish, &mut control) {
                        (Wish::Terminate, Some(pipe)) => { let _ = pipe.write_all(&[TERMINATE]).await; }
                        (Wish::Kill, _) => control = None,
                        (Wish::Run, _) | (_, None) => {}
                    }
                }
            }
        }
        // Should the guardian be alive and its reports unreadable, this ends it: `wait` must not hang.
        drop(control);
        let status = self.guardian.wait().await.ok();
        if self.seen != Seen::Gone {
            self.replace_guardian(status).await;
        }
        self.finish_output().await;
        if let Some(output) = self.output.take() {
            output.abort();
        }
        self.tell(Event::Gone);
    }

    async fn hear(&mut self, report: Report) {
        match report {
            Report::Started { pid } => {
                self.seen = Seen::Running { pid };
                tracing::debug!(app = %self.app, pid, "the app's process runs");
                self.tell(Event::Started { pid: pid.unsigned_abs() });
            }
            Report::CannotStart { reason } => {
                self.seen = Seen::Ended { pid: None };
                self.tell(Event::CannotStart { reason });
            }
            Report::ExitedWithCode(code) => self.ended(Exit::Code(code)).await,
            Report::EndedBySignal(signal) => self.ended(Exit::Signal(signal)).await,
            Report::Gone => self.seen = Seen::Gone,
        }
    }

    async fn ended(&mut self, exit: Exit) {
        self.seen = Seen::Ended { pid: self.pid() };
        self.finish_output().await;
        tracing::debug!(app = %self.app, "the app's process {exit}");
        self.tell(Event::Exited(exit));
    }

    /// Kills what a killed guardian was to kill.
    async fn replace_guardian(&mut self, status: Option<ExitStatus>) {
        let how = status.map_or_else(|| "its end was not seen".into(), |status| status.to_string());
        tracing::warn!(
            app = %self.app, guardian = %how,
            "the app's guardian process died; killing the app, which nothing else would do if Reveille died now",
        );
        orphans::kill_all(&self.app, self.pid(), &self.mark).await;
        match self.seen {
            Seen::Nothing => {
                let reason =
                    format!("its guardian process (rv-guardian) died before it could start it: {how}");
                self.tell(Event::CannotStart { reason });
            }
            Seen::Running { .. } => self.ended(Exit::GuardianLost).await,
            Seen::Ended { .. } | Seen::Gone => {}
        }
    }

    fn pid(&self) -> Option<i32> {
        match self.seen {
            Seen::Running { pid } => Some(pid),
            Seen::Ended { pid } => pid,
            Seen::Nothing | Seen::Gone => None,
        }
    }

    /// Waits until all that was printed has been read.
    async fn finish_output(&mut self) {
        if let Some(output) = &mut self.output
            && timeout(REST_OF_OUTPUT, output).await.is_ok()
        {
            self.output = None;
        }
    }

    fn tell(&self, event: Event) {
        // There is room: see `EVENTS`. Nobody listens to a dropped handle.
        let _ = self.events.try_send(event);
    }
}
