//! The echo servers as apps: gRPC, WebSocket, TCP and HTTP/2 with prior knowledge.

use super::App;
use crate::product;

impl App {
    /// The gRPC echo server (`bin/echo_server/grpc.rs` says what it can be asked for).
    pub fn grpc(name: &str) -> Self {
        Self::echo(name, &["grpc"])
    }

    /// The WebSocket echo server (`bin/echo_server/ws.rs`).
    pub fn ws(name: &str) -> Self {
        Self::echo(name, &["ws"])
    }

    /// The TCP echo server (`bin/echo_server/tcp.rs`): `echo`, `banner`, `count` or `slow`.
    pub fn tcp(name: &str, variant: &str) -> Self {
        Self::echo(name, &["tcp", variant])
    }

    /// The HTTP/2 server (`bin/echo_server/h2c.rs`), which misbehaves on demand.
    pub fn h2c(name: &str) -> Self {
        Self::echo(name, &["h2c"])
    }

    fn echo(name: &str, arguments: &[&str]) -> Self {
        let program = product::echo_server().display().to_string();
        let mut app = Self::new(name, vec![program]);
        app.command.extend(arguments.iter().map(|&word| word.to_owned()));
        let (port, log) = (app.upstream.to_string(), app.log().display().to_string());
        app.env("SLOW_PORT", &port).env("SLOW_LOG", &log)
    }

    /// How often an echo server logged an event of a kind whose detail begins so.
    pub fn count(&self, kind: &str, detail: &str) -> usize {
        self.events(kind).iter().filter(|event| event.detail.starts_with(detail)).count()
    }
}
