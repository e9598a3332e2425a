//! Serving HTTP/1.1: one request after the other, until the connection ends or becomes a tunnel.

mod client;

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use client::{BodyEnd, Client, Closing, Look, Writer};
pub(crate) use client::{ClientBody, InterimSender};
use http::{
    HeaderMap, Method, Response, StatusCode, Version,
    header::{CONNECTION, TE},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{ClientStream, Connection, Leaving, State, Watch, state::Verdict};
use crate::{
    error::{Error, Kind},
    http1::{Answering, Refused, RequestHead, SendError, Sending},
    request::{
        self, Caller, Prepared,
        body::{Received, ResponseBody},
        has_token,
        tunnel::Tunnel,
    },
    respond::{self, Form},
};

/// A client that still sends although it has its answer is read for so long: a reset could take the answer away before
/// it was read (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// The end of a response that is larger may still be on its way when the next byte of the client comes.
const LARGE: u64 = 16 << 10;

/// See the [module](self).
struct Server {
    connection: Rc<Connection>,
    client: Rc<RefCell<Client>>,
    sending: Sending,
    /// The map of the last response's fields, to be used again.
    spare: HeaderMap,
}

/// What follows a request.
enum Next {
    /// Another one.
    Request,
    /// Nothing.
    End,
    /// Nothing, although the client may still be sending.
    Linger,
    /// Bytes of another protocol.
    Tunnel(Box<Tunnel>),
}

/// Serves requests until the connection ends or becomes a tunnel.
pub(super) async fn serve(connection: Rc<Connection>, stream: ClientStream) {
    let client = Rc::new(RefCell::new(Client::new(stream)));
    let mut server = Server {
        connection: connection.clone(),
        client,
        sending: Sending::default(),
        spare: HeaderMap::new(),
    };
    let closing = Closing(server.client.clone());
    let next = loop {
        match server.serve_next().await {
            Next::Request => server.client.borrow_mut().rest(),
            next => break next,
        }
    };
    match next {
        Next::Request | Next::End => {}
        Next::Linger => Box::pin(server.linger()).await,
        Next::Tunnel(tunnel) => {
            drop(closing);
            // The request that asked for it has no body, so nobody else has the stream.
            if let Some(client) = Rc::into_inner(server.client) {
                Box::pin(tunnel.run(&connection, client.into_inner().into_stream())).await;
            }
        }
    }
}

/// A response on its way to the client.
struct Outgoing {
    body: ResponseBody,
    /// What follows its head.
    tunnel: Option<Box<Tunnel>>,
    keep_alive: bool,
    /// Some of it may be on its way for a while.
    is_large: bool,
    /// Nothing but the connection's end says that it is whole.
    ends_with_connection: bool,
}

// What a step leaves to the next is handed on in one piece, made by functions that await nothing: what they use
// meanwhile takes no room in a connection's future.
impl Server {
    /// Waits for a request and serves it.
    async fn serve_next(&mut self) -> Next {
        let (prepared, answering) = match poll_fn(|cx| self.poll_head(cx)).await {
            Some(Ok(head)) => self.prepare(head),
            Some(Err(refused)) => return Box::pin(self.refuse(refused)).await,
            None => return Next::End,
        };
        let response = {
            let mut serving = pin!(request::serve(prepared));
            self.unless_ended(|cx| serving.as_mut().poll(cx)).await
        };
        let answer = match response {
            Some(Ok(response)) => self.begin(response, answering),
            Some(Err(_)) | None => return Next::End,
        };
        self.answer(answer).await
    }

    /// Makes a request of its head, and notes for whom its response will be.
    fn prepare(&self, head: RequestHead) -> (Prepared, Answering) {
        let RequestHead { request, keep_alive, .. } = head;
        let is_1_1 = request.version() == Version::HTTP_11;
        let answering = Answering {
            to_head: request.method() == Method::HEAD,
            is_1_1,
            keep_alive,
            trailers: has_token(request.headers(), &TE, b"trailers"),
        };
        let received = ClientBody::of(&self.client).map_or(Received::Empty, Received::Http1);
        let interim = is_1_1.then(|| InterimSender(self.client.clone()));
        let caller = Caller::http1(self.connection.clone(), interim);
        (Prepared::new(caller, request.map(|()| received)), answering)
    }

    /// Begins to send a response.
    fn begin(&mut self, mut response: Response<ResponseBody>, mut answering: Answering) -> Outgoing {
        let tunnel = response.body_mut().take_tunnel();
        // What is left of a body that nobody wants would have to be read before another request.
        answering.keep_alive &= !closes(&response)
            && self.connection.state.verdict() == Verdict::GoOn
            && !self.client.borrow_mut().is_unread();
        self.sending.begin_response(&response, &answering, || self.connection.worker.date());
        self.spare = std::mem::take(response.headers_mut());
        let keep_alive = answering.keep_alive && !self.sending.ends_with_connection();
        let size = http_body::Body::size_hint(response.body()).exact();
        Outgoing {
            body: response.into_body(),
            tunnel,
            keep_alive,
            is_large: size.is_none_or(|size| size > LARGE),
            ends_with_connection: self.sending.ends_with_connection(),
        }
    }

    /// Sends a response, and waits for the end of the request's body.
    async fn answer(&mut self, mut answer: Outgoing) -> Next {
        let Self { connection, client, sending, .. } = self;
        let sent = {
            let mut writer = Writer(client);
            let send = |cx: &mut Context<'_>| sending.poll(cx, &mut writer, &mut answer.body);
            unless_ended(connection, client, send).await
        };
        match sent {
            Some(Ok(())) => {}
            Some(Err(SendError::Body)) => {
                if answer.ends_with_connection {
                    // Closed, it would look whole.
                    self.client.borrow().stream.reset_on_drop();
                }
                return Next::End;
            }
            Some(Err(SendError::Closed)) | None => return Next::End,
        }
        // Its end is counted before the next request begins.
        answer.body = ResponseBody::full(Bytes::new());
        if let Some(tunnel) = answer.tunnel {
            return Next::Tunnel(tunnel);
        }
        match self.body_end().await {
            Some(BodyEnd::Read) if answer.keep_alive => Next::Request,
            Some(BodyEnd::Read) if answer.is_large || self.client.borrow().sends_on() => Next::Linger,
            Some(BodyEnd::Read) | None => Next::End,
            Some(BodyEnd::Unread) => Next::Linger,
        }
    }

    /// Waits for the end of the request's body, which may be on its way to the app although that has answered.
    async fn body_end(&self) -> Option<BodyEnd> {
        let state = &self.connection.state;
        let mut waits = false;
        let ended = self.unless_ended(|cx| {
            let polled = self.client.borrow_mut().poll_body_end(cx);
            if polled.is_pending() && state.verdict() == Verdict::CloseWhenIdle {
                return Poll::Ready(BodyEnd::Unread);
            }
            if polled.is_pending() && !waits {
                // Until then it is not the next request that is waited for.
                waits = true;
                state.on_request();
            }
            polled
        });
        let ended = ended.await;
        if waits {
            state.on_response_end(self.connection.worker.tick.get());
        }
        ended
    }

    /// The next head; `None` if there is none.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RequestHead, Refused>>> {
        let state = &self.connection.state;
        if state.verdict() == Verdict::CloseNow {
            return Poll::Ready(None);
        }
        let mut client = self.client.borrow_mut();
        if let Poll::Ready(head) = client.poll_head(cx, &mut self.spare) {
            return Poll::Ready(head.transpose());
        }
        // What has begun to come is still served, and told that it is the last.
        if state.verdict() == Verdict::CloseWhenIdle && !client.has_begun() {
            return Poll::Ready(None);
        }
        if client.has_begun() {
            // It may have come with the request before.
            state.on_bytes(self.connection.worker.tick.get());
        }
        state.register(cx.waker());
        Poll::Pending
    }

    /// See [`unless_ended`].
    async fn unless_ended<T>(&self, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        unless_ended(&self.connection, &self.client, poll).await
    }

    /// Answers a head that is not taken.
    async fn refuse(&mut self, refused: Refused) -> Next {
        let error = match refused {
            Refused::Malformed(what) => Error::new(Kind::BadRequest, what),
            Refused::TooLarge(what) => Error::new(Kind::HeadTooLarge, what),
        };
        tracing::debug!(%error, "refused");
        let response = respond::error(&error, None, Form::Http);
        let answering = Answering { to_head: false, is_1_1: true, keep_alive: false, trailers: false };
        let answer = self.begin(response, answering);
        match self.answer(answer).await {
            Next::End => Next::Linger,
            next => next,
        }
    }

    /// Tells the client that nothing more comes, and reads what it still sends for a moment.
    async fn linger(&self) {
        let shut = poll_fn(|cx| Pin::new(&mut Writer(&self.client)).poll_shutdown(cx));
        if self.connection.unless_closed_now(shut).await.is_none_or(|shut| shut.is_err()) {
            return;
        }
        let rest = poll_fn(|cx| {
            let mut client = self.client.borrow_mut();
            let mut space = [0; 4 << 10];
            loop {
                let mut read = ReadBuf::new(&mut space);
                match Pin::new(&mut client.stream).poll_read(cx, &mut read) {
                    Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // However that ends, the connection does.
        let _ = self.connection.unless_closed_now(timeout(LINGER, rest)).await;
    }
}

/// Runs what is polled to its end, unless the client leaves or the connection has to be closed at once.
async fn unless_ended<T>(
    connection: &Connection,
    client: &RefCell<Client>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let state: &State = &connection.state;
    let mut watch: Option<Watch> = None;
    poll_fn(|cx| {
        if state.verdict() == Verdict::CloseNow {
            return Poll::Ready(None);
        }
        if let Poll::Ready(output) = poll(cx) {
            return Poll::Ready(Some(output));
        }
        let look = {
            let mut client = client.borrow_mut();
            // If it fails, so will the response.
            let _ = client.poll_interim(cx);
            client.poll_gone(cx)
        };
        match look {
            Poll::Ready(Look::Gone) => return Poll::Ready(None),
            // While the request is held, the hold has a watch of its own, and this one cannot be had.
            Poll::Ready(Look::Unclear) => {
                if watch.is_none() {
                    watch = connection.watch(Leaving::EndOrReset).and_then(Result::ok);
                }
                if watch.as_mut().is_some_and(|watch| watch.poll_gone(cx).is_ready()) {
                    return Poll::Ready(None);
                }
            }
            Poll::Pending => {}
        }
        state.register(cx.waker());
        Poll::Pending
    })
    .await
}

/// Whether the response says that it is the last.
fn closes(response: &Response<ResponseBody>) -> bool {
    response.status() != StatusCode::SWITCHING_PROTOCOLS && response.headers().contains_key(CONNECTION)
}
