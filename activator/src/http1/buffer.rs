//! What was read from a peer and is not yet used: one piece of memory, as large as the peer's writes call for.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for the first read: a head, and a small body behind it.
const SMALLEST: usize = 8 << 10;
/// The most room for one read: fewer system calls gain little beyond it, and a sender that stalls keeps it.
const LARGEST: usize = 128 << 10;
/// More is not kept for a connection that is idle.
const KEPT: usize = 32 << 10;

/// See the [module](self).
pub(crate) struct ReadBuffer {
    bytes: BytesMut,
    /// Room for the next read.
    room: usize,
    /// The last read left most of it unused.
    was_small: bool,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self { bytes: BytesMut::new(), room: SMALLEST, was_small: false }
    }

    /// Reads what has come, behind what is there. 0 is the end.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<usize>> {
        self.bytes.reserve(self.room);
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        self.adapt(read);
        Poll::Ready(Ok(read))
    }

    /// More room after a read that filled it, less after two that left most of it.
    fn adapt(&mut self, read: usize) {
        let half = self.room / 2;
        if read >= self.room {
            self.room = (self.room * 2).min(LARGEST);
            self.was_small = false;
        } else if read >= half {
            self.was_small = false;
        } else if std::mem::replace(&mut self.was_small, true) {
            self.room = half.max(SMALLEST);
            self.was_small = false;
        }
    }

    /// Puts bytes behind what is there, in as much memory as they need.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the first bytes out. There have to be as many.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        self.bytes.split_to(count).freeze()
    }

    /// Drops the first bytes. There have to be as many.
    pub(crate) fn skip(&mut self, count: usize) {
        bytes::Buf::advance(&mut self.bytes, count);
    }

    /// Gives back what only a large body needed, unless something is in it. For a connection that becomes idle.
    pub(crate) fn rest(&mut self) {
        if self.bytes.is_empty() && self.room > KEPT {
            self.bytes = BytesMut::new();
            self.room = SMALLEST;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn fill(buffer: &mut ReadBuffer, mut source: &[u8]) -> usize {
        std::future::poll_fn(|cx| buffer.poll_fill(cx, &mut source)).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn room_grows_with_what_comes_and_shrinks_after_two_small_reads() {
        let mut buffer = ReadBuffer::new();
        let large = vec![7; 1 << 20];
        for _ in 0..10 {
            let read = fill(&mut buffer, &large);
            buffer.skip(read);
        }
        assert_eq!(buffer.room, LARGEST);
        fill(&mut buffer, b"x");
        assert_eq!(buffer.room, LARGEST, "one may be the end of something large");
        fill(&mut buffer, b"y");
        assert_eq!(buffer.room, LARGEST / 2);
        buffer.rest();
        assert_eq!(buffer.take(2), "xy", "what is there stays");
        buffer.rest();
        assert!(buffer.is_empty() && buffer.room == SMALLEST);
        assert_eq!(fill(&mut buffer, b""), 0, "the end");
    }
}
