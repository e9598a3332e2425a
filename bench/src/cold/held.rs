//! CPU time while thousands are held. One request alone shows what the probing of the app that starts costs: the rest is
//! what the others do.

use std::time::{Duration, Instant};

use super::{APP, Rig, STREAMS, connections};
use crate::{Wanted, crowd::Over, error::Result, measure::Measure, sleeper_server::Gate};

const COUNT: usize = 10_000;
/// From the first request on: by then the others are held, and the prober, whose pauses grow, stands at the same
/// point.
const BEGINS_AFTER: Duration = Duration::from_secs(5);

/// On HTTP/1.1 a connection each, on HTTP/2 a hundred a connection.
pub(crate) fn thousands(wanted: &Wanted) -> Result<Vec<Measure>> {
    let count = connections(COUNT)?;
    let streams = Over::Http2 { streams: STREAMS };
    let alone = shares(wanted, Over::Http1, 0)?;
    let http1 = shares(wanted, Over::Http1, count)?;
    let http2 = shares(wanted, streams, COUNT)?;
    let unit = "% of a core";
    let added =
        |crowded: &[f64]| crowded.iter().zip(&alone).map(|(crowded, alone)| crowded - alone).collect();
    let target = |measure: Measure| measure.at_most(Some(1.0), Some(0.0));
    Ok(vec![
        target(Measure::new(format!("HTTP/1.1: {count} more than one"), unit, added(&http1))),
        target(Measure::new(format!("HTTP/2: {COUNT} more than one"), unit, added(&http2))),
        Measure::new("one held, its app probed", unit, alone),
        Measure::new(format!("HTTP/1.1: 1 + {count} held, their app probed"), unit, http1),
        Measure::new(format!("HTTP/2: 1 + {COUNT} held, their app probed"), unit, http2),
    ])
}

/// Which share of a core Reveille needs in each round, with one request and so many others held.
fn shares(wanted: &Wanted, over: Over, others: usize) -> Result<Vec<f64>> {
    let gate = Gate::new(&wanted.folder)?;
    let rig = Rig::with_room(wanted, &gate)?;
    let first = Instant::now();
    let mut crowds = vec![rig.hold(Over::Http1, 1, 0)?];
    if others > 0 {
        crowds.push(rig.hold(over, others, 1)?);
    }
    let begin = Instant::now().max(first + BEGINS_AFTER);
    let shares = rig.reveille.shares(begin, wanted.rounds, Duration::from_secs(wanted.seconds))?;
    // Nobody has left meanwhile.
    rig.admin().wait_held(APP, 1 + others)?;
    for crowd in crowds {
        crowd.leave()?;
    }
    Ok(shares)
}
