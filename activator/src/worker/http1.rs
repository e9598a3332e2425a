//! One HTTP/1.1 connection to an endpoint, moved on by the task of the request that uses it: the bytes to and from the
//! app are moved where the client's are, and no other task has to be woken on the way.
//!
//! While it is idle, nobody moves it; what came meanwhile is looked at before it is used again. Only an upload that goes
//! on while its response streams gets a task of its own: a client that does not read the response must not stop what it
//! sends.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use nix::errno::Errno;
use tokio::net::TcpStream;

use super::{
    background::Background,
    pool::{Key, peek},
};
use crate::{
    http1::{
        BodyReader, Broken, Framing, Head, Malformed, ReadBuffer, SendError, Sending, is_interim,
        parse_response,
    },
    prober,
    request::body::RequestBody,
};

/// Bytes that may come before the head of a final response is complete: all interim ones together.
const INTERIM_BUDGET: usize = 1 << 20;

/// See the [module](self).
pub(crate) struct Http1Connection {
    /// Shared with the task of an upload; borrowed within one poll only.
    stream: Rc<RefCell<TcpStream>>,
    buffer: ReadBuffer,
    sending: Sending,
    body: BodyReader,
    /// Another request may follow, as far as the last response says.
    keep_alive: bool,
    upload: Option<Upload>,
    pub(super) key: Key,
    /// It has carried a request before.
    used: bool,
    /// The tick at which it became idle.
    pub(super) since: u32,
}

/// What sends the rest of a request's body while the response streams.
struct Upload {
    task: Background,
    is_done: Rc<Cell<bool>>,
}

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of it was sent, as the app had closed the connection. Its body is whole.
    Unsent,
    /// The connection ended. Whether any of a response had come.
    Closed { answered: bool },
    /// What came is not HTTP/1.1.
    Malformed(Malformed),
    /// A megabyte came, and no final response.
    Endless,
    /// The request's body broke off.
    Body,
}

/// What goes on between a request and the head of its response.
struct Exchange<'a, I> {
    request: &'a mut Request<RequestBody>,
    /// Takes interim responses.
    interim: I,
    /// Bytes of the head that were looked at.
    seen: usize,
    /// Bytes of interim responses.
    spent: usize,
    delivery: Delivery,
}

/// What becomes of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// It is being sent, or was.
    Sent,
    /// Nothing of it was sent, as the app had closed its side; but it may have said something before.
    Unsent,
    /// Its body broke off.
    BodyBroke,
}

impl Http1Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// If the endpoint does not take it.
    pub(crate) async fn open(generation: u64, address: SocketAddr) -> std::io::Result<Box<Self>> {
        Ok(Self::new(prober::connect(address).await?, generation, address))
    }

    fn new(stream: TcpStream, generation: u64, address: SocketAddr) -> Box<Self> {
        Box::new(Self {
            stream: Rc::new(RefCell::new(stream)),
            buffer: ReadBuffer::new(),
            sending: Sending::default(),
            body: BodyReader::new(Framing::None),
            keep_alive: true,
            upload: None,
            key: Key { generation, address },
            used: false,
            since: 0,
        })
    }

    /// Whether it has carried a request before.
    pub(crate) fn is_reused(&self) -> bool {
        self.used
    }

    /// Sends a request and waits for the head of its response, whose fields take the place of the request's: it is not
    /// needed any more. `interim` is given the interim ones. On failure the request is as it was, but for what was
    /// taken of its body.
    ///
    /// # Errors
    /// See [`Failure`]. The connection is of no more use then.
    pub(crate) async fn exchange(
        &mut self,
        request: &mut Request<RequestBody>,
        interim: impl FnMut(Response<()>),
    ) -> Result<Response<()>, Failure> {
        self.sending.begin_request(request);
        let mut exchange = Exchange { request, interim, seen: 0, spent: 0, delivery: Delivery::Sent };
        let head = poll_fn(|cx| self.poll_exchange(cx, &mut exchange)).await?;
        if exchange.delivery == Delivery::Unsent {
            self.sending.go_deaf();
        }
        self.body = BodyReader::new(head.framing);
        self.keep_alive = head.keep_alive && head.status != StatusCode::SWITCHING_PROTOCOLS;
        let mut response = response(&head);
        *response.headers_mut() = std::mem::take(request.headers_mut());
        if let Some(reason) = head.reason {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }

    fn poll_exchange<I: FnMut(Response<()>)>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_, I>,
    ) -> Poll<Result<Head, Failure>> {
        loop {
            if exchange.delivery == Delivery::Sent && !self.sending.is_done() {
                let body = exchange.request.body_mut();
                match self.sending.poll(cx, &mut *self.stream.borrow_mut(), body) {
                    Poll::Ready(Err(SendError::Closed)) => {
                        body.put_back(self.sending.take_back());
                        exchange.delivery = Delivery::Unsent;
                    }
                    Poll::Ready(Err(SendError::Body)) => exchange.delivery = Delivery::BodyBroke,
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            match self.poll_head(cx, exchange) {
                Poll::Ready(Ok(head)) if is_interim(head.status) => {
                    if head.status == StatusCode::CONTINUE {
                        exchange.request.body_mut().permit();
                    }
                }
                Poll::Pending if exchange.delivery == Delivery::BodyBroke => {
                    return Poll::Ready(Err(Failure::Body));
                }
                polled => return polled,
            }
        }
    }

    /// The next head.
    fn poll_head<I: FnMut(Response<()>)>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_, I>,
    ) -> Poll<Result<Head, Failure>> {
        loop {
            if self.buffer.as_slice().len() > exchange.seen
                && let Some(head) = self.take_head(exchange)?
            {
                return Poll::Ready(Ok(head));
            }
            exchange.seen = self.buffer.as_slice().len();
            if exchange.spent + exchange.seen > INTERIM_BUDGET {
                return Poll::Ready(Err(Failure::Endless));
            }
            let filled = self.buffer.poll_fill(cx, &mut *self.stream.borrow_mut());
            if !matches!(std::task::ready!(filled), Ok(1..)) {
                let answered = exchange.seen + exchange.spent > 0;
                return Poll::Ready(Err(match exchange.delivery {
                    Delivery::Unsent if !answered => Failure::Unsent,
                    _ => Failure::Closed { answered },
                }));
            }
        }
    }

    /// A head, if it is all there; an interim one is passed on.
    fn take_head<I: FnMut(Response<()>)>(
        &mut self,
        exchange: &mut Exchange<'_, I>,
    ) -> Result<Option<Head>, Failure> {
        let to_head = exchange.request.method() == Method::HEAD;
        let mut interim = HeaderMap::new();
        let headers = exchange.request.headers_mut();
        let parsed = parse_response(&mut self.buffer, exchange.seen, to_head, headers, &mut interim);
        let Some(head) = parsed.map_err(Failure::Malformed)? else { return Ok(None) };
        exchange.seen = 0;
        if is_interim(head.status) {
            exchange.spent += head.length;
            let mut response = response(&head);
            *response.headers_mut() = interim;
            (exchange.interim)(response);
        }
        Ok(Some(head))
    }

    /// Carries no request after this one.
    pub(crate) fn use_once(&mut self) {
        self.keep_alive = false;
    }

    /// Whether all of the request was sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.sending.is_done()
    }

    /// Sends the rest of a request's body, for whose end the head of the response did not wait.
    pub(crate) fn go_on_sending(&mut self, mut body: RequestBody) {
        let mut sending = std::mem::take(&mut self.sending);
        let stream = self.stream.clone();
        let is_done = Rc::<Cell<bool>>::default();
        let done = is_done.clone();
        let task = Background::start(async move {
            let sent = poll_fn(|cx| sending.poll(cx, &mut *stream.borrow_mut(), &mut body)).await;
            done.set(sent.is_ok() && !sending.is_deaf());
        });
        self.upload = Some(Upload { task, is_done });
    }

    /// What has come of the response's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.body.poll_frame(cx, &mut self.buffer, &mut *self.stream.borrow_mut())
    }

    /// Whether all of the response was taken.
    pub(crate) fn is_body_ended(&self) -> bool {
        self.body.is_ended()
    }

    /// How long what is left of the response's body is.
    pub(crate) fn body_size(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Its socket, and what was read from it that belongs to no response: for one that has changed its protocol.
    /// `None` if it is still in use.
    pub(crate) fn into_stream(self: Box<Self>) -> Option<(TcpStream, Bytes)> {
        let Self { stream, mut buffer, .. } = *self;
        let read = buffer.as_slice().len();
        Some((Rc::into_inner(stream)?.into_inner(), buffer.take(read)))
    }

    /// Makes it idle, as of this tick. False if it can carry no further request.
    ///
    /// An upload that has not ended goes on to its end: the client may be told nothing else than to send.
    pub(super) fn rest(&mut self, now: u32) -> bool {
        let is_sent = match self.upload.take() {
            None => self.sending.is_done() && !self.sending.is_deaf(),
            Some(upload) if upload.is_done.get() => true,
            Some(upload) => {
                upload.task.let_go();
                false
            }
        };
        self.used = true;
        self.since = now;
        let is_clean = self.buffer.is_empty();
        self.buffer.rest();
        is_sent && is_clean && self.keep_alive && self.body.is_ended()
    }

    /// Whether it has ended, or the app has said something unasked. For an idle one.
    pub(super) fn is_ended(&self) -> bool {
        let mut quiet = Context::from_waker(Waker::noop());
        // What the runtime knows costs no system call, and is mostly nothing.
        self.stream.borrow().poll_read_ready(&mut quiet).is_ready() && self.is_stale()
    }

    /// The same, seen in the socket itself: the runtime may not have been told yet.
    pub(crate) fn is_stale(&self) -> bool {
        peek(self.socket()) != Err(Errno::EAGAIN)
    }

    fn socket(&self) -> RawFd {
        self.stream.borrow().as_raw_fd()
    }
}

fn response(head: &Head) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_11;
    response
}

#[cfg(test)]
#[path = "http1_tests.rs"]
mod tests;
