//! An HTTP/2 stream as a pipe of bytes both ways, for what is tunnelled by CONNECT (RFC 8441).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::RecvBody;

/// See the [module](self).
pub(crate) struct Duplex {
    receive: RecvStream,
    send: SendStream<Bytes>,
    /// Received and not yet read.
    left: Bytes,
}

impl Duplex {
    pub(crate) fn new(receive: RecvBody, send: SendStream<Bytes>) -> Self {
        let (receive, left) = receive.into_parts();
        Self { receive, send, left }
    }

    /// Resets the stream: its peer is to see that what it got is not all.
    pub(crate) fn reset(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.left.is_empty() {
            self.left = match std::task::ready!(self.receive.poll_data(cx)) {
                Some(data) => data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            };
            if self.left.is_empty() && self.receive.is_end_stream() {
                return Poll::Ready(Ok(()));
            }
        }
        let n = self.left.len().min(buf.remaining());
        buf.put_slice(&self.left.split_to(n));
        // Fails only when the stream is closed, and its window with it.
        drop(self.receive.flow_control().release_capacity(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Poll::Ready(reset) = self.send.poll_reset(cx) {
            let reason = reset.map_err(io::Error::other)?;
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, reason.description())));
        }
        self.send.reserve_capacity(buf.len());
        let mut room = self.send.capacity();
        while room == 0 {
            room = match std::task::ready!(self.send.poll_capacity(cx)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let n = room.min(buf.len());
        self.send.send_data(Bytes::copy_from_slice(&buf[..n]), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends when it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
