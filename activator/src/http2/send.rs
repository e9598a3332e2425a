//! Sends a body by an HTTP/2 stream, a piece at a time and never more than the peer has room for, and notices
//! when the peer wants no more of it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

/// Sends one body. Does not end the stream when dropped before its end: h2 resets it then.
pub(crate) struct BodySender<B> {
    body: B,
    stream: SendStream<Bytes>,
    /// What is left of the piece that is being sent.
    piece: Bytes,
    /// The piece is the body's last.
    last: bool,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    /// The peer wants no more: it reset the stream, or the connection has ended.
    Reset,
    /// The body itself broke off.
    Body(E),
}

impl<B: Body<Data = Bytes> + Unpin> BodySender<B> {
    pub(crate) fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, piece: Bytes::new(), last: false }
    }

    /// Sends on. Ready when all is handed to the connection. `stalled` is asked while the peer has no room:
    /// it may end the sending as if the body had failed.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut stalled: impl FnMut(&mut B, &mut Context<'_>) -> Poll<B::Error>,
    ) -> Poll<Result<(), Failed<B::Error>>> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Failed::Reset));
            }
            if !self.piece.is_empty() {
                match self.poll_piece(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(failed)) => return Poll::Ready(Err(failed)),
                    Poll::Pending => return stalled(&mut self.body, cx).map(|e| Err(Failed::Body(e))),
                }
            }
            if self.last {
                return Poll::Ready(Ok(()));
            }
            let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(Failed::Body(error))),
                None => {
                    self.last = true;
                    return Poll::Ready(self.send(Bytes::new(), true));
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    self.last = self.body.is_end_stream();
                    if data.is_empty() && self.last {
                        return Poll::Ready(self.send(Bytes::new(), true));
                    }
                    self.piece = data;
                }
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    self.last = true;
                    let sent = self.stream.send_trailers(trailers);
                    return Poll::Ready(sent.map_err(|_| Failed::Reset));
                }
            }
        }
    }

    /// Sends as much of the piece as there is room for, until it is gone.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed<B::Error>>> {
        while !self.piece.is_empty() {
            self.stream.reserve_capacity(self.piece.len());
            let mut room = self.stream.capacity();
            while room == 0 {
                room = match std::task::ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Poll::Ready(Err(Failed::Reset)),
                };
            }
            let part = self.piece.split_to(room.min(self.piece.len()));
            let end = self.last && self.piece.is_empty();
            self.send(part, end)?;
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, data: Bytes, end: bool) -> Result<(), Failed<B::Error>> {
        self.stream.send_data(data, end).map_err(|_| Failed::Reset)
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// The body, however much of it was sent.
    pub(crate) fn into_body(self) -> B {
        self.body
    }

    pub(crate) fn body(&self) -> &B {
        &self.body
    }

    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }
}
