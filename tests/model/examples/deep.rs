//! Wider bounds than those of the tests, for an evening: minutes and gigabytes each.
//!
//! `cargo run -p reveille-tests-model --example deep [NAME]...`

use reveille_tests_model::{
    Bounds, Protocol, Steps,
    bounds::{Budget, Mode},
    check,
    state::Life,
};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, bounds) in all() {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            check::holds(name, Protocol::new(Steps::all(), bounds));
        }
    }
}

fn all() -> [(&'static str, Bounds); 5] {
    let faults = Budget {
        requests: 1,
        attempts: 1,
        timeouts: 1,
        crashes: 1,
        deaths: 1,
        lates: 1,
        by_hand: 1,
        pod_deaths: 1,
        ..Budget::default()
    };
    let joins = Bounds { activators: [Life::Ready, Life::Absent], standby: true, ..Bounds::calm() };
    [
        ("deep-faults", Bounds { standby: true, budget: faults, ..Bounds::calm() }),
        ("deep-failover", Bounds::failover().but(|left| left.requests = 3)),
        ("deep-fleet", Bounds::fleet().but(|left| left.attempts = 2)),
        (
            "deep-three-attempts",
            Bounds { standby: true, ..Bounds::calm() }.but(|left| {
                *left = Budget { requests: 2, attempts: 3, deaths: 1, lates: 1, ..Budget::default() };
            }),
        ),
        (
            "deep-bypass",
            Bounds { mode: Mode::Bypass { gauge: false }, ..joins }.but(|left| {
                *left =
                    Budget { requests: 2, attempts: 2, joins: 1, deaths: 1, lates: 1, ..Budget::default() };
            }),
        ),
    ]
}
