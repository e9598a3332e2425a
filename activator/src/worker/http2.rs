//! A worker's HTTP/2 connections to the endpoints of one app. Many requests share one; another is opened when
//! all have as many streams as they may.
//!
//! A connection without streams is kept for a while. Its end is told by GOAWAY, which costs no request, or is
//! looked for in the socket before it is used again.
//!
//! A new one carries nothing before the app has sent its SETTINGS: the kernel takes connections for a process that is
//! dying or already dead, and a request that was sent there could not be told from one that was acted on.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    rc::{Rc, Weak},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{sync::Mutex, time::timeout};

use super::{
    pool::{Key, is_at_end},
    ticker,
    upstream::UpstreamStream,
};
use crate::{
    http2::{CONNECTION_WINDOW, MAX_HEADER_LIST, MAX_STREAMS, STREAM_WINDOW},
    prober,
};

/// Connections without streams are closed after this; less than servers commonly allow.
const IDLE: Duration = Duration::from_secs(10);
/// For how long an app's SETTINGS are awaited. One that is too busy to send them in time may still answer.
const SETTINGS_FOR: Duration = Duration::from_secs(1);
/// The limit for streams until SETTINGS have come: none, and yet a number that they cannot lead to.
const BEFORE_SETTINGS: usize = usize::MAX - 1;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Http2Pool {
    connections: RefCell<Vec<Rc<Http2Connection>>>,
    /// By endpoint, held while a connection is opened: a crowd waits for it instead of opening one each. tokio's, as it is
    /// held across the handshake; fair, so that nobody waits for ever. Those that nobody holds or waits for are gone.
    opening: RefCell<Vec<(Key, Weak<Mutex<()>>)>>,
}

struct Http2Connection {
    sender: SendRequest<Bytes>,
    key: Key,
    socket: RawFd,
    /// Streams that are leased.
    streams: Cell<u32>,
    /// It has carried a request before.
    used: Cell<bool>,
    /// The tick at which it had no stream left.
    since: Cell<u32>,
    /// It takes no new streams.
    closed: Rc<Cell<bool>>,
}

/// A place for one stream on a connection.
pub(crate) struct Http2Lease {
    connection: Rc<Http2Connection>,
    reused: bool,
}

impl Http2Pool {
    fn opening(&self, key: Key) -> Rc<Mutex<()>> {
        let mut all = self.opening.borrow_mut();
        all.retain(|(_, lock)| lock.strong_count() > 0);
        let known = all.iter().find(|(of, _)| *of == key).and_then(|(_, lock)| lock.upgrade());
        known.unwrap_or_else(|| {
            let lock = Rc::default();
            all.push((key, Rc::downgrade(&lock)));
            lock
        })
    }

    /// A place on a connection that is in use and has room, which is the rule and takes no waiting.
    pub(crate) fn lease_now(&self, generation: u64, address: SocketAddr) -> Option<Http2Lease> {
        let key = Key { generation, address };
        let connections = self.connections.borrow();
        let found = connections.iter().find(|connection| {
            connection.key == key
                && connection.streams.get() > 0
                && !connection.closed.get()
                && connection.has_room()
        });
        found.cloned().map(Http2Lease::new)
    }

    /// A place on a connection that has room, opened if need be; or what is wrong with what the app says on it.
    ///
    /// # Errors
    /// If the endpoint does not take a connection, or ends it before it said anything.
    pub(crate) async fn lease(
        &self,
        generation: u64,
        address: SocketAddr,
    ) -> io::Result<Result<Http2Lease, h2::Error>> {
        let key = Key { generation, address };
        if let Some(lease) = self.free(key).await {
            return Ok(Ok(lease));
        }
        let opening = self.opening(key);
        let _opening = opening.lock().await;
        // Somebody else may have opened one meanwhile.
        if let Some(lease) = self.free(key).await {
            return Ok(Ok(lease));
        }
        Ok(Http2Connection::open(key).await?.map(|connection| {
            let connection = Rc::new(connection);
            self.connections.borrow_mut().push(connection.clone());
            Http2Lease::new(connection)
        }))
    }

    async fn free(&self, key: Key) -> Option<Http2Lease> {
        loop {
            let candidate = {
                let mut connections = self.connections.borrow_mut();
                connections.retain(|connection| !connection.closed.get());
                connections.iter().find(|connection| connection.key == key && connection.has_room()).cloned()
            }?;
            if candidate.streams.get() > 0 {
                return Some(Http2Lease::new(candidate));
            }
            // It was idle: what came meanwhile, such as its end, has its turn first.
            if candidate.is_ended() {
                candidate.closed.set(true);
                continue;
            }
            let lease = Http2Lease::new(candidate);
            tokio::task::yield_now().await;
            let usable = lease.connection.sender.clone().ready().await.is_ok();
            if usable && !lease.connection.closed.get() {
                return Some(lease);
            }
            lease.connection.closed.set(true);
        }
    }

    /// Keeps connections to these endpoints alone from now on. Streams that are open go on.
    pub(super) fn keep_only(&self, generations: &[u64]) {
        self.connections.borrow_mut().retain(|connection| generations.contains(&connection.key.generation));
    }

    pub(super) fn drop_idle(&self, now: u32) {
        let limit = ticker::ticks(IDLE);
        self.connections.borrow_mut().retain(|connection| {
            let idle = connection.streams.get() == 0 && now.wrapping_sub(connection.since.get()) >= limit;
            !idle && !connection.closed.get()
        });
    }
}

impl Http2Connection {
    async fn open(key: Key) -> io::Result<Result<Self, h2::Error>> {
        let stream = prober::connect(key.address).await?;
        let socket = stream.as_raw_fd();
        // What an app says last is read although it takes no more.
        let stream = UpstreamStream::new(stream, Bytes::new());
        let (sender, mut connection) = client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(BEFORE_SETTINGS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(io::Error::other)?;
        let is_settled = || sender.current_max_send_streams() != BEFORE_SETTINGS;
        let settled = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending if is_settled() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        let closed = Rc::new(Cell::new(false));
        match timeout(SETTINGS_FOR, settled).await {
            Ok(Err(Err(error))) if error.is_library() => return Ok(Err(error)),
            Ok(Err(_)) if !is_settled() => return Err(io::ErrorKind::ConnectionReset.into()),
            // Whoever opens a stream on it is told how it ended.
            Ok(Err(_)) => closed.set(true),
            Ok(Ok(())) | Err(_) => {
                let ended = closed.clone();
                tokio::task::spawn_local(async move {
                    // Whoever has a stream on it is told by h2; there is nobody else to tell.
                    drop(connection.await);
                    ended.set(true);
                });
            }
        }
        Ok(Ok(Self {
            sender,
            key,
            socket,
            streams: Cell::new(0),
            used: Cell::new(false),
            since: Cell::new(0),
            closed,
        }))
    }

    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(MAX_STREAMS as usize);
        (self.streams.get() as usize) < most
    }

    fn is_ended(&self) -> bool {
        // The connection's task owns the socket; while it runs, it is open.
        self.closed.get() || is_at_end(self.socket)
    }
}

impl Http2Lease {
    fn new(connection: Rc<Http2Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        let reused = connection.used.replace(true);
        Self { connection, reused }
    }

    /// Whether the connection has carried a request before.
    pub(crate) fn reused(&self) -> bool {
        self.reused
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// If the connection takes no more streams: nothing was sent.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let sent = match self.connection.sender.clone().ready().await {
            Ok(mut sender) => sender.send_request(request, end),
            Err(error) => Err(error),
        };
        sent.inspect_err(|_| self.retire())
    }

    /// The connection takes no new streams; those that it has go on.
    pub(crate) fn retire(&self) {
        self.connection.closed.set(true);
    }

    /// The stream has ended; the connection may be idle from tick `now` on.
    pub(crate) fn give_back(self, now: u32) {
        self.connection.since.set(now);
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
    }
}
