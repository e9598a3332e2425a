//! Bodies: passed through piece by piece, unbuffered, and counted to their end.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep};

use super::{attempt::Engaged, expect::Permission, headers, in_flight::InFlight};
use crate::worker::State;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request on its way to the app.
#[pin_project]
pub(crate) struct RequestBody {
    #[pin]
    incoming: Option<Incoming>,
    /// The client waits for `100 Continue`: the body is not asked for before the app wants it.
    permission: Option<Permission>,
    state: Rc<State>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, permission: Option<Permission>, state: Rc<State>) -> Self {
        // Without this, a bodyless request would be polled, and framed, as if it had one.
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, permission, state }
    }

    /// A body that is empty, for a repeated request that has none.
    pub(crate) fn none(state: Rc<State>) -> Self {
        Self { incoming: None, permission: None, state }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut this = self.project();
        let Some(incoming) = this.incoming.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Some(permission) = this.permission {
            std::task::ready!(permission.poll(cx));
            *this.permission = None;
        }
        let mut polled = incoming.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            headers::clean_trailers(trailers);
        }
        match polled {
            Poll::Ready(None) => this.state.on_body_end(),
            Poll::Ready(Some(Err(_))) => this.state.on_body_error(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of a response on its way to the client.
#[pin_project]
pub(crate) struct ResponseBody {
    #[pin]
    source: Source,
    /// Counts the request until the body ends.
    guard: Option<InFlight>,
    deadlines: Option<Box<Deadlines>>,
}

#[pin_project(project = SourceProjection)]
enum Source {
    /// Of our own making.
    Full(Option<Bytes>),
    /// From the app; the connection is idle again at its end.
    Upstream {
        #[pin]
        incoming: Incoming,
        engaged: Option<Engaged>,
    },
}

/// Time-outs of a response body.
struct Deadlines {
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    total: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    /// A body that is all there.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self {
            source: Source::Full(Some(bytes).filter(|bytes| !bytes.is_empty())),
            guard: None,
            deadlines: None,
        }
    }

    /// The app's response. What it engaged is given back at its end.
    pub(crate) fn upstream(incoming: Incoming, engaged: Engaged) -> Self {
        Self { source: Source::Upstream { incoming, engaged: Some(engaged) }, guard: None, deadlines: None }
    }

    /// Has the body counted by `guard` until it ends, and gives back what a body without content needs no more.
    pub(crate) fn counted(mut self, guard: InFlight) -> Self {
        if let Source::Upstream { incoming, engaged } = &mut self.source
            && incoming.is_end_stream()
            && let Some(engaged) = engaged.take()
        {
            engaged.release(guard.tick());
        }
        self.guard = Some(guard);
        self
    }

    /// Cuts the body off if it pauses or takes for too long.
    pub(crate) fn with_deadlines(mut self, idle: Option<Duration>, total: Option<Instant>) -> Self {
        if idle.is_some() || total.is_some() {
            self.deadlines = Some(Box::new(Deadlines {
                idle: idle.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
                total: total.map(|at| Box::pin(tokio::time::sleep_until(at))),
            }));
        }
        self
    }
}

impl Deadlines {
    /// Ready when one has passed, with its name.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        if let Some((_, sleep)) = &mut self.idle
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready("timeouts.streamIdle");
        }
        if let Some(sleep) = &mut self.total
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready("timeouts.total");
        }
        Poll::Pending
    }

    /// Whether the time is over although pieces keep coming.
    fn is_overdue(&self) -> bool {
        self.total.as_ref().is_some_and(|sleep| sleep.is_elapsed() || sleep.deadline() <= Instant::now())
    }

    fn progress(&mut self) {
        if let Some((limit, sleep)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *limit);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(deadlines) = this.deadlines
            && deadlines.is_overdue()
        {
            *this.guard = None;
            let error = io::Error::new(io::ErrorKind::TimedOut, "timeouts.total has passed");
            return Poll::Ready(Some(Err(error.into())));
        }
        let polled = match this.source.project() {
            SourceProjection::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            SourceProjection::Upstream { mut incoming, engaged } => {
                let polled = incoming.as_mut().poll_frame(cx).map_err(Into::into);
                let ended = match &polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(_))) => incoming.is_end_stream(),
                    Poll::Ready(Some(Err(_))) | Poll::Pending => false,
                };
                if ended
                    && let Some(guard) = &this.guard
                    && let Some(engaged) = engaged.take()
                {
                    engaged.release(guard.tick());
                }
                polled
            }
        };
        if let Some(deadlines) = this.deadlines {
            if polled.is_ready() {
                deadlines.progress();
                if let Some(guard) = &this.guard {
                    guard.progress();
                }
            } else if let Poll::Ready(which) = deadlines.poll(cx) {
                *this.guard = None;
                let error = io::Error::new(io::ErrorKind::TimedOut, format!("{which} has passed"));
                return Poll::Ready(Some(Err(error.into())));
            }
        }
        if let Poll::Ready(None | Some(Err(_))) = polled {
            *this.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.is_none(),
            Source::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Source::Upstream { incoming, .. } => incoming.size_hint(),
        }
    }
}
