//! The cases.

use crate::{
    Wanted, apps,
    cold::{held, memory, probing, release, wake},
    error::Result,
    measure::Measure,
    messages::Carrier,
    peers::Service,
    scaling,
    tools::{CLOSE, Tool, UPLOAD},
};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// Every proxy gets the same load: `beside.rs`.
    Beside(Service, Tool),
    /// Of Reveille alone, as nobody else does it.
    Alone(fn(&Wanted) -> Result<Vec<Measure>>),
}

const fn wrk(connections: u32, path: &'static str, script: Option<&'static str>) -> Tool {
    Tool::Wrk { connections, path, script }
}

pub(crate) fn all() -> Vec<Case> {
    let case = |name, what, service, tool| Case { name, what, kind: Kind::Beside(service, tool) };
    let alone = |name, what, measure| Case { name, what, kind: Kind::Alone(measure) };
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
        alone("cold-wake-tcp", "a wake's overhead, ready when it accepts a connection", wake::by_tcp),
        alone("cold-wake-http", "a wake's overhead, ready when it answers a path", wake::by_http),
        alone("cold-release-h1", "1,000 held requests of HTTP/1.1 let go by one wake", release::http1),
        alone(
            "cold-release-h2",
            "1,000 held requests let go by one wake, 10 connections of HTTP/2",
            release::http2,
        ),
        alone("cold-held", "CPU while 10,000 requests are held", held::thousands),
        alone("cold-probing", "CPU while 200 apps start at once and none can answer", probing::many),
        alone("memory-h1", "resident memory of a held request of HTTP/1.1", memory::http1),
        alone(
            "memory-h2",
            "resident memory of a held request, 100 on each connection of HTTP/2",
            memory::http2,
        ),
        alone("apps-gateway", "10,000 apps on the gateway", apps::on_gateway),
        alone("apps-ports", "5,000 apps on ports of their own", apps::on_ports),
        alone("scaling", "HTTP/1.1, 100 bytes, 64 connections, two workers against one", scaling::workers),
    ]
}
