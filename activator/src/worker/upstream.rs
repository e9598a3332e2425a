//! The socket to an endpoint: one that the app no longer reads is still read for the answer it sent.
//!
//! A server that refuses an upload (413, 401) answers before it has read the body, and closes. The next write
//! then fails, and hyper would end the connection with the answer unread. So a write that fails because the
//! peer is gone is taken for done, and what is left of the request goes nowhere; reading tells how it ends:
//! with the answer, or with the reset.
//!
//! hyper reads interim responses (1xx) for as long as they come. So there is a limit on what is read before a
//! response's head is complete.

use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::pieces;

/// Bytes that may come before the head of a response is complete: hyper's own bound on one head, and then as
/// many interim ones as anybody sends.
const HEAD_BUDGET: usize = 1 << 20;

/// See the [module](self).
pub(crate) struct UpstreamStream {
    stream: TcpStream,
    /// Was read already and comes first.
    prefix: Bytes,
    /// The peer reads no more.
    deaf: bool,
    budget: Rc<HeadBudget>,
}

/// What may still be read before the head of a response is complete; unlimited while none is awaited.
#[derive(Debug, Default)]
pub(crate) struct HeadBudget {
    left: Cell<Option<usize>>,
    spent: Cell<bool>,
}

impl HeadBudget {
    pub(crate) fn await_head(&self) {
        self.left.set(Some(HEAD_BUDGET));
    }

    pub(crate) fn head_came(&self) {
        self.left.set(None);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get()
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let Some(left) = self.left.get() else { return Ok(()) };
        let Some(left) = left.checked_sub(bytes) else {
            self.spent.set(true);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the response does not end"));
        };
        self.left.set(Some(left));
        Ok(())
    }
}

impl UpstreamStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, prefix: Bytes::new(), deaf: false, budget: Rc::default() }
    }

    /// The socket's descriptor; good while this lives.
    pub(crate) fn socket(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub(crate) fn head_budget(&self) -> Rc<HeadBudget> {
        self.budget.clone()
    }

    /// Puts bytes back to be read first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.prefix.is_empty(), "given back once, where HTTP ends");
        self.prefix = bytes;
    }

    /// Has the socket reset instead of closed when this is dropped.
    pub(crate) fn reset_on_drop(&self) {
        // Best effort: the socket may be gone already.
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)));
    }
}

/// Whether a write failed because the peer is gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let n = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(n));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.budget.spend(buf.filled().len() - before))
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        match Pin::new(&mut this.stream).poll_write(cx, buf) {
            Poll::Ready(Err(error)) if is_gone(&error) => {
                this.deaf = true;
                Poll::Ready(Ok(buf.len()))
            }
            polled => polled,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if this.deaf {
            return Poll::Ready(Ok(length));
        }
        match pieces::poll_write(&mut this.stream, cx, bufs) {
            Poll::Ready(Err(error)) if is_gone(&error) => {
                this.deaf = true;
                Poll::Ready(Ok(length))
            }
            polled => polled,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
