//! The protocol as it is to be built: every promise holds in every state, and every run comes to an end.

use std::time::Instant;

use reveille_tests_model::{Bounds, Protocol, Steps, check, endless};

/// Declares, for each bounds, the two checks.
macro_rules! bounds {
    ($($name:ident, $ends:ident: $bounds:expr, $smaller:expr;)+) => {
        $(
            #[test]
            fn $name() {
                check::holds(stringify!($name), Protocol::new(Steps::all(), $bounds));
            }

            #[test]
            fn $ends() {
                every_run_ends(stringify!($name), &Protocol::new(Steps::all(), $smaller($bounds)));
            }
        )+
    };
}

fn every_run_ends(name: &str, protocol: &Protocol) {
    let start = Instant::now();
    match endless::every_run_ends(protocol) {
        Ok(states) => {
            let text = format!("{} states; {:.1} s", check::grouped(states), start.elapsed().as_secs_f64());
            check::figure(&format!("{name}, every run ends"), &text);
        }
        Err(actions) => panic!("{name}: this run comes back to where it was:\n{}", check::shown(&actions)),
    }
}

/// The same bounds.
fn same(bounds: Bounds) -> Bounds {
    bounds
}

/// With one request: to see that every run ends, more add time and nothing else.
fn one_request(bounds: Bounds) -> Bounds {
    bounds.but(|left| left.requests = 1)
}

bounds! {
    calm, calm_ends: Bounds::calm(), same;
    late_commits, late_commits_end: Bounds::late_commits(), one_request;
    failover, failover_ends: Bounds::failover(), one_request;
    fleet, fleet_ends: Bounds::fleet(), same;
    join_in_failover, join_in_failover_ends: Bounds::join_in_failover(), one_request;
    replicas, replicas_end: Bounds::replicas(), same;
    by_hand, by_hand_ends: Bounds::by_hand(), same;
    other_writers, other_writers_end: Bounds::other_writers(), one_request;
    bypass_with_gauge, bypass_with_gauge_ends: Bounds::bypass(true), one_request;
    bypass_by_hand, bypass_by_hand_ends: Bounds::bypass_by_hand(), one_request;
    bypass_without_gauge, bypass_without_gauge_ends: Bounds::bypass(false), one_request;
}
