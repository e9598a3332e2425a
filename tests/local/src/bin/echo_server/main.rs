//! Servers of what is not HTTP/1.1, to stand behind Reveille. They start, fail, stop and log as the slow server
//! does (`server.rs` of the library), and add to the log what reached them and how it ended.
//!
//! | arguments | speaks |
//! |---|---|
//! | `grpc` | gRPC: an echo of all four kinds of calls, and `grpc.health.v1` |
//! | `ws` | WebSocket |
//! | `tcp echo`, `banner`, `count`, `slow`, `farewell` | bytes |
//! | `h2c` | HTTP/2 with prior knowledge, misbehaving on demand |
//!
//! What each can be asked for stands at the top of its module.

mod goaway;
mod grpc;
mod h2c;
mod tcp;
mod ws;

use std::{
    env, io,
    net::{TcpListener, TcpStream},
    thread,
};

use reveille_tests_local::server::{self, Log};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (log, listener) = server::start()?;
    match words[..] {
        ["grpc"] => grpc::serve(log, listener),
        ["ws"] => each(&log, &listener, ws::serve),
        ["tcp", variant] => {
            let variant = tcp::Variant::of(variant)?;
            each(&log, &listener, move |stream, log| tcp::serve(variant, stream, log))
        }
        ["h2c"] => match server::number("ECHO_GOAWAY_AFTER") {
            Some(count) => each(&log, &listener, move |stream, log| goaway::serve(count, stream, log)),
            None => h2c::serve(log, listener),
        },
        _ => Err(io::Error::other("the argument is grpc, ws, tcp VARIANT or h2c")),
    }
}

/// A thread for each connection. What it fails with goes to the log: a test that awaits it sees it there.
fn each<F>(log: &Log, listener: &TcpListener, serve: F) -> io::Result<()>
where
    F: Fn(TcpStream, &Log) -> io::Result<()> + Clone + Send + 'static,
{
    for stream in listener.incoming() {
        let (stream, log, serve) = (stream?, log.clone(), serve.clone());
        stream.set_nodelay(true)?;
        log.write("connection", "");
        thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            if let Err(error) = serve(stream, &log) {
                log.write("broken", &error.to_string());
            }
        })?;
    }
    Ok(())
}

/// A runtime for the servers that need one, with its listener in it.
fn run<F>(listener: TcpListener, log: &Log, serve: impl Fn(tokio::net::TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            log.write("connection", "");
            tokio::spawn(serve(stream));
        }
    })
}
