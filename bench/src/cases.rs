//! The cases, and how one is run: in rounds, the proxies in turns, each round beginning with another one.

use serde::Serialize;

use crate::{
    Wanted,
    cpu::Cpu,
    error::{Error, Result},
    messages::{self, Carrier},
    peers::{Peer, Peers, Service},
    steady,
    tools::{self, CLOSE, Tool, UPLOAD},
};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    what: &'static str,
    service: Service,
    tool: Tool,
}

/// One run of one proxy.
#[derive(Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) peer: &'static str,
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// CPU time of the proxy, in microseconds a request.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) user_us: Option<f64>,
    /// In microseconds, of a steady load.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

#[derive(Serialize)]
pub(crate) struct CaseResult {
    pub(crate) case: &'static str,
    pub(crate) what: &'static str,
    pub(crate) rounds: Vec<Vec<Run>>,
}

const fn wrk(connections: u32, path: &'static str, script: Option<&'static str>) -> Tool {
    Tool::Wrk { connections, path, script }
}

pub(crate) fn all() -> Vec<Case> {
    let case = |name, what, service, tool| Case { name, what, service, tool };
    vec![
        case("h1-small-64", "HTTP/1.1, 100 bytes, 64 connections", Service::Http, wrk(64, "/", None)),
        case("h1-small-1", "HTTP/1.1, 100 bytes, 1 connection", Service::Http, wrk(1, "/", None)),
        case("h1-small-512", "HTTP/1.1, 100 bytes, 512 connections", Service::Http, wrk(512, "/", None)),
        case("h1-close", "HTTP/1.1, one request a connection", Service::Http, wrk(64, "/", Some(CLOSE))),
        case("h1-1mib-down", "HTTP/1.1, 1 MiB to the client", Service::Http, wrk(16, "/1mib", None)),
        case("h1-1mib-up", "HTTP/1.1, 1 MiB from the client", Service::Http, wrk(16, "/sink", Some(UPLOAD))),
        case(
            "h2-small",
            "HTTP/2 to HTTP/1.1, 100 bytes, 8 connections of 16 streams",
            Service::Http2,
            Tool::H2load { clients: 8, streams: 16, path: "/", grpc: false },
        ),
        case(
            "grpc-unary",
            "gRPC, 100 bytes each way, 8 connections of 16 streams",
            Service::Grpc,
            Tool::H2load { clients: 8, streams: 16, path: "/bench.Echo/Unary", grpc: true },
        ),
        case("tcp-small", "TCP, HTTP/1.1 in it, 100 bytes, 64 connections", Service::Tcp, wrk(64, "/", None)),
        case("tcp-1mib", "TCP, 1 MiB to the client", Service::Tcp, wrk(16, "/1mib", None)),
        case(
            "messages-websocket",
            "WebSocket, a message of 100 bytes and its answer, 64 connections",
            Service::WebSocket,
            Tool::Messages(Carrier::WebSocket),
        ),
        case(
            "messages-grpc",
            "gRPC streaming, a message of 100 bytes and its answer, 8 connections of 8 streams",
            Service::Grpc,
            Tool::Messages(Carrier::Grpc),
        ),
        case(
            "messages-tcp",
            "TCP, a message of 100 bytes and its answer, 64 connections",
            Service::Messages,
            Tool::Messages(Carrier::Tcp),
        ),
        case(
            "latency-1000",
            "HTTP/1.1, 1,000 requests a second, sent at their time",
            Service::Http,
            Tool::Steady { rate: 1_000 },
        ),
    ]
}

pub(crate) fn run(case: &Case, peers: &Peers, wanted: &Wanted) -> Result<CaseResult> {
    let taking_part: Vec<_> = peers.all.iter().filter(|peer| peer.port(case.service).is_some()).collect();
    let mut rounds = Vec::new();
    for round in 0..wanted.rounds {
        let mut runs = Vec::new();
        for turn in 0..taking_part.len() {
            let peer = taking_part[(round + turn) % taking_part.len()];
            let run = measure(case, peer, peers, wanted.seconds)
                .map_err(Error::of(format!("{} through {}", case.name, peer.name)))?;
            runs.push(run);
        }
        rounds.push(runs);
    }
    Ok(CaseResult { case: case.name, what: case.what, rounds })
}

fn measure(case: &Case, peer: &Peer, peers: &Peers, seconds: u64) -> Result<Run> {
    let port = peer.port(case.service).ok_or_else(|| Error::new("it does not take part"))?;
    let before = Cpu::of(&peer.pids)?;
    let (load, latency) = match case.tool {
        Tool::Steady { rate } => {
            let steady = steady::run(port, rate, seconds)?;
            (steady.load, Some((steady.p50, steady.p99)))
        }
        Tool::Messages(carrier) => (messages::run(carrier, port, seconds)?, None),
        tool => (tools::run(tool, port, seconds, &peers.folder)?, None),
    };
    let used = Cpu::of(&peer.pids)?.since(before);
    let per_request = |time: std::time::Duration| {
        (!peer.pids.is_empty()).then(|| time.as_secs_f64() * 1e6 / load.requests.max(1) as f64)
    };
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    Ok(Run {
        peer: peer.name,
        requests: load.requests,
        per_second: load.requests as f64 / load.took.as_secs_f64(),
        cpu_us: per_request(used.total()),
        user_us: per_request(used.user),
        p50_us: latency.map(|(p50, _)| micros(p50)),
        p99_us: latency.map(|(_, p99)| micros(p99)),
    })
}
