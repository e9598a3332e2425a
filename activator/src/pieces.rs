//! Writes several pieces to a socket with one system call, and a cheap one: `send` of few bytes side by side costs the
//! kernel less than `writev` of their places. Heads with small bodies are the rule.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncWrite, ReadBuf};

/// Pieces of so many bytes in all are copied together.
const SMALL: usize = 2 << 10;

/// Writes as much of the pieces as the socket takes.
pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    pieces: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [piece] = pieces {
        return stream.poll_write(cx, piece);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > SMALL {
        return stream.poll_write_vectored(cx, pieces);
    }
    let mut space = [MaybeUninit::uninit(); SMALL];
    let mut together = ReadBuf::uninit(&mut space);
    for piece in pieces {
        together.put_slice(piece);
    }
    stream.poll_write(cx, together.filled())
}
