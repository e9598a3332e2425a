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

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

use super::{http1::Http1Connection, ticker};

/// Idle connections are closed after this: see the [module](self).
const IDLE: std::time::Duration = std::time::Duration::from_millis(1_500);
/// Idle connections kept for an app by each worker.
const KEEP: usize = 1_024;

/// To whom a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) generation: u64,
    pub(super) address: SocketAddr,
}

/// See the [module](self).
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "they move between here and their users")]
    idle: RefCell<Vec<Box<Http1Connection>>>,
    /// The endpoints that the app has now: connections to others are not kept.
    generations: RefCell<Vec<u64>>,
}

/// A connection in use; [`Lease::give_back`] makes it idle again, dropping it closes it.
pub(crate) struct Lease {
    pub(crate) connection: Box<Http1Connection>,
    pool: Weak<Pool>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { idle: RefCell::default(), generations: RefCell::default() }
    }

    /// An idle connection, if there is one.
    pub(crate) fn take(&self, generation: u64, address: SocketAddr) -> Option<Box<Http1Connection>> {
        let key = Key { generation, address };
        let mut idle = self.idle.borrow_mut();
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].key != key {
                continue;
            }
            let connection = idle.remove(at);
            if !connection.is_ended() {
                return Some(connection);
            }
        }
        None
    }

    /// Lends a connection to one request.
    pub(crate) fn lend(self: &Rc<Self>, connection: Box<Http1Connection>) -> Lease {
        Lease { connection, pool: Rc::downgrade(self) }
    }

    /// Keeps connections to these endpoints alone from now on.
    pub(super) fn keep_only(&self, generations: Vec<u64>) {
        self.idle.borrow_mut().retain(|connection| generations.contains(&connection.key.generation));
        *self.generations.borrow_mut() = generations;
    }

    pub(super) fn drop_idle(&self, now: u32) {
        let limit = ticker::ticks(IDLE);
        self.idle
            .borrow_mut()
            .retain(|connection| now.wrapping_sub(connection.since) < limit && !connection.is_ended());
    }
}

/// Whether the peer has closed its side and nothing is left to be read. The socket has to be open.
pub(super) fn is_at_end(socket: RawFd) -> bool {
    !matches!(peek(socket), Ok(1..) | Err(Errno::EAGAIN))
}

/// What a read of one byte would give, without taking it.
pub(super) fn peek(socket: RawFd) -> Result<usize, Errno> {
    let mut byte = [0u8; 1];
    recv(socket, &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
}

impl Lease {
    /// Makes the connection idle again, as of tick `now`, unless it is closed.
    pub(crate) fn give_back(self, now: u32) {
        let mut connection = self.connection;
        if !connection.rest(now) {
            return;
        }
        let Some(pool) = self.pool.upgrade() else { return };
        let known = pool.generations.borrow().contains(&connection.key.generation);
        if known && pool.idle.borrow().len() < KEEP {
            pool.idle.borrow_mut().push(connection);
        }
    }
}
