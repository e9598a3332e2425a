//! The socket to an endpoint: one that the app no longer reads is still read for the answer it sent.
//!
//! A server that refuses an upload (413, 401) answers before it has read the body, and closes. The next write
//! then fails, and hyper would end the connection with the answer unread. So a write that fails because the
//! peer is gone is taken for done, and what is left of the request goes nowhere; reading tells how it ends:
//! with the answer, or with the reset.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// See the [module](self).
#[pin_project]
pub(super) struct UpstreamStream {
    #[pin]
    stream: TcpStream,
    /// The peer reads no more.
    deaf: bool,
}

impl UpstreamStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, deaf: false }
    }
}

/// Whether a write failed because the peer is gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_read(cx, buf)
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        if *this.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        match this.stream.poll_write(cx, buf) {
            Poll::Ready(Err(error)) if is_gone(&error) => {
                *this.deaf = true;
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
        let this = self.project();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if *this.deaf {
            return Poll::Ready(Ok(length));
        }
        match this.stream.poll_write_vectored(cx, bufs) {
            Poll::Ready(Err(error)) if is_gone(&error) => {
                *this.deaf = true;
                Poll::Ready(Ok(length))
            }
            polled => polled,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}
