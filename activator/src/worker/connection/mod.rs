//! A client's connection: who it is, which protocol it speaks, and what ends it.
//!
//! | file | holds |
//! |---|---|
//! | `state` | where it stands, and what was decided about it |
//! | `stream`, `detect` | the socket, and which protocol its first bytes are |
//! | `http1`, `http2` | serving it in that protocol |
//! | `frames` | floods of HTTP/2 frames |

mod detect;
mod frames;
mod http1;
mod http2;
mod state;
mod stream;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use detect::Detected;
pub(crate) use http1::{ClientBody, InterimSender};
use reveille_core::directory::Protocol;
pub(crate) use state::State;
use state::Verdict;
pub(crate) use stream::ClientStream;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Target, Worker, WorkerApp, hangup::Watch};
use crate::{
    drain::Stage,
    request::{Forwarded, tunnel},
    server::Shared,
};

/// What the gateway says to bytes that are no HTTP; with TLS, the alert says it.
const NOT_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n\
{\"type\":\"https://reveille.dev/errors/bad-request\",\"title\":\"The request is not valid HTTP\",\"status\":400,\
\"detail\":\"these bytes are no HTTP; the gateway routes HTTP by its Host, other protocols need the app's own port\",\"retriable\":false}";
/// A fatal alert, handshake_failure (RFC 8446, 6.2): the gateway speaks no TLS.
const NO_TLS: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28];

/// Whom the requests of a port are for, as the worker's own.
pub(crate) enum Serve {
    App { app: Rc<WorkerApp>, port: SocketAddr },
    Gateway,
}

impl Serve {
    pub(super) fn new(worker: &Worker, target: &Target) -> Option<Self> {
        Some(match target {
            Target::App { app, port } => Self::App { app: worker.app(app)?, port: *port },
            Target::Gateway => Self::Gateway,
        })
    }

    /// How clients speak on the port, as of now.
    fn protocol(&self) -> Protocol {
        match self {
            Self::App { app, port } => app.protocol(*port),
            Self::Gateway => Protocol::Http,
        }
    }
}

/// A client's connection, as its requests see it.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) serve: Rc<Serve>,
    pub(crate) state: Rc<State>,
    /// Of HTTP/1.1 and raw TCP, where nobody reads while a request is held. On HTTP/2 the connection is always
    /// read, and h2 says who has left.
    socket: Option<RawFd>,
    /// What is told to apps about the client.
    pub(crate) forwarded: RefCell<Forwarded>,
}

/// What a client's leaving looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It sends no more: nobody sends a request and closes before the answer.
    EndOrReset,
    /// The connection is gone. Its end alone is passed on to the app.
    Reset,
}

/// Counts a connection while it lives.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::AcqRel);
        Self(shared.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lists a connection with its worker while it lives, however it ends.
struct Listed {
    worker: Rc<Worker>,
    key: usize,
}

impl Listed {
    fn new(worker: &Rc<Worker>, state: &Rc<State>) -> Self {
        Self { worker: worker.clone(), key: worker.connections.borrow_mut().insert(state.clone()) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.key);
    }
}

impl Connection {
    /// Completes when the client leaves; not at all where that is noticed in another way.
    pub(crate) async fn gone(&self, leaving: Leaving) {
        match self.watch(leaving) {
            Some(Ok(mut watch)) => watch.gone().await,
            // Without a watch, the end of the connection is noticed when the response is written.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    /// Runs the future to its end, or until the connection has to be closed at once; `None` then. On HTTP/2 the
    /// connection's own task sees to that: every stream of it ends.
    pub(crate) async fn unless_closed_now<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.socket {
            Some(_) => unless_closed_now(&self.state, future).await,
            None => Some(future.await),
        }
    }

    fn watch(&self, leaving: Leaving) -> Option<io::Result<Watch>> {
        // SAFETY: the request that asks is part of the connection's own task, which owns the socket.
        #[allow(unsafe_code, reason = "what the request may borrow would have to outlive it")]
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket?) };
        Some(self.worker.hangups.watch(socket, leaving))
    }

    /// Serves a connection until it ends. It is counted from the call on, not from the first poll.
    pub(super) fn run(
        worker: Rc<Worker>,
        stream: TcpStream,
        peer: SocketAddr,
        serve: Rc<Serve>,
    ) -> impl Future<Output = ()> {
        let counted = Counted::new(&worker.shared);
        async move {
            let _counted = counted;
            Self::serve(worker, stream, peer, serve).await;
        }
    }

    async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, serve: Rc<Serve>) {
        let state = Rc::new(State::new(worker.tick.get()));
        let _listed = Listed::new(&worker, &state);
        if worker.shared.stage() >= Stage::Draining {
            // From the queue of a port that is closing: its request is served, but it has to come soon.
            state.expect_soon(worker.tick.get());
        }
        let mut io = ClientStream::new(stream, state.clone(), worker.clone());
        let protocol = serve.protocol();
        let connection = |socket| {
            Rc::new(Self {
                socket,
                forwarded: RefCell::new(Forwarded::new(peer.ip(), &worker.shared.config.trusted_proxies)),
                worker: worker.clone(),
                serve: serve.clone(),
                state: state.clone(),
            })
        };
        if protocol == Protocol::Tcp {
            let socket = Some(io.as_raw_fd());
            return Box::pin(tunnel::serve(connection(socket), io)).await;
        }
        let Some(Some(detected)) = unless_closed(&state, Verdict::CloseWhenIdle, io.detect()).await else {
            return;
        };
        let socket = Some(io.as_raw_fd());
        match (detected, &*serve) {
            (Detected::Http1, _) => http1::serve(connection(socket), io).await,
            // Boxed, as they are larger than what the others need.
            (Detected::Http2, _) => Box::pin(http2::serve(connection(None), io)).await,
            (Detected::Tls | Detected::Other, Serve::App { .. }) => {
                Box::pin(tunnel::serve(connection(socket), io)).await;
            }
            (Detected::Tls, Serve::Gateway) => refuse(io, peer, NO_TLS, "TLS").await,
            (Detected::Other, Serve::Gateway) => refuse(io, peer, NOT_HTTP, "bytes that are no HTTP").await,
        }
    }
}

/// The gateway's answer to a client that speaks no HTTP.
async fn refuse(mut io: ClientStream, peer: SocketAddr, answer: &[u8], what: &str) {
    tracing::warn!(%peer, "{what} came on the gateway, which routes HTTP by its Host; use the app's own port");
    // A client that is gone already needs no answer.
    if io.write_all(answer).await.is_ok() {
        drop(io.shutdown().await);
    }
}

/// Runs the future unless a verdict as strict as `strict` comes first.
async fn unless_closed<F: Future>(state: &State, strict: Verdict, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // First: what has come already is not thrown away.
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if state.verdict() >= strict {
            return Poll::Ready(None);
        }
        state.register(cx.waker());
        Poll::Pending
    })
    .await
}

/// Runs the future to its end, or until the connection has to be closed at once.
async fn unless_closed_now<F: Future>(state: &State, future: F) -> Option<F::Output> {
    unless_closed(state, Verdict::CloseNow, future).await
}
