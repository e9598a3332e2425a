//! What must always hold, by name. Tests and `debug_assert!` use the same functions.

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

/// Held requests are among those in flight.
pub fn held_is_in_flight(activity: &Activity) -> bool {
    activity.held <= activity.in_flight
}
