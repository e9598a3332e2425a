//! Serving the admin port: no client, however slow or many, keeps more than a bounded share.
//!
//! | bound | what happens then |
//! |---|---|
//! | 256 connections | further ones wait to be accepted |
//! | 15 s for a head, idle time between two requests included | the connection is closed |
//! | 10 s for a body, 15 s for an answer (a stream of events: for its head) | 408, 504 |
//! | 15 s in which the client takes nothing of its answer | the connection is closed |
//! | 64 KiB for a head | 431 |

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{caller::Peer, stall::Stall};

/// How many connections are served at a time.
const MAX_CONNECTIONS: usize = 256;

/// How long a head may take to arrive. hyper counts from the end of the answer before, so this ends idle
/// connections too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client may take nothing of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How long calls in progress may take to end when the port shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long accepting pauses when it failed for want of something that others must release.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown` resolves; then takes no more connections, gives calls in
/// progress 5 s to end, and returns.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    // Each permit is one connection: waiting for one leaves further clients in the kernel's queue.
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (accepted, permit) = accept => match accepted {
                Ok((stream, peer)) => {
                    let (router, stopping) = (router.clone(), stopping.clone());
                    connections.spawn(async move {
                        connection(stream, peer.ip(), router, stopping).await;
                        drop(permit);
                    });
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    drop(stop);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, all_ended).await.is_err() {
        tracing::warn!(open = connections.len(), "admin calls did not end in time and are cut off");
        connections.shutdown().await;
    }
}

/// Serves one connection to its end. When `stopping` changes, the request in progress is the last.
pub(super) async fn connection<T>(stream: T, peer: IpAddr, router: Router, mut stopping: watch::Receiver<()>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let io = TokioIo::new(Stall::new(stream, WRITE_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(
            io,
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                service.call(request)
            }),
        );
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// A connection that was gone before it was accepted is no reason to wait; a lack of file descriptors is.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "the admin port cannot accept connections; it tries again");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
