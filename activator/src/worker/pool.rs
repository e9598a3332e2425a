//! A worker's idle connections to the endpoints of one app.
//!
//! A connection is idle here for less time than servers commonly allow (gunicorn 2 s, Node.js and uvicorn
//! 5 s, nginx 75 s), as a request sent on one that the app is just closing may be lost. The newest is used
//! first, so that the surplus ages.

use std::{
    cell::RefCell,
    net::SocketAddr,
    os::fd::RawFd,
    rc::{Rc, Weak},
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

use super::{
    ticker,
    upstream::{HeadBudget, UpstreamStream},
};
use crate::{prober, request::body::RequestBody};

/// Idle connections are closed after this: see the [module](self).
const IDLE: std::time::Duration = std::time::Duration::from_millis(1_500);
/// Idle connections kept for an app by each worker.
const KEEP: usize = 512;

/// A connection to an endpoint that can take a request.
pub(crate) struct Pooled {
    pub(crate) sender: SendRequest<RequestBody>,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
    key: Key,
    socket: RawFd,
    budget: Rc<HeadBudget>,
    since: u32,
}

/// To whom a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) generation: u64,
    pub(super) address: SocketAddr,
}

/// See the [module](self).
pub(crate) struct Pool {
    idle: RefCell<Vec<Pooled>>,
    /// The endpoints that the app has now: connections to others are not kept.
    generations: RefCell<Vec<u64>>,
}

/// A connection in use; [`Lease::give_back`] makes it idle again, dropping it closes it.
pub(crate) struct Lease {
    pooled: Pooled,
    pool: Weak<Pool>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { idle: RefCell::default(), generations: RefCell::default() }
    }

    /// An idle connection that is ready, if there is one.
    pub(crate) fn take(&self, generation: u64, address: SocketAddr) -> Option<Pooled> {
        let key = Key { generation, address };
        let mut idle = self.idle.borrow_mut();
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].key != key {
                continue;
            }
            if idle[at].sender.is_closed() {
                idle.remove(at);
            } else if idle[at].sender.is_ready() {
                return Some(idle.remove(at));
            }
        }
        None
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the endpoint does not take it.
    pub(crate) async fn connect(generation: u64, address: SocketAddr) -> std::io::Result<Pooled> {
        let stream = UpstreamStream::new(prober::connect(address).await?);
        let (socket, budget) = (stream.socket(), stream.head_budget());
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::task::spawn_local(async move {
            // Whoever waits for the answer is told by hyper; there is nobody else to tell.
            drop(connection.await);
        });
        Ok(Pooled::new(sender, generation, address, socket, budget))
    }

    /// Keeps connections to these endpoints alone from now on.
    pub(super) fn keep_only(&self, generations: Vec<u64>) {
        self.idle.borrow_mut().retain(|pooled| generations.contains(&pooled.key.generation));
        *self.generations.borrow_mut() = generations;
    }

    pub(super) fn drop_idle(&self, now: u32) {
        let limit = ticker::ticks(IDLE);
        self.idle
            .borrow_mut()
            .retain(|pooled| now.wrapping_sub(pooled.since) < limit && !pooled.sender.is_closed());
    }
}

impl Pooled {
    /// A connection that has carried no request before.
    pub(crate) fn new(
        sender: SendRequest<RequestBody>,
        generation: u64,
        address: SocketAddr,
        socket: RawFd,
        budget: Rc<HeadBudget>,
    ) -> Self {
        Self { sender, reused: false, key: Key { generation, address }, socket, budget, since: 0 }
    }

    /// A request is about to be sent: what comes from now on is the head of its response.
    pub(crate) fn await_head(&self) {
        self.budget.await_head();
    }

    /// The head of the response has come.
    pub(crate) fn head_came(&self) {
        self.budget.head_came();
    }

    /// Whether the connection was ended because the head of the response did not end.
    pub(crate) fn head_is_endless(&self) -> bool {
        self.budget.is_spent()
    }

    /// Whether the peer has closed the connection or sent something unasked, seen in the socket itself:
    /// hyper may not have been told yet.
    pub(crate) fn is_stale(&self) -> bool {
        if self.sender.is_closed() {
            return true;
        }
        // hyper's connection task owns the socket and runs on this thread only; it is not closed, as was just
        // asked, so the descriptor is open for the length of this call.
        peek(self.socket) != Err(Errno::EAGAIN)
    }

    /// Lends it to one request, and to no other after that.
    pub(crate) fn lease_once(self) -> Lease {
        Lease { pooled: self, pool: Weak::new() }
    }

    /// Lends it to one request.
    pub(crate) fn lease(self, pool: &Rc<Pool>) -> Lease {
        Lease { pooled: self, pool: Rc::downgrade(pool) }
    }
}

/// Whether the peer has closed its side and nothing is left to be read. The socket has to be open.
pub(super) fn is_at_end(socket: RawFd) -> bool {
    !matches!(peek(socket), Ok(1..) | Err(Errno::EAGAIN))
}

/// What a read of one byte would give, without taking it.
fn peek(socket: RawFd) -> Result<usize, Errno> {
    let mut byte = [0u8; 1];
    recv(socket, &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
}

impl Lease {
    /// Makes the connection idle again, as of tick `now`, unless it is closed.
    pub(crate) fn give_back(mut self, now: u32) {
        let Some(pool) = self.pool.upgrade() else { return };
        let known = pool.generations.borrow().contains(&self.pooled.key.generation);
        if !known || self.pooled.sender.is_closed() || pool.idle.borrow().len() >= KEEP {
            return;
        }
        self.pooled.reused = true;
        self.pooled.since = now;
        pool.idle.borrow_mut().push(self.pooled);
    }
}
