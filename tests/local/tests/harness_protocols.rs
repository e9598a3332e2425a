//! The echo servers and the clients of HTTP/2, gRPC, WebSocket and TCP, directly at each other: what the other tests find
//! with Reveille between them is then Reveille's.

mod bytes;
mod grpc;
mod http_2;

use reveille_tests_local::{App, Conn, app::Alone, until};

use crate::support::SOON;

/// Starts an app without Reveille and waits until it listens.
fn alone(app: &App) -> Alone {
    let server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    server
}
