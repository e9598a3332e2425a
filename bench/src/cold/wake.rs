//! The overhead of a wake: from the moment at which the app listens to the moment at which the held request's first
//! byte is there. The app takes another time for each start, so that it listens at any point of the prober's pause.

use std::time::Duration;

use super::{APP, Rig, millis};
use crate::{
    Wanted,
    crowd::{Crowd, Over},
    error::{Error, Result},
    measure::Measure,
    reveille::How,
    sleeper_server::{READY, Start},
};

/// How long the app takes before it listens.
const STARTS_IN: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(250));
/// Wakes of a round.
const BY_TCP: usize = 40;
const BY_HTTP: usize = 20;

/// Ready when a connection is accepted, as it is by default.
pub(crate) fn by_tcp(wanted: &Wanted) -> Result<Vec<Measure>> {
    wakes(wanted, "readiness: {tcp: {}}", BY_TCP)
}

/// Ready when a path is answered.
pub(crate) fn by_http(wanted: &Wanted) -> Result<Vec<Measure>> {
    wakes(wanted, &format!("readiness: {{http: {{path: {READY}}}}}"), BY_HTTP)
}

fn wakes(wanted: &Wanted, readiness: &str, each: usize) -> Result<Vec<Measure>> {
    let (least, most) = STARTS_IN;
    let start = Start::After { least, most };
    let rig = Rig::start(wanted, start, &format!("wake: {{{readiness}}}"), How::default())?;
    let (mut overhead, mut launch, mut back, mut total) = (vec![], vec![], vec![], vec![]);
    for _ in 0..wanted.rounds {
        let mut round = Vec::with_capacity(each);
        for _ in 0..each {
            let answers = Crowd::start(Over::Http1, rig.port, 1).answers()?;
            round.extend(answers);
            rig.admin().sleep(APP)?;
        }
        if round.len() != each {
            return Err(Error::new("a request was not answered"));
        }
        overhead.push(round.iter().map(|it| millis(it.server.listens, it.server.reached)).collect());
        launch.push(round.iter().map(|it| millis(it.sent, it.server.runs)).collect());
        back.push(round.iter().map(|it| millis(it.server.reached, it.came)).collect());
        total.push(round.iter().map(|it| millis(it.sent, it.came)).collect());
    }
    let all = each * wanted.rounds;
    let of = |what: &str| format!("{what}, of {all} wakes");
    Ok(vec![
        Measure::quantile("sent to the app's first instruction, p50", "ms", 0.5, &launch),
        Measure::quantile("listens to first byte, p50", "ms", 0.5, &overhead).at_most(Some(5.0), Some(2.0)),
        Measure::quantile(of("listens to first byte, p99"), "ms", 0.99, &overhead)
            .at_most(Some(20.0), Some(5.0)),
        Measure::quantile("first byte to the answer, p50", "ms", 0.5, &back),
        Measure::quantile("sent to the answer, p50", "ms", 0.5, &total),
    ])
}
