//! When holding a request would be pointless, and what it is told instead.

use std::time::{Duration, Instant};

use reveille_core::{
    directory::{AppEntry, WakeState},
    phase::Phase,
    wake::FailureKind,
};

use super::{App, State};
use crate::{
    drain::Stage,
    error::{Error, Kind},
};

/// What a client is told to wait if nothing is known about the app's wakes.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// When the request arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Before the news: it waited for that wake.
    Before,
    /// Just now.
    Now,
}

impl App {
    /// Why waiting is pointless, if it is.
    pub(super) fn hopeless(&self, state: &State, since: Since) -> Option<Error> {
        let id = &self.id;
        if state.gone {
            let detail = format!("{id} was taken out of the configuration");
            return Some(Error::new(Kind::AppRemoved, detail).for_app(id));
        }
        if self.shared.stage() >= Stage::Forced {
            let detail = format!("Reveille is stopping and {id} is not ready; try again");
            return Some(Error::new(Kind::Draining, detail).for_app(id).retry_after(DEFAULT_RETRY_AFTER));
        }
        let asleep = matches!(state.entry.phase, Phase::Asleep | Phase::FallingAsleep);
        if asleep && !state.entry.wake_on_request {
            let detail = match id.is_local() {
                true => format!(
                    "{id} was put to sleep by hand and requests do not wake it: `reveille wake {}`",
                    id.name
                ),
                false => format!(
                    "requests do not wake {id}: its ScaledApp is suspended, or it was put to sleep by hand; see `{}`",
                    id.shown_by()
                ),
            };
            return Some(Error::new(Kind::AsleepByHand, detail).for_app(id));
        }
        let WakeState::Failed { id: wake, failure, retry_at } = &state.entry.wake else { return None };
        let pause = retry_at.checked_duration_since(Instant::now()).filter(|pause| !pause.is_zero())?;
        let (kind, what) = match (since, failure.kind) {
            (Since::Before, FailureKind::Deadline) => (Kind::HoldDeadline, "was not ready in time"),
            (Since::Before, _) => (Kind::WakeFailed, "could not be woken"),
            (Since::Now, _) => (Kind::WakePaused, "could not be woken"),
        };
        let detail = format!("{id} {what}: {}; see `{}`", failure.reason, id.shown_by());
        Some(Error::new(kind, detail).for_app(id).in_wake(wake).retry_after(pause))
    }
}

/// What remains of the wake in progress, going by earlier ones: for `Retry-After`.
pub(super) fn eta(entry: &AppEntry) -> Duration {
    match &entry.wake {
        WakeState::InProgress { since, usual: Some(usual), .. } => {
            usual.saturating_sub(since.elapsed()).max(Duration::from_secs(1))
        }
        _ => DEFAULT_RETRY_AFTER,
    }
}
