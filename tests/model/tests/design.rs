//! The protocol as it was first designed, without what this model asked for: which promises it broke.

use reveille_core::invariants::Promise;
use reveille_tests_model::{Bounds, Protocol, Step, Steps, check};

#[test]
fn the_first_design_sent_requests_to_stopping_replicas() {
    check::breaks("first design", Protocol::new(Steps::designed(), Bounds::calm()), Promise::NoneToStopped);
}

#[test]
fn the_first_design_could_shut_an_app_for_ever() {
    check::breaks(
        "first design",
        Protocol::new(Steps::designed(), Bounds::calm()),
        Promise::NeverShutForEver,
    );
}

/// A wake that is quicker than the workload's controller: the replica of before survives, barred everywhere.
#[test]
fn a_replica_that_survives_its_stop_was_barred_for_ever() {
    let steps = Steps::all().without(Step::StopBeforeWake).without(Step::LookAgain);
    check::breaks("a survivor", Protocol::new(steps, Bounds::calm()), Promise::NeverShutForEver);
}
