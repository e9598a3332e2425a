//! Asks an endpoint that the directory does not call ready whether it can answer: one prober an endpoint.
//!
//! The interval starts at a millisecond and grows to a hundredth of the time waited so far, so that probing
//! adds at most 1 % to a wake. All probers together keep to a budget of [`PROBES_PER_SECOND`]. A prober ends
//! with its endpoint: what it finds out about one generation is never applied to another.

mod http2;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use reveille_core::{
    directory::{AppEntry, NO_PORT, UpstreamProtocol},
    policy::Readiness,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::app::{App, Endpoint};

/// Tries a second over all apps. One costs about 130 µs of CPU: at most a quarter of a core.
const PROBES_PER_SECOND: u32 = 2_000;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long one try may take.
const TRY_FOR: Duration = Duration::from_secs(2);

/// As whom it asks.
const USER_AGENT: &str = concat!("reveille-probe/", env!("CARGO_PKG_VERSION"));

/// Probers at work.
static ACTIVE: AtomicU32 = AtomicU32::new(0);

/// Counts a prober while it is at work.
struct Active;

impl Active {
    fn new() -> Self {
        ACTIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a prober for an endpoint. It ends when the endpoint can answer or is no longer part of the app.
pub(crate) fn start(app: Arc<App>, endpoint: Arc<Endpoint>) {
    let control = app.shared.control.clone();
    control.spawn(probe(app, endpoint));
}

async fn probe(app: Arc<App>, endpoint: Arc<Endpoint>) {
    let _active = Active::new();
    let start = Instant::now();
    while !endpoint.is_retired() && !endpoint.is_usable() {
        let entry = app.view().entry;
        if can_answer(&entry, &endpoint).await {
            app.endpoint_usable(&endpoint);
            return;
        }
        tokio::time::sleep(pause(start.elapsed(), ACTIVE.load(Ordering::Relaxed))).await;
    }
}

/// The pause before the next try: a hundredth of the time waited so far, and what the budget asks for.
fn pause(waited: Duration, probers: u32) -> Duration {
    let own = (waited / 100).clamp(Duration::from_millis(1), LONGEST_PAUSE);
    own.max(Duration::from_secs(1) * probers / PROBES_PER_SECOND)
}

async fn can_answer(entry: &AppEntry, endpoint: &Endpoint) -> bool {
    let Some(index) = entry.readiness_port(&endpoint.addresses) else { return false };
    let (port, address) = (&entry.ports[index], endpoint.addresses[index]);
    if address.port() == NO_PORT {
        return false;
    }
    let over_http2 = port.upstream == UpstreamProtocol::H2c;
    let answered = match &entry.policy.wake.readiness {
        Readiness::Tcp { .. } => timeout(TRY_FOR, connect(address)).await.map(|r| r.is_ok()),
        Readiness::Http { path, .. } if over_http2 => timeout(TRY_FOR, http2::get(address, path)).await,
        Readiness::Http { path, .. } => timeout(TRY_FOR, get(address, path)).await,
        Readiness::Grpc { service, .. } => timeout(TRY_FOR, http2::check(address, service)).await,
    };
    answered.unwrap_or(false)
}

/// Connects, and refuses a socket that is its own peer: a port of the ephemeral range may be given to the
/// very connection that asks for it.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn get(address: SocketAddr, path: &str) -> bool {
    let answer = async {
        let io = TokioIo::new(connect(address).await.ok()?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let mut response = std::pin::pin!(sender.send_request(request));
        let response = tokio::select! {
            biased;
            response = &mut response => response,
            // The connection may end in the moment that it delivers the response.
            _ = connection => response.await,
        };
        Some(response.ok()?.status().as_u16())
    };
    answer.await.is_some_and(|status| (200..400).contains(&status))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn probing_adds_a_hundredth_at_most_and_keeps_to_the_budget() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(0), 1), ms(1));
        assert_eq!(pause(ms(2_000), 1), ms(20));
        assert_eq!(pause(ms(600_000), 1), LONGEST_PAUSE);
        assert_eq!(pause(ms(0), 2_000), ms(1_000), "2,000 probers try once a second each");
    }

    /// A closed port of the ephemeral range is sooner or later given to the connection that asks for it, which
    /// then reaches itself: such a connection would look like an app, and keep the app from listening.
    #[tokio::test]
    async fn a_closed_port_never_answers_with_ourselves() {
        // The kernel gives ports of one parity to listeners and of the other to connections.
        let mut address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        address.set_port(address.port() ^ 1);
        for _ in 0..60_000 {
            assert!(connect(address).await.is_err());
        }
    }

    #[tokio::test]
    async fn http_readiness_takes_200_to_399() {
        for (status, ready) in [(200, true), (204, true), (302, true), (404, false), (503, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                let n = stream.read(&mut head).await.unwrap();
                assert!(head[..n].starts_with(b"GET /ready?x=1 HTTP/1.1\r\n"));
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            assert_eq!(get(address, "/ready?x=1").await, ready, "{status}");
            server.await.unwrap();
        }
    }
}
