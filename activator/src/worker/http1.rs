//! One HTTP/1.1 connection to an endpoint, and who moves it on.
//!
//! As a rule it is the task of the request that uses it: the bytes to and from the app are then moved where the
//! client's are, and no other task has to be woken on the way. While idle, nobody does; what came meanwhile is
//! looked at before it is used again. Only an upload that goes on while its response streams needs a task of
//! its own: a client that does not read the response must not stop what it sends.

use std::{
    future::poll_fn,
    net::SocketAddr,
    os::fd::RawFd,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use nix::errno::Errno;

use super::{
    pool::{Key, peek},
    upstream::{HeadBudget, UpstreamStream},
};
use crate::{prober, request::body::RequestBody};

type Connection = http1::Connection<TokioIo<UpstreamStream>, RequestBody>;

/// See the [module](self).
pub(crate) struct Http1Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    pub(super) key: Key,
    /// It has carried a request before.
    pub(super) used: bool,
    /// The tick at which it became idle.
    pub(super) since: u32,
    socket: RawFd,
    budget: Rc<HeadBudget>,
}

/// Who moves a connection on.
#[expect(clippy::large_enum_variant, reason = "the large one is the rule, and all of it is in a box")]
enum Driver {
    /// Who uses it.
    User(Connection),
    /// A task of its own.
    Task,
    /// Nobody: it has ended.
    Ended,
}

impl Http1Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// If the endpoint does not take it.
    pub(crate) async fn open(generation: u64, address: SocketAddr) -> std::io::Result<Box<Self>> {
        let stream = UpstreamStream::new(prober::connect(address).await?);
        let (socket, budget) = (stream.socket(), stream.head_budget());
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let driver = Driver::User(connection);
        let key = Key { generation, address };
        Ok(Box::new(Self { sender, driver, key, used: false, since: 0, socket, budget }))
    }

    /// One that was opened and used elsewhere, for the rest of a response; `None` if it has ended by now.
    pub(crate) fn adopt(
        sender: SendRequest<RequestBody>,
        connection: Option<Connection>,
        generation: u64,
        address: SocketAddr,
        socket: RawFd,
        budget: Rc<HeadBudget>,
    ) -> Box<Self> {
        let mut driver = connection.map_or(Driver::Ended, Driver::User);
        driver.go_on_alone();
        let key = Key { generation, address };
        Box::new(Self { sender, driver, key, used: false, since: 0, socket, budget })
    }

    /// Whether it has carried a request before.
    pub(crate) fn is_reused(&self) -> bool {
        self.used
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// hyper's, with the request if none of it was sent.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        let has_body = !request.body().is_end_stream();
        self.budget.await_head();
        let answer = self.sender.try_send_request(request);
        async move {
            let mut answer = pin!(answer);
            let answered = poll_fn(|cx| match self.driver.poll(cx) {
                Some(mut quiet) => answer.as_mut().poll(&mut quiet),
                None => answer.as_mut().poll(cx),
            })
            .await;
            if answered.is_ok() {
                self.budget.head_came();
                if has_body && !self.sender.is_ready() {
                    self.driver.go_on_alone();
                }
            }
            answered
        }
    }

    /// Reads more of the response's body, polled by `poll`.
    pub(crate) fn poll_body<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Driver::User(_) = self.driver else { return poll(cx) };
        if let Poll::Ready(got) = poll(&mut quiet()) {
            return Poll::Ready(got);
        }
        match self.driver.poll(cx) {
            Some(mut quiet) => poll(&mut quiet),
            None => poll(cx),
        }
    }

    /// Whether the connection was ended because the head of the response did not end.
    pub(crate) fn head_is_endless(&self) -> bool {
        self.budget.is_spent()
    }

    /// Whether it has ended, as far as is known without a look into the socket. For an idle one.
    pub(super) fn is_ended(&mut self) -> bool {
        self.driver.poll(&mut quiet());
        self.sender.is_closed()
    }

    /// Whether it was closed when it was last moved on.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it takes a request now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether the peer has closed the connection or sent something unasked, seen in the socket itself: the
    /// runtime may not have been told yet.
    pub(crate) fn is_stale(&self) -> bool {
        // Not closed, so the descriptor is open: its owner is here, or a task of this thread.
        self.sender.is_closed() || peek(self.socket) != Err(Errno::EAGAIN)
    }
}

/// For what is only moved on by the connection, and so is looked at whenever that was: nobody is to be woken.
fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Driver {
    /// Moves the connection on if that is the caller's part. What the connection gives is then to be polled
    /// with the context that is returned.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Context<'static>> {
        let Self::User(connection) = self else { return None };
        if Pin::new(connection).poll(cx).is_ready() {
            // How it ended is told to whoever waits for its answer.
            *self = Self::Ended;
        }
        Some(quiet())
    }

    fn go_on_alone(&mut self) {
        let Self::User(_) = self else { return };
        if let Self::User(connection) = std::mem::replace(self, Self::Task) {
            tokio::task::spawn_local(async move {
                drop(connection.await);
            });
        }
    }
}
