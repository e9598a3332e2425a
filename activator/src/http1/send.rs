//! A message on its way to a peer: its head, then its body, in as few writes as the pieces allow.

use std::{
    io::{IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
        MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
    },
};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::head::{self, Answering, Rest, write_field};
use crate::pieces;

/// Why a message cannot be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// Its body broke off, or has not the length that its head says.
    Body,
    /// The peer has closed the connection. Of a request, nothing was sent then.
    Closed,
}

/// What of a message has still to be written.
///
/// An app that refuses an upload answers before it has read the body, and closes. So once something of a request was
/// written, a write that fails is taken for done, and what is left goes nowhere: reading tells how it ends.
#[derive(Default)]
pub(crate) struct Sending {
    /// The head, or what frames the piece: all before it.
    before: Vec<u8>,
    /// How much of it was written.
    written: usize,
    /// A piece of the body.
    piece: Bytes,
    /// What frames it behind.
    after: &'static [u8],
    /// What of the body was not taken yet.
    rest: Rest,
    /// The peer takes trailers.
    takes_trailers: bool,
    message: Message,
    peer: Peer,
    /// The body broke off, and what was there of it is still to be written.
    broke: bool,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    #[default]
    Request,
    Response,
}

/// How the peer takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Peer {
    /// It was sent nothing.
    #[default]
    Unsent,
    /// It reads.
    Reads,
    /// It reads no more.
    Deaf,
}

impl Sending {
    /// Begins with a request whose head is one for HTTP/1.1: `Transfer-Encoding: chunked` is in it if its body has no
    /// known length.
    pub(crate) fn begin_request<B: Body>(&mut self, request: &Request<B>) {
        self.clear();
        self.rest = head::write_request(request, &mut self.before);
        self.begin(Message::Request, true);
    }

    /// Begins with a response, which gets a date if it has none.
    pub(crate) fn begin_response<B: Body>(
        &mut self,
        response: &Response<B>,
        answering: &Answering,
        date: impl FnOnce() -> HeaderValue,
    ) {
        self.clear();
        self.rest = head::write_response(response, answering, date, &mut self.before);
        self.begin(Message::Response, answering.trailers);
    }

    fn begin(&mut self, message: Message, takes_trailers: bool) {
        self.message = message;
        self.takes_trailers = takes_trailers;
        self.peer = Peer::Unsent;
        self.broke = false;
    }

    /// Whether the connection has to end for the body to end.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.rest == Rest::Close
    }

    /// Whether everything was written.
    pub(crate) fn is_done(&self) -> bool {
        self.rest == Rest::Nothing && !self.has_pending()
    }

    /// Whether the app has closed its side before it had all.
    pub(crate) fn is_deaf(&self) -> bool {
        self.peer == Peer::Deaf
    }

    /// The piece of the body that was taken and not written, if there is one. For a request of which nothing was sent.
    pub(crate) fn take_back(&mut self) -> Bytes {
        std::mem::take(&mut self.piece)
    }

    /// Gives up writing, as the app reads nothing; it may have answered all the same.
    pub(crate) fn go_deaf(&mut self) {
        self.clear();
        self.peer = Peer::Deaf;
    }

    /// Writes on, as far as the stream takes it and the body gives something. Ready once all is written.
    ///
    /// # Errors
    /// See [`SendError`].
    pub(crate) fn poll<S, B>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        body: &mut B,
    ) -> Poll<Result<(), SendError>>
    where
        S: AsyncWrite + Unpin,
        B: Body<Data = Bytes> + Unpin,
    {
        // What is there of the body goes along with the head.
        if self.peer == Peer::Unsent
            && self.rest != Rest::Nothing
            && self.piece.is_empty()
            && !self.broke
            && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx)
        {
            match self.add(frame, body) {
                // The client gets the head at least: an empty answer would tell it less.
                Err(SendError::Body) if self.message == Message::Response => self.broke = true,
                added => added?,
            }
        }
        loop {
            ready!(self.poll_write(cx, stream))?;
            if self.broke {
                return Poll::Ready(Err(SendError::Body));
            }
            if self.rest == Rest::Nothing {
                return Poll::Ready(Ok(()));
            }
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            self.add(frame, body)?;
        }
    }

    /// Takes a frame of the body.
    fn add<B>(&mut self, frame: Option<Result<Frame<Bytes>, B::Error>>, body: &B) -> Result<(), SendError>
    where
        B: Body<Data = Bytes>,
    {
        let frame = frame.transpose().map_err(|_| SendError::Body)?;
        match frame.map(Frame::into_data) {
            Some(Ok(data)) if data.is_empty() => {}
            Some(Ok(data)) => self.add_data(data, body.is_end_stream())?,
            Some(Err(frame)) => self.add_end(frame.into_trailers().ok().as_ref())?,
            None => self.add_end(None)?,
        }
        Ok(())
    }

    fn add_data(&mut self, data: Bytes, is_last: bool) -> Result<(), SendError> {
        match self.rest {
            Rest::Length(left) => {
                let left = left.checked_sub(data.len() as u64).ok_or(SendError::Body)?;
                self.rest = if left == 0 && is_last { Rest::Nothing } else { Rest::Length(left) };
            }
            Rest::Chunked => {
                // Memory takes all that is written to it.
                let _ = write!(self.before, "{:x}\r\n", data.len());
                self.after = if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
                if is_last {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Close if is_last => self.rest = Rest::Nothing,
            Rest::Close => {}
            Rest::Nothing => return Err(SendError::Body),
        }
        self.piece = data;
        Ok(())
    }

    fn add_end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), SendError> {
        match self.rest {
            Rest::Length(1..) => return Err(SendError::Body),
            Rest::Length(0) | Rest::Close | Rest::Nothing => {}
            Rest::Chunked => {
                self.before.extend_from_slice(b"0\r\n");
                let trailers = trailers.filter(|_| self.takes_trailers).into_iter().flatten();
                for (name, value) in trailers.filter(|(name, _)| may_trail(name)) {
                    write_field(name, value.as_bytes(), &mut self.before);
                }
                self.before.extend_from_slice(b"\r\n");
            }
        }
        self.rest = Rest::Nothing;
        Ok(())
    }

    /// Writes what was added.
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<Result<(), SendError>> {
        if self.peer == Peer::Deaf {
            self.clear();
        }
        while self.has_pending() {
            let before = IoSlice::new(&self.before[self.written..]);
            let wrote = if self.piece.is_empty() && self.after.is_empty() {
                ready!(pieces::poll_write(stream, cx, &[before]))
            } else {
                let all = [before, IoSlice::new(&self.piece), IoSlice::new(self.after)];
                ready!(pieces::poll_write(stream, cx, &all))
            };
            match wrote {
                Ok(count @ 1..) => {
                    self.peer = Peer::Reads;
                    self.wrote(count);
                }
                Ok(0) | Err(_) if self.peer == Peer::Unsent || self.message == Message::Response => {
                    return Poll::Ready(Err(SendError::Closed));
                }
                Ok(0) | Err(_) => self.go_deaf(),
            }
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    fn has_pending(&self) -> bool {
        self.written < self.before.len() || !self.piece.is_empty() || !self.after.is_empty()
    }

    fn clear(&mut self) {
        self.before.clear();
        self.written = 0;
        self.piece = Bytes::new();
        self.after = b"";
    }

    fn wrote(&mut self, mut count: usize) {
        let before = count.min(self.before.len() - self.written);
        self.written += before;
        count -= before;
        let piece = count.min(self.piece.len());
        self.piece.advance(piece);
        count -= piece;
        self.after = &self.after[count..];
    }
}

/// Fields that frame, route or control a message have no effect at its end, and must not seem to (RFC 9110, 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    static NEVER: [HeaderName; 12] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    !NEVER.contains(name)
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
