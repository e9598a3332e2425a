//! What the protocol cannot promise: the exceptions of [`Promise`] are real, each with the run that shows it.

use reveille_core::invariants::Promise;
use reveille_tests_model::{Bounds, Protocol, Steps, bounds::Budget, check};

/// The whole protocol, without exceptions.
fn strict(bounds: Bounds) -> Protocol {
    Protocol::new(Steps::all(), bounds).strict()
}

#[test]
fn a_commit_that_outlives_its_controller_and_the_leases() {
    let bounds = Bounds::calm().but(|left| left.deaths = 1);
    check::breaks("limit, a late commit", strict(bounds), Promise::NoneToStopped);
}

#[test]
fn a_wake_by_hand_while_the_replicas_of_before_are_stopping() {
    let bounds = Bounds::calm().but(|left| left.by_hand = 1);
    check::breaks("limit, a wake by hand", strict(bounds), Promise::NoneToStopped);
}

#[test]
fn a_replica_that_was_made_in_place_of_another_as_the_app_fell_asleep() {
    let budget = Budget { requests: 3, attempts: 1, pod_deaths: 1, ..Budget::default() };
    let bounds = Bounds { budget, ..Bounds::calm() };
    check::breaks("limit, a replica made while falling asleep", strict(bounds), Promise::NoneToStopped);
}
