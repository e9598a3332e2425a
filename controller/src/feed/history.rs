//! What happened to an app lately, for people who come after it: its last wakes, and what went wrong. Kept in memory, since
//! this process began (in a cluster: since it leads).

use std::collections::VecDeque;

use jiff::Timestamp;
use reveille_core::{
    api::{AppError, AppHistory, AppStatus, WakeStatus},
    wake::Outcome,
};

/// How many of each are kept.
const KEPT: usize = 10;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct History {
    /// The newest first.
    wakes: VecDeque<WakeStatus>,
    errors: VecDeque<AppError>,
    /// What was last wrong, so that it is an error once.
    problem: Option<String>,
}

impl History {
    /// The app stands like this.
    pub(super) fn note(&mut self, time: Timestamp, status: &AppStatus) {
        if let Some(wake) = status.wake.as_ref().filter(|wake| wake.outcome.is_some())
            && !self.wakes.iter().any(|known| known.id == wake.id && known.started == wake.started)
        {
            if let Some(Outcome::Failed(failure)) = &wake.outcome {
                self.add_error(time, format!("a wake failed: {}", failure.reason));
            }
            self.wakes.push_front(wake.clone());
            self.wakes.truncate(KEPT);
        }
        if self.problem != status.problem {
            self.problem.clone_from(&status.problem);
            if let Some(problem) = &status.problem {
                self.add_error(time, problem.clone());
            }
        }
    }

    fn add_error(&mut self, time: Timestamp, what: String) {
        self.errors.push_front(AppError { time, what });
        self.errors.truncate(KEPT);
    }

    pub(super) fn told(&self) -> AppHistory {
        AppHistory {
            wakes: self.wakes.iter().cloned().collect(),
            errors: self.errors.iter().cloned().collect(),
        }
    }
}
