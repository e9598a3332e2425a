//! The gate under every interleaving that the C11 memory model allows (loom).
//! Runs with `make test-loom`: `RUSTFLAGS="--cfg loom" cargo test -p reveille-core --test gate_loom --release`.
#![cfg(loom)]

use std::time::Instant;

use loom::{sync::Arc, thread};
use reveille_core::gate::{Gate, Kind};

fn open_gate(workers: usize) -> Arc<Gate> {
    let gate = Gate::new(workers, Instant::now());
    gate.set(true);
    Arc::new(gate)
}

/// Either the request sees the shut gate, or the shut sees the request.
#[test]
fn no_request_passes_unseen() {
    loom::model(|| {
        let gate = open_gate(1);
        let reported = gate.counts();
        let request = thread::spawn({
            let gate = gate.clone();
            move || gate.enter(0, Kind::Work).is_open()
        });
        let counts = gate.shut();
        let passed = request.join().unwrap();
        assert!(!passed || counts.started != reported.started, "passed the gate, unseen by the shut");
    });
}

/// A request that begins and ends between the idle report and the shut shows, too.
#[test]
fn a_request_that_came_and_went_shows() {
    loom::model(|| {
        let gate = open_gate(1);
        let reported = gate.counts();
        let request = thread::spawn({
            let gate = gate.clone();
            move || {
                let passed = gate.enter(0, Kind::Work).is_open();
                gate.leave(0, Kind::Work, Instant::now());
                passed
            }
        });
        let counts = gate.shut();
        assert!(counts.in_flight() <= 1);
        let passed = request.join().unwrap();
        assert!(!passed || counts.started != reported.started);
    });
}

/// Two workers: what is in flight is never said to be less than it is.
#[test]
fn in_flight_is_never_understated() {
    loom::model(|| {
        let gate = open_gate(2);
        gate.enter(0, Kind::Work);
        let other = thread::spawn({
            let gate = gate.clone();
            move || {
                // The work on worker 1 begins before that on worker 0 ends: at every instant one is in flight.
                gate.enter(1, Kind::Work);
                gate.leave(0, Kind::Work, Instant::now());
            }
        });
        assert!(gate.counts().in_flight() >= 1, "an instant with nothing in flight never existed");
        other.join().unwrap();
    });
}
