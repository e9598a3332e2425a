//! A small HTTP/1.1 server that starts slowly, answers slowly, fails on demand and logs all that reaches it.
//!
//! A thread per connection and blocking I/O: what the tests ask of it is to be obvious. It is told what to do
//! by its environment: the variables of `server.rs`, and
//!
//! | variable | meaning |
//! |---|---|
//! | `SLOW_REQUEST_MS` | how long it thinks about each request |
//! | `SLOW_NAME` | what `/name` answers |
//!
//! What each path answers: `routes.rs`.

mod request;
mod routes;

use std::{io, thread};

use reveille_tests_local::server;

/// Deep enough for all that a connection's thread does; a thousand of them are small.
const STACK: usize = 128 * 1024;

fn main() -> io::Result<()> {
    let (log, listener) = server::start()?;
    for stream in listener.incoming() {
        let (stream, log) = (stream?, log.clone());
        log.write("connection", "");
        thread::Builder::new().stack_size(STACK).spawn(move || {
            // An error here is a client that left, which the tests see from their side.
            let _ = routes::serve(stream, &log);
        })?;
    }
    Ok(())
}
