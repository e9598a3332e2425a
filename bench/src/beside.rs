//! How a case beside the others is run: in rounds, the proxies in turns, each round beginning with another one.

use serde::Serialize;

use crate::{
    Wanted,
    cpu::{Cpu, LOAD_CORE},
    error::{Error, Result},
    messages,
    peers::{Peer, Peers, Service},
    steady,
    tools::{self, Tool},
};

/// One run of one proxy.
#[derive(Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) peer: &'static str,
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// CPU time of the proxy, in microseconds a request.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) user_us: Option<f64>,
    /// Which share of its core it used.
    pub(crate) busy: Option<f64>,
    /// In microseconds, of a steady load.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

/// The runs of each round.
pub(crate) type Rounds = Vec<Vec<Run>>;

pub(crate) fn run(service: Service, tool: Tool, peers: &Peers, wanted: &Wanted) -> Result<Rounds> {
    let taking_part: Vec<_> = peers.all.iter().filter(|peer| peer.port(service).is_some()).collect();
    let mut rounds = Vec::new();
    for round in 0..wanted.rounds {
        let mut runs = Vec::new();
        for turn in 0..taking_part.len() {
            let peer = taking_part[(round + turn) % taking_part.len()];
            let run = measure(service, tool, peer, wanted);
            runs.push(run.map_err(Error::of(format!("through {}", peer.name)))?);
        }
        rounds.push(runs);
    }
    Ok(rounds)
}

fn measure(service: Service, tool: Tool, peer: &Peer, wanted: &Wanted) -> Result<Run> {
    let seconds = wanted.seconds;
    let port = peer.port(service).ok_or_else(|| Error::new("it does not take part"))?;
    let before = Cpu::of(&peer.pids)?;
    let (load, latency) = match tool {
        Tool::Steady { rate } => {
            let steady = steady::run(port, rate, seconds)?;
            (steady.load, Some((steady.p50, steady.p99)))
        }
        Tool::Messages(carrier) => (messages::run(carrier, port, seconds)?, None),
        tool => (tools::run(tool, port, seconds, &wanted.folder, LOAD_CORE)?, None),
    };
    let used = Cpu::of(&peer.pids)?.since(before);
    let per_request = |time: std::time::Duration| {
        let requests = (load.requests + load.warm_up).max(1);
        (!peer.pids.is_empty()).then(|| time.as_secs_f64() * 1e6 / requests as f64)
    };
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    Ok(Run {
        peer: peer.name,
        requests: load.requests,
        per_second: load.per_second(),
        cpu_us: per_request(used.total),
        user_us: per_request(used.user),
        busy: (!peer.pids.is_empty()).then(|| used.total.as_secs_f64() / load.took.as_secs_f64()),
        p50_us: latency.map(|(p50, _)| micros(p50)),
        p99_us: latency.map(|(_, p99)| micros(p99)),
    })
}
