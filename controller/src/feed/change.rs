//! Which kind of event a new status is: pure.
//!
//! What only time changes (a countdown that counts down) is no event. A countdown that begins anew is one.

use jiff::Timestamp;
use reveille_core::api::{AppStatus, WakeStatus};

/// A countdown that is off by more than this was set anew, in milliseconds.
const JUMP_MS: u64 = 1_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The app is in another phase.
    Phase,
    /// A wake began, reached a step or ended.
    Wake,
    /// Other numbers of requests are held or in flight, or it falls asleep at another time.
    Counts,
    /// Something else about it: configuration, a schedule, how long it stays awake.
    Changed,
    /// There is no such app any more.
    Gone,
}

impl Kind {
    /// The name of the event in the stream.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Wake => "wake",
            Self::Counts => "counts",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// What the difference is; the one that matters most if there are several, none if there is none.
pub(super) fn kind_of(before: Option<(Timestamp, &AppStatus)>, now: (Timestamp, &AppStatus)) -> Option<Kind> {
    let Some(before) = before else { return Some(Kind::Changed) };
    let (old, new) = (before.1, now.1);
    if (old.phase, old.since) != (new.phase, new.since) {
        Some(Kind::Phase)
    } else if old.wake.as_ref().map(lasting) != new.wake.as_ref().map(lasting) {
        Some(Kind::Wake)
    } else if (old.held, old.in_flight) != (new.held, new.in_flight) || sleeps_at_another_time(before, now) {
        Some(Kind::Counts)
    } else {
        (of_no_time(old) != of_no_time(new)).then_some(Kind::Changed)
    }
}

/// The wake without what time changes.
fn lasting(wake: &WakeStatus) -> WakeStatus {
    WakeStatus { eta_ms: None, ..wake.clone() }
}

fn of_no_time(status: &AppStatus) -> AppStatus {
    AppStatus {
        sleeps_in_ms: None,
        retry_in_ms: None,
        asleep_ms: 0,
        saved: None,
        wake: None,
        ..status.clone()
    }
}

fn sleeps_at_another_time(before: (Timestamp, &AppStatus), now: (Timestamp, &AppStatus)) -> bool {
    let at = |(time, status): (Timestamp, &AppStatus)| {
        let left = i64::try_from(status.sleeps_in_ms?).unwrap_or(i64::MAX);
        Some(time.as_millisecond().saturating_add(left))
    };
    match (at(before), at(now)) {
        (None, None) => false,
        (Some(old), Some(new)) => old.abs_diff(new) > JUMP_MS,
        (None, Some(_)) | (Some(_), None) => true,
    }
}
