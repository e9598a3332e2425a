//! The client's socket: notes when bytes come, gives back those that were read to tell the protocol, and
//! meters the frames of HTTP/2.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{State, detect, detect::Detected, frames::Meter};
use crate::{http1::ReadBuffer, pieces, worker::Worker};

/// See the [module](self).
pub(crate) struct ClientStream {
    stream: TcpStream,
    /// Was read already and comes first.
    prefix: Bytes,
    meter: Option<Box<Meter>>,
    state: Rc<State>,
    worker: Rc<Worker>,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, state: Rc<State>, worker: Rc<Worker>) -> Self {
        Self { stream, prefix: Bytes::new(), meter: None, state, worker }
    }

    /// Reads until the protocol is clear; `None` if the client leaves before that. What was read stays to be
    /// read.
    pub(super) async fn detect(&mut self) -> Option<Detected> {
        loop {
            self.stream.readable().await.ok()?;
            let mut scratch = self.worker.scratch.borrow_mut();
            let read = match self.stream.try_read(&mut scratch) {
                Ok(0) => return None,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return None,
            };
            self.state.on_bytes(self.worker.tick.get());
            self.prefix = if self.prefix.is_empty() {
                Bytes::copy_from_slice(&scratch[..read])
            } else {
                Bytes::from([&self.prefix[..], &scratch[..read]].concat())
            };
            if let Some(detected) = detect::detect(&self.prefix) {
                return Some(detected);
            }
        }
    }

    /// Reads what has come, so many bytes at most, behind what is in the buffer, which takes no more memory for it than
    /// needed. 0 is the end.
    pub(super) fn poll_append(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuffer,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let limit = limit.min(scratch.len());
        let mut read = ReadBuf::new(&mut scratch[..limit]);
        ready!(Pin::new(&mut *self).poll_read(cx, &mut read))?;
        buffer.append(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// How much could be read, one byte at most; it stays to be read. 0 is the end.
    pub(super) fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.has_prefix() {
            return Poll::Ready(Ok(1));
        }
        self.stream.poll_peek(cx, &mut ReadBuf::new(&mut [0]))
    }

    /// Meters HTTP/2's frames from now on, from the first that was read.
    pub(super) fn meter_frames(&mut self) {
        self.meter = Some(Box::new(Meter::new(self.worker.tick.get())));
    }

    /// Puts bytes back to be read first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.prefix = match self.prefix.is_empty() {
            true => bytes,
            false => Bytes::from([&bytes[..], &self.prefix[..]].concat()),
        };
    }

    /// Whether the client has spoken already.
    pub(crate) fn has_prefix(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The socket, for options and for looking at what waits in it.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Has the socket reset instead of closed when this is dropped: its peer is to see that what it got is
    /// not all.
    pub(crate) fn reset_on_drop(&self) {
        // Best effort: the socket may be gone already.
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)));
    }

    fn wrote(&mut self, polled: &Poll<io::Result<usize>>) {
        if let (Some(meter), Poll::Ready(Ok(bytes))) = (&mut self.meter, polled) {
            meter.wrote(*bytes);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let tick = self.worker.tick.get();
        self.state.on_bytes(tick);
        if let Some(meter) = &mut self.meter {
            if let Some(flood) = meter.read(bytes, tick) {
                self.state.on_flood(flood);
            }
            self.state.on_frames(tick, meter.is_unfinished());
        }
    }
}

impl AsRawFd for ClientStream {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.prefix.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let n = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(n));
        }
        if buf.filled().len() > before {
            self.note(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = pieces::poll_write(&mut self.stream, cx, bufs);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
