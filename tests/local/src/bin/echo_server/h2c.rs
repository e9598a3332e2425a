//! HTTP/2 with prior knowledge, on the h2 crate: what a server may do to its clients is all in its reach.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | method, target, authority, scheme, fields, body and trailers as JSON |
//! | `/sink` | length and hash of the body as JSON |
//! | `/lazy?ms=N` | the same, but the body is left unread for N ms |
//! | `/slow?ms=N` | `slow` after N ms |
//! | `/big?bytes=N` | N bytes |
//! | `/drip?bytes=N&ms=M` | N bytes of known length, one every M ms |
//! | `/sse?events=N&ms=M` | N events, each with the time at which it was sent |
//! | `/chunked` | `one two three` and the trailers `x-sum`, `x-end` |
//! | `/hints?count=N` | N times (1) 103 with a `link`, then `hints` |
//! | `/status?code=N` | that status, without a body |
//! | `/early?ms=N` | 413 after N ms, its body unread |
//! | `/unread?bytes=N&ms=M` | as `/drip`, its body unread |
//! | `/rst?code=N` | a reset instead of an answer |
//! | `/rst?code=N&bytes=M` | a reset after the head and M bytes |
//! | `/goaway?ms=N` | `goodbye` after N ms; new streams are told at once to go elsewhere |
//! | `/abort?code=N` | the connection's end by GOAWAY with that code, unanswered |
//! | all else | `ok` |
//!
//! The environment: `ECHO_REFUSE=N` refuses the first N requests by REFUSED_STREAM; `ECHO_MAX_STREAMS` is how many a
//! connection may carry (200); with `ECHO_GOAWAY_AFTER=N` another server runs instead: `goaway.rs`.
//!
//! The log gets `request METHOD PATH`, then `answered METHOD PATH`, `refused METHOD PATH`, or
//! `cancelled METHOD PATH REASON` if the client left first.

mod routes;

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use h2::{Reason, server};
use reveille_tests_local::server::{Log, number};
use tokio::{net::TcpStream, sync::mpsc};

/// What a route asks of its connection.
enum Order {
    /// Finish what is there, take no more.
    Leave,
    /// End at once.
    Abort(Reason),
}

pub(crate) fn serve(log: Log, listener: TcpListener) -> io::Result<()> {
    let refuse = Arc::new(AtomicU64::new(number("ECHO_REFUSE").unwrap_or(0)));
    super::run(listener, &log.clone(), move |stream| {
        let (log, refuse) = (log.clone(), refuse.clone());
        async move {
            if let Err(error) = connection(stream, &log, &refuse).await {
                log.write("broken", &error.to_string());
            }
        }
    })
}

async fn connection(stream: TcpStream, log: &Log, refuse: &AtomicU64) -> Result<(), h2::Error> {
    let streams = number("ECHO_MAX_STREAMS").and_then(|number| u32::try_from(number).ok()).unwrap_or(200);
    let mut connection = server::Builder::new().max_concurrent_streams(streams).handshake(stream).await?;
    let (order, mut orders) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            Some(order) = orders.recv() => match order {
                Order::Leave => connection.graceful_shutdown(),
                Order::Abort(reason) => connection.abrupt_shutdown(reason),
            },
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, mut respond) = accepted?;
                let what = format!("{} {}", request.method(), request.uri().path_and_query().map_or("", |p| p.as_str()));
                log.write("request", &what);
                let taken = refuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                if taken.is_ok() {
                    log.write("refused", &what);
                    respond.send_reset(Reason::REFUSED_STREAM);
                    continue;
                }
                let (log, order) = (log.clone(), order.clone());
                tokio::spawn(async move {
                    match routes::answer(request, respond, &order).await {
                        Ok(()) => log.write("answered", &what),
                        Err(error) => log.write("cancelled", &format!("{what} {error}")),
                    }
                });
            }
        }
    }
}
