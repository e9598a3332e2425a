//! A body that comes by an HTTP/2 stream.
//!
//! The peer may send as much as the stream's window allows before anyone asks. Data is acknowledged (its
//! window given back) when it is taken; what is only [`buffered`](RecvBody::poll_buffer) is not, so that a
//! held request keeps at most one window, and its many small frames become one piece.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

/// See the [module](self).
pub(crate) struct RecvBody {
    stream: RecvStream,
    /// Read ahead and not yet taken; its window is still taken up.
    buffered: BytesMut,
    /// All data has been read.
    data_ended: bool,
}

impl RecvBody {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let data_ended = stream.is_end_stream();
        Self { stream, buffered: BytesMut::new(), data_ended }
    }

    /// Reads ahead what has come, without giving its window back. Ready once the body is complete.
    pub(crate) fn poll_buffer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.data_ended {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(data) => self.buffered.extend_from_slice(&data?),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes that were read ahead.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.len()
    }

    /// Whether all its data was read ahead or taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.data_ended
    }

    fn give_back(&mut self, bytes: usize) {
        // Fails only when the stream is closed, and its window with it.
        drop(self.stream.flow_control().release_capacity(bytes));
    }

    /// The stream itself, for a tunnel. What was read ahead is in it no more.
    pub(super) fn into_parts(self) -> (RecvStream, Bytes) {
        (self.stream, self.buffered.freeze())
    }
}

impl Body for RecvBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.buffered.is_empty() {
            let data = self.buffered.split().freeze();
            self.give_back(data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.data_ended {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.give_back(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        match std::task::ready!(self.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffered.is_empty() && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
