//! The resident memory of one held request: as many as files allow, and half of them before. What one takes is the
//! slope between the two, so that what Reveille needs by itself is no part of it.

use super::{Rig, STREAMS, connections};
use crate::{Wanted, clock, crowd::Over, error::Result, measure::Measure, sleeper_server::Gate};

/// Held at most. Outgoing connections to one port have about 28,000 numbers.
const MOST: usize = 20_000;
/// How long it is given to come to rest.
const REST: std::time::Duration = std::time::Duration::from_millis(500);

pub(crate) fn http1(wanted: &Wanted) -> Result<Vec<Measure>> {
    let count = connections(MOST)? / 2 * 2;
    held(wanted, Over::Http1, count, (16.0, 10.0))
}

pub(crate) fn http2(wanted: &Wanted) -> Result<Vec<Measure>> {
    let connections = connections(MOST / STREAMS)? / 2 * 2;
    held(wanted, Over::Http2 { streams: STREAMS }, connections * STREAMS, (4.0, 2.5))
}

fn held(wanted: &Wanted, over: Over, count: usize, (floor, aim): (f64, f64)) -> Result<Vec<Measure>> {
    let half = count / 2;
    let (mut one, mut below, mut above, mut whole) = (vec![], vec![], vec![], vec![]);
    for _ in 0..wanted.rounds {
        let gate = Gate::new(&wanted.folder)?;
        let rig = Rig::with_room(wanted, &gate)?;
        let mut crowds = Vec::new();
        let mut sizes = Vec::new();
        for (more, others) in [(1, 0), (half, 1), (half, 1 + half)] {
            let over = if more == 1 { Over::Http1 } else { over };
            crowds.push(rig.hold(over, more, others)?);
            clock::pause(REST);
            sizes.push(rig.reveille.resident()?);
        }
        one.push(sizes[0] / 1024.0);
        below.push((sizes[1] - sizes[0]) / half as f64);
        above.push((sizes[2] - sizes[1]) / half as f64);
        whole.push(sizes[2] / 1024.0);
        for crowd in crowds {
            crowd.leave()?;
        }
    }
    Ok(vec![
        Measure::new(format!("a request, from {half} to {count} held"), "KiB", above)
            .at_most(Some(floor), Some(aim)),
        Measure::new(format!("a request, from 1 to {half} held"), "KiB", below),
        Measure::new("all of it, 1 held", "MiB", one),
        Measure::new(format!("all of it, {count} held"), "MiB", whole),
    ])
}
