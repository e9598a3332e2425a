//! The socket to an endpoint, for tunnels and HTTP/2, with what was read from it before it was one of these.
//!
//! A server that has heard enough says a last word and closes. A write then fails, although there is something left
//! to be read. So a write that fails because the peer is gone is taken for done, and what follows goes nowhere; reading
//! tells how it ends.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::pieces;

/// See the [module](self).
pub(crate) struct UpstreamStream {
    stream: TcpStream,
    /// Was read already and comes first.
    prefix: Bytes,
    /// The peer reads no more.
    deaf: bool,
}

impl UpstreamStream {
    /// `prefix` was read from it and comes first.
    pub(crate) fn new(stream: TcpStream, prefix: Bytes) -> Self {
        Self { stream, prefix, deaf: false }
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
