//! A client's connection: who it is, where it stands, and what ends it.
//!
//! hyper has one timer that covers both a slow head and an idle keep-alive connection; they need different
//! limits, so the connection notes for itself when it waits for what, in ticks of the worker's clock.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pin_project::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{Target, Worker, WorkerApp, hangup::Watch, ticker::ticks};
use crate::{
    config::ClientTimeouts,
    drain::Stage,
    request::{self, Forwarded},
    server::Shared,
};

/// A head may have this many bytes; longer ones get 431.
const MAX_HEAD: usize = 64 << 10;

/// Whom the requests of a port are for, as the worker's own.
pub(crate) enum Serve {
    App { app: Rc<WorkerApp>, port: SocketAddr },
    Gateway,
}

impl Serve {
    pub(super) fn new(worker: &Worker, target: &Target) -> Option<Self> {
        Some(match target {
            Target::App { app, port } => Self::App { app: worker.app(app)?, port: *port },
            Target::Gateway => Self::Gateway,
        })
    }
}

/// What a client's connection waits for, since which tick.
#[derive(Clone, Copy, Debug)]
enum Waits {
    /// The first byte after accept.
    FirstByte(u32),
    /// The rest of a head.
    Head(u32),
    /// The next request.
    NextRequest(u32),
    /// Nothing: a request is being served.
    Busy,
}

/// Limits of the response that is on its way, in ticks.
#[derive(Clone, Copy, Debug)]
struct ResponseLimits {
    idle: Option<u32>,
    /// The tick at which it has to be over.
    total: Option<u32>,
    /// When a piece was last taken.
    progress: u32,
}

impl ResponseLimits {
    fn are_over(self, now: u32) -> bool {
        self.total.is_some_and(|until| now >= until)
            || self.idle.is_some_and(|limit| now.wrapping_sub(self.progress) > limit)
    }
}

/// What was decided about a connection; only ever raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    GoOn,
    CloseWhenIdle,
    CloseNow,
}

/// What can be known and decided about a connection from outside of its task.
pub(crate) struct State {
    waits: Cell<Waits>,
    /// Bytes came while a request was being served: part of the next head may be among them.
    read_ahead: Cell<bool>,
    /// The request's body broke off or is malformed.
    body_failed: Cell<bool>,
    /// Limits of the response that is on its way.
    limits: Cell<Option<ResponseLimits>>,
    verdict: Cell<Verdict>,
    task: RefCell<Option<Waker>>,
}

impl State {
    fn new(tick: u32) -> Self {
        Self {
            waits: Cell::new(Waits::FirstByte(tick)),
            read_ahead: Cell::new(false),
            body_failed: Cell::new(false),
            limits: Cell::new(None),
            verdict: Cell::new(Verdict::GoOn),
            task: RefCell::new(None),
        }
    }

    fn on_bytes(&self, tick: u32) {
        match self.waits.get() {
            Waits::FirstByte(_) | Waits::NextRequest(_) => self.waits.set(Waits::Head(tick)),
            Waits::Busy => self.read_ahead.set(true),
            Waits::Head(_) => {}
        }
    }

    /// A request's head is complete.
    pub(crate) fn on_request(&self) {
        self.waits.set(Waits::Busy);
        self.read_ahead.set(false);
        self.body_failed.set(false);
    }

    /// The request's body broke off or is malformed: whatever follows is the client's doing.
    pub(crate) fn on_body_error(&self) {
        self.body_failed.set(true);
    }

    /// Whether the request's body broke off or is malformed.
    pub(crate) fn body_failed(&self) -> bool {
        self.body_failed.get()
    }

    /// Ends the response when it takes or pauses for too long, whoever is the cause: a client that does not
    /// read is not noticed by the body itself, as nobody asks it for more.
    pub(crate) fn limit_response(&self, tick: u32, idle: Option<Duration>, total: Option<Duration>) {
        let until = |limit: Duration| tick.wrapping_add(ticks(limit) + 1);
        self.limits.set(Some(ResponseLimits {
            idle: idle.map(ticks),
            total: total.map(until),
            progress: tick,
        }));
    }

    /// A piece of the response was taken.
    pub(crate) fn on_progress(&self, tick: u32) {
        if let Some(limits) = self.limits.get() {
            self.limits.set(Some(ResponseLimits { progress: tick, ..limits }));
        }
    }

    /// The request's body has ended: further bytes belong to the next request.
    pub(crate) fn on_body_end(&self) {
        self.read_ahead.set(false);
    }

    /// The response has ended.
    pub(crate) fn on_response_end(&self, tick: u32) {
        self.limits.set(None);
        let next = if self.read_ahead.get() { Waits::Head(tick) } else { Waits::NextRequest(tick) };
        self.waits.set(next);
    }

    pub(super) fn check_time(&self, now: u32, limits: &ClientTimeouts) {
        let (since, limit) = match self.waits.get() {
            Waits::Busy => {
                if self.limits.get().is_some_and(|limits| limits.are_over(now)) {
                    self.close_now();
                }
                return;
            }
            Waits::FirstByte(since) => (since, limits.first_byte),
            Waits::Head(since) => (since, limits.head),
            Waits::NextRequest(since) => (since, limits.keep_alive),
        };
        // A tick may be nearly over when something begins in it.
        if now.wrapping_sub(since) > ticks(limit) {
            self.close_now();
        }
    }

    /// Closes after the request in progress, at once if there is none.
    pub(super) fn close_when_idle(&self) {
        self.decide(Verdict::CloseWhenIdle);
    }

    /// Closes at once.
    pub(super) fn close_now(&self) {
        self.decide(Verdict::CloseNow);
    }

    fn decide(&self, verdict: Verdict) {
        self.verdict.set(verdict.max(self.verdict.get()));
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }
}

/// A client's connection, as its requests see it.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) serve: Rc<Serve>,
    pub(crate) state: Rc<State>,
    socket: RawFd,
    /// What is told to apps about the client.
    pub(crate) forwarded: RefCell<Forwarded>,
}

/// Counts a connection while it lives.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::AcqRel);
        Self(shared.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lists a connection with its worker while it lives, however it ends.
struct Listed {
    worker: Rc<Worker>,
    key: usize,
}

impl Listed {
    fn new(worker: &Rc<Worker>, state: &Rc<State>) -> Self {
        Self { worker: worker.clone(), key: worker.connections.borrow_mut().insert(state.clone()) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.key);
    }
}

impl Connection {
    /// Watches for the client's leaving, for as long as a request of this connection is held.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        // SAFETY: the request that asks is part of the connection's own task, which owns the socket.
        #[allow(unsafe_code, reason = "hyper owns the socket and lends nothing")]
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        self.worker.hangups.watch(socket)
    }

    /// Serves a connection until it ends. It is counted from the call on, not from the first poll.
    pub(super) fn run(
        worker: Rc<Worker>,
        stream: TcpStream,
        peer: SocketAddr,
        serve: Rc<Serve>,
    ) -> impl Future<Output = ()> {
        let counted = Counted::new(&worker.shared);
        async move {
            let _counted = counted;
            Self::serve(worker, stream, peer, serve).await;
        }
    }

    async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, serve: Rc<Serve>) {
        let state = Rc::new(State::new(worker.tick.get()));
        let _listed = Listed::new(&worker, &state);
        if worker.shared.stage() >= Stage::Draining {
            // From the queue of a port that is closing: its request is served, but it has to come soon.
            state.waits.set(Waits::Head(worker.tick.get()));
        }
        let connection = Rc::new(Self {
            socket: stream.as_raw_fd(),
            forwarded: RefCell::new(Forwarded::new(peer.ip(), &worker.shared.config.trusted_proxies)),
            worker: worker.clone(),
            serve,
            state: state.clone(),
        });
        let io = TokioIo::new(ClientStream { stream, state: state.clone(), worker: worker.clone() });
        let service = service_fn(move |request| request::serve(connection.clone(), request));
        let served =
            http1::Builder::new().max_header_size(MAX_HEAD).half_close(false).serve_connection(io, service);
        drive(served, &state).await;
    }
}

/// Polls the connection, and carries out what was decided about it.
async fn drive<S, B>(connection: http1::Connection<TokioIo<ClientStream>, S>, state: &State)
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    let mut closing = false;
    poll_fn(|cx: &mut Context<'_>| {
        match state.verdict.get() {
            Verdict::GoOn => {}
            Verdict::CloseNow => return Poll::Ready(()),
            Verdict::CloseWhenIdle => {
                if !closing {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        let polled = connection.as_mut().poll(cx);
        if polled.is_pending() {
            let mut task = state.task.borrow_mut();
            if !task.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
        }
        // Why it ended is the client's business, or was told to it already.
        polled.map(drop)
    })
    .await;
}

/// The client's socket; notes when bytes come.
#[pin_project]
pub(crate) struct ClientStream {
    #[pin]
    stream: TcpStream,
    state: Rc<State>,
    worker: Rc<Worker>,
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.stream.poll_read(cx, buf);
        if buf.filled().len() > before {
            this.state.on_bytes(this.worker.tick.get());
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection is told to close at the tick.
    fn is_closed(state: &State, tick: u32) -> bool {
        state.check_time(tick, &ClientTimeouts::default());
        state.verdict.get() == Verdict::CloseNow
    }

    #[test]
    fn each_wait_has_its_own_limit_in_half_seconds() {
        let fresh = State::new(0);
        assert!(!is_closed(&fresh, 120) && is_closed(&fresh, 121), "60 s to the first byte");

        let slow_head = State::new(0);
        slow_head.on_bytes(100);
        slow_head.on_bytes(110);
        assert!(
            !is_closed(&slow_head, 120) && is_closed(&slow_head, 121),
            "10 s from the first byte of a head"
        );

        let idle = State::new(0);
        idle.on_bytes(0);
        idle.on_request();
        assert!(!is_closed(&idle, 1_000_000), "a request may take its time");
        idle.on_response_end(1_000_000);
        assert!(!is_closed(&idle, 1_001_200) && is_closed(&idle, 1_001_201), "10 min between two requests");
    }

    #[test]
    fn part_of_the_next_head_behind_a_request_begins_its_time() {
        let state = State::new(0);
        state.on_bytes(0);
        state.on_request();
        state.on_bytes(1);
        state.on_response_end(2);
        assert!(!is_closed(&state, 22) && is_closed(&state, 23), "10 s, not 10 min");
    }

    #[test]
    fn a_response_that_nobody_reads_ends_at_its_limits() {
        let state = State::new(0);
        state.on_bytes(0);
        state.on_request();
        state.limit_response(0, Some(Duration::from_secs(1)), Some(Duration::from_secs(5)));
        state.on_progress(4);
        assert!(!is_closed(&state, 6) && is_closed(&state, 7), "streamIdle counts from the last piece");
        let state = State::new(0);
        state.on_request();
        state.limit_response(0, None, Some(Duration::from_secs(5)));
        state.on_progress(10);
        assert!(!is_closed(&state, 10) && is_closed(&state, 11), "total does not");
    }

    #[test]
    fn a_verdict_is_only_raised() {
        let state = State::new(0);
        state.close_now();
        state.close_when_idle();
        assert_eq!(state.verdict.get(), Verdict::CloseNow);
    }
}
