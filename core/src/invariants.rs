//! What must always hold, by name. Tests and `debug_assert!` use the same functions.
//!
//! Two kinds: facts about one value or one step, which a function can see, and promises of the whole
//! sleep protocol ([`Promise`]), which only a view of everything can see. Those are checked by `tests/model`, which
//! tries every order of events within its bounds and calls the functions for each single step.

use crate::{activity::Activity, directory::AppEntry, phase::Phase};

/// Phases follow each other only as [`Phase::may_become`] draws it.
pub fn phases_follow(from: Phase, to: Phase) -> bool {
    from.may_become(to)
}

/// An app that is asleep has no endpoint that could be called.
pub fn asleep_has_no_endpoint(entry: &AppEntry) -> bool {
    entry.phase != Phase::Asleep || entry.endpoints.is_empty()
}

/// Every endpoint has an address for every port.
pub fn endpoints_cover_ports(entry: &AppEntry) -> bool {
    entry.endpoints.iter().all(|endpoint| endpoint.addresses.len() == entry.ports.len())
}

/// The check of the sleep protocol: nothing came since the idle report, and nothing is in flight.
pub fn nothing_passed(reported: &Activity, at_shut: &Activity) -> bool {
    reported.started == at_shut.started && at_shut.in_flight == 0
}

/// The same for all activators, in one order: as many answered as had reported, and nothing passed at any.
pub fn nothing_passed_anywhere(reported: &[Activity], at_shut: &[Activity]) -> bool {
    reported.len() == at_shut.len()
        && reported.iter().zip(at_shut).all(|(reported, at_shut)| nothing_passed(reported, at_shut))
}

/// Held requests are among those in flight.
pub fn held_is_in_flight(activity: &Activity) -> bool {
    activity.held <= activity.in_flight
}

/// A wake's write of the replicas, as an activator sends it: it raises them or leaves them. [`Promise::OnlyRaised`]
/// for one write.
pub fn only_raises(before: u32, after: u32) -> bool {
    after >= before
}

/// What the sleep protocol promises, in `docs/architecture.md` and to every user.
///
/// "Told to stop" means by Reveille: because its count was committed to 0 by the protocol. Three kinds of end are to the
/// activators what a replica that dies by itself is to them, and are no more Reveille's promise than that is:
///
/// - by **a late commit**: one that was sent while every gate was shut, whose controller then died or froze, and which
///   reached the API server only after a lease had ended and before any controller led and fenced the app;
/// - after **a wake by others**, who raised the count without looking whether the replicas of before are gone from the
///   slices: they may be stopped although they are wanted again;
/// - of **a replacement**: a replica that was made in place of one that had died, as the app fell asleep, and that no
///   slice showed yet to whoever woke the app again.
///
/// `tests/model` shows that none of the three can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Promise {
    /// See [`statement`](Self::statement), here and below.
    NoneLost,
    /// No replica that ends gets more.
    NoneToStopped,
    /// Liveness, as far as it can be said of a state.
    NeverShutForEver,
    /// A wake is never undone.
    WakeWins,
    /// Activators cannot shrink an app.
    OnlyRaised,
    /// Only idle apps are put to sleep.
    OnlyIdle,
}

impl Promise {
    /// Every promise.
    pub const ALL: [Self; 6] = [
        Self::NoneLost,
        Self::NoneToStopped,
        Self::NeverShutForEver,
        Self::WakeWins,
        Self::OnlyRaised,
        Self::OnlyIdle,
    ];

    /// Its name in reports and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoneLost => "no request lost",
            Self::NoneToStopped => "none sent to a replica that was told to stop",
            Self::NeverShutForEver => "never shut for ever",
            Self::WakeWins => "wake always wins",
            Self::OnlyRaised => "an activator's write never lowers replicas",
            Self::OnlyIdle => "only idle apps fall asleep",
        }
    }

    /// What exactly it says.
    pub const fn statement(self) -> &'static str {
        match self {
            Self::NoneLost => {
                "No replica is told to stop while it serves a request. (A request on an activator or replica that dies \
                 is not meant: its connection broke.)"
            }
            Self::NoneToStopped => {
                "No request is sent to a replica that was told to stop, whatever slices and nodes still say of it."
            }
            Self::NeverShutForEver => {
                "When nothing is left that could happen but faults and new requests, then no request is held, and \
                 every activator would either pass a new one to a replica that serves, or wake the app for it. As \
                 every run of the protocol comes to such a state, each held request is served in the end."
            }
            Self::WakeWins => {
                "A commit of 0 is never applied to a count that was raised since the attempt began. Together with \
                 `never shut for ever`: a request that is held while the count is 0 leads to a count above 0 and to \
                 an answer."
            }
            Self::OnlyRaised => "A write of an activator never leaves the count lower than it found it.",
            Self::OnlyIdle => {
                "When a commit of 0 is sent, no request has passed to the app since the report that called it idle."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn activity(started: u64, in_flight: u64) -> Activity {
        Activity { started, in_flight, held: 0, quiet: Duration::ZERO }
    }

    #[test]
    fn something_passed_if_any_count_differs_or_any_activator_is_missing() {
        let reported = [activity(7, 0), activity(0, 0)];
        assert!(nothing_passed_anywhere(&reported, &reported));
        assert!(!nothing_passed_anywhere(&reported, &reported[..1]));
        assert!(!nothing_passed_anywhere(&reported, &[activity(8, 0), activity(0, 0)]), "came and went");
        assert!(!nothing_passed_anywhere(&reported, &[activity(7, 0), activity(0, 1)]), "in flight");
    }

    #[test]
    fn promises_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            Promise::ALL.iter().map(|promise| promise.name()).collect();
        assert_eq!(names.len(), Promise::ALL.len());
    }
}
