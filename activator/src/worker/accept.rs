//! Accepts connections of one port on one worker.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, sync::oneshot};

use super::{Connection, Target, Worker, connection};

/// The first keep-alive probe on a silent connection: well below the 4 minutes after which load balancers
/// drop one without a word (Azure Load Balancer's default).
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The pause after the process ran out of file descriptors or memory for sockets.
const BREATHE: Duration = Duration::from_millis(50);

/// Serves a port until its sender in `worker.listeners` is dropped.
pub(super) fn start(worker: &Rc<Worker>, address: SocketAddr, listener: TcpListener, target: &Target) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listen = %address, %error, "the port cannot be served");
            return;
        }
    };
    let Some(serve) = connection::Serve::new(worker, target) else {
        tracing::error!(listen = %address, "the port belongs to an app that is not known");
        return;
    };
    let (stop, stopped) = oneshot::channel();
    worker.listeners.borrow_mut().insert(address, stop);
    tokio::task::spawn_local(accept(worker.clone(), listener, Rc::new(serve), stopped));
}

async fn accept(
    worker: Rc<Worker>,
    listener: tokio::net::TcpListener,
    serve: Rc<connection::Serve>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => begin(&worker, stream, peer, &serve),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; raise the limit on open files (ulimit -n)");
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    () = tokio::time::sleep(BREATHE) => {}
                }
            }
        }
    }
    // Closing a listener resets what waits in its queue: take that first.
    let Ok(listener) = listener.into_std() else { return };
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    begin(&worker, stream, peer, &serve);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            // The queue is empty, or the process has no room for more.
            Err(_) => return,
        }
    }
}

fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, serve: &Rc<connection::Serve>) {
    let socket = SockRef::from(&stream);
    // A peer that is gone already makes these fail; reading finds that out.
    drop(socket.set_tcp_nodelay(true));
    drop(socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE)));
    tokio::task::spawn_local(Connection::run(worker.clone(), stream, peer, serve.clone()));
}

/// Errors that say nothing about the listener: the connection was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
