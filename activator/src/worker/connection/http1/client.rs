//! The client's side of an HTTP/1.1 connection: what was read from it, and the body of the request that it sends. The
//! connection's task and that body share it; each borrows it within one poll only.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncWrite;

use super::super::ClientStream;
use crate::http1::{
    BodyReader, Broken, Framing, ReadBuffer, Refused, RequestHead, parse_request, write_interim,
};

/// What is read at a time for a head; what comes with it of a body, or behind it, is kept meanwhile.
const READ: usize = 8 << 10;
/// What of a body that nobody wants is taken before the connection is given up instead.
const DRAINED: usize = 64 << 10;

/// See the [module](self).
pub(crate) struct Client {
    pub(super) stream: ClientStream,
    buffer: ReadBuffer,
    /// How much of an unfinished head was looked at.
    seen: usize,
    body: BodyReader,
    /// Whether somebody still reads the body.
    reader: Reader,
    /// Interim responses that the socket has not taken yet.
    interim: Vec<u8>,
    /// The connection's task: it waits for the body's end.
    waiting: Option<Waker>,
    /// Whoever reads the body, and waits for more of it.
    reading: Option<Waker>,
}

/// What became of the body's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// It reads, or there was nothing to read.
    There,
    /// It was dropped before the end.
    Gone,
    /// The body is malformed, or broke off.
    Failed,
}

/// How a request's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// It was read: what follows is another request.
    Read,
    /// It was not, so nothing can follow.
    Unread,
}

impl Client {
    pub(super) fn new(stream: ClientStream) -> Self {
        Self {
            stream,
            buffer: ReadBuffer::new(),
            seen: 0,
            body: BodyReader::new(Framing::None),
            reader: Reader::There,
            interim: Vec::new(),
            waiting: None,
            reading: None,
        }
    }

    /// The next request's head; `None` if the client sends no more.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<Option<RequestHead>, Refused>> {
        loop {
            if self.buffer.as_slice().len() > self.seen
                && let Some(head) = parse_request(&mut self.buffer, self.seen, headers)?
            {
                self.seen = 0;
                self.body = BodyReader::new(head.framing);
                self.reader = Reader::There;
                return Poll::Ready(Ok(Some(head)));
            }
            self.seen = self.buffer.as_slice().len();
            // One that breaks off in a head, or is reset, sends no more, either.
            if !matches!(ready!(self.stream.poll_append(cx, &mut self.buffer, READ)), Ok(1..)) {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Whether part of a head has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Looks whether the client is gone. Pending where its end would be noticed here; where bytes stand before the end, of
    /// the body or of another request, it is not seen: those stay in the socket.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Look> {
        if !self.body.is_ended() {
            self.wait(cx);
            return Poll::Ready(Look::Unclear);
        }
        if !self.buffer.is_empty() {
            return Poll::Ready(Look::Unclear);
        }
        match ready!(self.stream.poll_peek(cx)) {
            Ok(1..) => Poll::Ready(Look::Unclear),
            Ok(0) | Err(_) => Poll::Ready(Look::Gone),
        }
    }

    /// Waits until nobody reads the body any more, and takes what is there of it if nobody did.
    pub(super) fn poll_body_end(&mut self, cx: &mut Context<'_>) -> Poll<BodyEnd> {
        let mut left = DRAINED;
        loop {
            match self.reader {
                _ if self.body.is_ended() => return Poll::Ready(BodyEnd::Read),
                Reader::Failed => return Poll::Ready(BodyEnd::Unread),
                Reader::There => {
                    self.wait(cx);
                    return Poll::Pending;
                }
                Reader::Gone => match self.body.poll_frame(cx, &mut self.buffer, &mut self.stream) {
                    Poll::Ready(Some(Ok(frame))) => {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        let Some(rest) = left.checked_sub(length) else {
                            return Poll::Ready(BodyEnd::Unread);
                        };
                        left = rest;
                    }
                    Poll::Ready(None) => {}
                    Poll::Ready(Some(Err(_))) | Poll::Pending => return Poll::Ready(BodyEnd::Unread),
                },
            }
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        note(&mut self.waiting, cx);
    }

    /// Whether the body was given up before its end, and is not there to be taken.
    pub(super) fn is_unread(&mut self) -> bool {
        let mut quiet = Context::from_waker(Waker::noop());
        self.reader != Reader::There && self.poll_body_end(&mut quiet) != Poll::Ready(BodyEnd::Read)
    }

    /// Whether the client sends on, as far as is known: closing would reset the connection, and what it was sent last
    /// could be lost on the way.
    pub(super) fn sends_on(&self) -> bool {
        let mut quiet = Context::from_waker(Waker::noop());
        !self.buffer.is_empty() || matches!(self.stream.poll_peek(&mut quiet), Poll::Ready(Ok(1..)))
    }

    /// The connection has ended: so does whoever still reads the body.
    fn close(&mut self) {
        if !self.body.is_ended() {
            self.reader = Reader::Failed;
        }
        if let Some(reading) = self.reading.take() {
            reading.wake();
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.reader == Reader::Failed {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())));
        }
        let polled = self.body.poll_frame(cx, &mut self.buffer, &mut self.stream);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.reader = Reader::Failed;
        }
        if self.body.is_ended() || self.reader == Reader::Failed {
            self.wake();
        } else if polled.is_pending() {
            note(&mut self.reading, cx);
        }
        polled
    }

    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Sends an interim response, before the next final one.
    fn send_interim(&mut self, response: &Response<()>) {
        write_interim(response, &mut self.interim);
        // What the socket does not take now goes before the response.
        let _ = self.poll_interim(&mut Context::from_waker(Waker::noop()));
    }

    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.interim))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.drain(..wrote);
        }
        Poll::Ready(Ok(()))
    }

    /// What is rare to be large is given back between two requests.
    pub(super) fn rest(&mut self) {
        self.buffer.rest();
    }

    /// The stream, for what follows HTTP on it.
    pub(super) fn into_stream(mut self) -> ClientStream {
        let read = self.buffer.as_slice().len();
        self.stream.unread(self.buffer.take(read));
        self.stream
    }
}

/// Has this task woken from now on.
fn note(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(known) => known.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

/// What a look at a client has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has left.
    Gone,
    /// That cannot be seen from here.
    Unclear,
}

/// Ends with the connection's task, and has whoever reads the body end as well.
pub(super) struct Closing(pub(super) Rc<RefCell<Client>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

/// Writes to the client, behind its interim responses.
pub(super) struct Writer<'a>(pub(super) &'a RefCell<Client>);

impl AsyncWrite for Writer<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut client = self.0.borrow_mut();
        ready!(client.poll_interim(cx))?;
        Pin::new(&mut client.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut client = self.0.borrow_mut();
        ready!(client.poll_interim(cx))?;
        Pin::new(&mut client.stream).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_shutdown(cx)
    }
}

/// The body of the request that the client sends.
pub(crate) struct ClientBody(Rc<RefCell<Client>>);

impl ClientBody {
    /// The body of the request whose head was just taken; `None` if it has none.
    pub(super) fn of(client: &Rc<RefCell<Client>>) -> Option<Self> {
        let has_none = client.borrow().body.is_ended();
        (!has_none).then(|| Self(client.clone()))
    }

    /// What of it was read and not taken, in bytes.
    pub(crate) fn buffered(&self) -> usize {
        self.0.borrow().buffer.as_slice().len()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let mut client = self.0.borrow_mut();
        if !client.body.is_ended() && client.reader == Reader::There {
            client.reader = Reader::Gone;
            client.wake();
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.borrow_mut().poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.borrow().body.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.borrow().body.size_hint()
    }
}

/// Sends a client of HTTP/1.1 interim responses.
#[derive(Clone)]
pub(crate) struct InterimSender(pub(super) Rc<RefCell<Client>>);

impl InterimSender {
    pub(crate) fn send(&self, response: &Response<()>) {
        self.0.borrow_mut().send_interim(response);
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
