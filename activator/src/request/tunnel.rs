//! Tunnels: raw TCP, and what HTTP was changed to by `Upgrade` or CONNECT. Bytes are passed on as they are, and
//! the tunnel counts as one request in flight until both its ways have ended.
//!
//! A client of raw TCP that speaks first wakes the app with its first byte. One that waits for the app to
//! speak first (MySQL, SMTP) sends nothing: it is taken for a client if it is still there after
//! [`SILENCE`]; a port scan or a TCP probe is not.
//!
//! The end of one side is passed on, and the other may go on: a client that has sent all waits for the answer,
//! however long that takes, unless its kernel says that it is gone. But an app that has ended may be gone altogether,
//! which looks the same from here; what its client does not use within [`HalfClosed`]'s time is closed, or it would
//! count as work for ever.

use std::{future::poll_fn, io, pin::pin, rc::Rc, task::Poll, time::Duration};

use reveille_core::{gate::Kind as Counted, policy::Timeouts};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{Stop, body::Deadlines, hold::Passage, in_flight::InFlight};
use crate::{
    http2::{Duplex, RecvBody},
    metrics::Protocol,
    relay::Relay,
    worker::{Chosen, ClientStream, Connection, Leaving, Serve, UpstreamStream},
};

/// How long a client may be silent before it is taken for one that waits for the app to speak.
const SILENCE: Duration = Duration::from_millis(250);

/// How long one side may be silent once the other has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfClosed {
    /// The client, after the app.
    client: Duration,
    /// The app, after the client. Without limit if `None`.
    app: Option<Duration>,
}

impl HalfClosed {
    /// Raw TCP: many protocols use it, one way at least.
    pub(super) const TCP: Self = Self { client: Duration::from_secs(5), app: None };
    /// Where a protocol has an end of its own, as WebSocket's close, none goes on after its peer.
    pub(super) const UPGRADE: Self =
        Self { client: Duration::from_secs(1), app: Some(Duration::from_secs(5)) };
}

/// A tunnel to an app that is open and not yet running.
pub(crate) struct Tunnel {
    app: UpstreamStream,
    half_closed: HalfClosed,
    /// The client's side, where it is part of a request over HTTP/2.
    received: Option<RecvBody>,
    guard: InFlight,
    /// The place at the endpoint.
    chosen: Chosen,
    timeouts: Timeouts,
}

/// A side of a tunnel that can be ended so that its peer sees that it did not end well.
pub(crate) trait Abort {
    /// Has the peer see a reset instead of an end.
    fn abort(&mut self);
}

impl Abort for ClientStream {
    fn abort(&mut self) {
        self.reset_on_drop();
    }
}

impl Abort for UpstreamStream {
    fn abort(&mut self) {
        self.reset_on_drop();
    }
}

impl Abort for Duplex {
    fn abort(&mut self) {
        self.reset();
    }
}

impl Tunnel {
    pub(super) fn new(
        app: UpstreamStream,
        half_closed: HalfClosed,
        received: Option<RecvBody>,
        guard: InFlight,
        chosen: Chosen,
        timeouts: Timeouts,
    ) -> Self {
        Self { app, half_closed, received, guard, chosen, timeouts }
    }

    /// The client's side of a tunnel over HTTP/2.
    pub(crate) fn take_received(&mut self) -> Option<RecvBody> {
        self.received.take()
    }

    /// Passes bytes on until both sides have ended, one has failed, or a time-out has passed.
    pub(crate) async fn run<C>(self, connection: &Rc<Connection>, client: C)
    where
        C: AsyncRead + AsyncWrite + Abort + Unpin,
    {
        let Self { app, half_closed, guard, chosen, timeouts, received: _ } = self;
        let (to_app, to_client) = guard.tunnel_bytes();
        let mut relay = Relay::new(client, app, to_app, to_client);
        let total = timeouts.total.map(|limit| Instant::from_std(guard.started() + guard.held_for() + limit));
        let mut deadlines = Deadlines::new(timeouts.stream_idle, total);
        let mut last = pin!(None::<Sleep>);
        let mut gone = pin!(None);
        let passing = poll_fn(|cx| {
            let mut progress = false;
            let polled = relay.poll(cx, &connection.worker.scratch, &mut progress);
            let limit = match (relay.app_has_ended(), relay.client_has_ended()) {
                (true, false) => Some(half_closed.client),
                (false, true) => half_closed.app,
                (true, true) | (false, false) => None,
            };
            if polled.is_pending()
                && let Some(limit) = limit
            {
                if progress || last.is_none() {
                    last.set(Some(tokio::time::sleep(limit)));
                }
                if last.as_mut().as_pin_mut().is_some_and(|last| last.poll(cx).is_ready()) {
                    return Poll::Ready(Ok(()));
                }
            }
            // Nobody reads any more from a client that has sent all: that it is gone altogether shows in its socket.
            if polled.is_pending() && relay.client_has_ended() {
                if gone.is_none() {
                    gone.set(Some(connection.gone(Leaving::Reset)));
                }
                if gone.as_mut().as_pin_mut().is_some_and(|gone| gone.poll(cx).is_ready()) {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
            if polled.is_pending()
                && let Some(deadlines) = &mut deadlines
            {
                if progress {
                    deadlines.progress();
                }
                if let Poll::Ready(which) = deadlines.poll(cx) {
                    let what = format!("{which} has passed");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
                }
            }
            polled
        });
        let ended = connection.unless_closed_now(passing).await;
        if !matches!(ended, Some(Ok(()))) {
            relay.client_mut().abort();
            relay.app_mut().abort();
        }
        // The watch of the socket before the socket.
        gone.set(None);
        drop((relay, chosen));
        drop(guard);
    }
}

/// Serves a connection as raw TCP.
pub(crate) async fn serve(connection: Rc<Connection>, io: ClientStream) {
    let Serve::App { app, port } = &*connection.serve else { return };
    let spoke = io.has_prefix() || has_client(&io).await;
    if !spoke {
        return;
    }
    connection.state.on_request();
    let (mut guard, word) = InFlight::enter(app, &connection, Counted::Work, Protocol::Tcp);
    guard.log_tunnel();
    let mut passage = Passage::new(&connection, app, Some(*port));
    // A client's end alone is passed on to the app.
    passage.leaving = Leaving::Reset;
    let opening = passage.open(&mut guard, word);
    match connection.unless_closed_now(opening).await {
        Some(Ok((stream, chosen))) => {
            let timeouts = app.policy().timeouts;
            Tunnel::new(stream, HalfClosed::TCP, None, guard, chosen, timeouts).run(&connection, io).await;
        }
        Some(Err(Stop::Error(error))) => {
            tracing::debug!(app = %app.app.id, %error, "not forwarded");
            app.app.shared.metrics.rejected(&app.app.id, error.kind());
            // There is no way to say why.
            io.reset_on_drop();
        }
        Some(Err(Stop::Gone | Stop::Reset(_))) => {}
        None => io.reset_on_drop(),
    }
}

/// Whether there is somebody to wake an app for.
async fn has_client(io: &ClientStream) -> bool {
    let mut byte = [0];
    match tokio::time::timeout(SILENCE, io.socket().peek(&mut byte)).await {
        Ok(Ok(n)) => n > 0,
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}
