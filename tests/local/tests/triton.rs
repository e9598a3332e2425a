//! A real Triton behind Reveille, called by Triton's own clients.
//!
//! | module | proves |
//! |---|---|
//! | [`alone`] | clients and models do what the other tests take for granted |
//! | [`first_call`] | each kind of call wakes it and gets the right numbers |
//! | [`polls`] | questions about its state neither wake it nor keep it awake |
//! | [`leaving`] | clients that give up leave nothing behind |
//! | [`lasting`] | streams keep it awake, open channels do not |

mod alone;
mod first_call;
mod lasting;
mod leaving;
mod polls;

use reveille_tests_local::{Reveille, Triton, until, wait::secs};

use crate::support::start;

/// How long Triton may take to start or to end: 2 s and 4 s on a quiet machine.
const SOON: std::time::Duration = secs(40);

/// Starts Reveille with one Triton.
#[track_caller]
fn behind(triton: &Triton) -> Reveille {
    start(&[&triton.app])
}

/// Waits until nothing is held or in flight, by the metrics.
#[track_caller]
fn await_quiet(reveille: &Reveille, name: &str) {
    until("nothing is held or in flight", SOON, || {
        ["reveille_held_requests", "reveille_requests_in_flight"]
            .iter()
            .all(|metric| reveille.admin.metric(metric, &[("app", name)]) == 0.0)
    });
}

/// How often it has been woken.
#[track_caller]
fn wakes(reveille: &Reveille, name: &str) -> f64 {
    reveille.admin.metric("reveille_wakes_total", &[("app", name)])
}
