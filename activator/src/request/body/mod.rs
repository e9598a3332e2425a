//! Bodies: passed through piece by piece, unbuffered, and counted to their end.

mod deadlines;
mod kept;
mod received;
mod until_shut;
mod upload;

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
pub(super) use deadlines::Deadlines;
use http_body::{Body, Frame, SizeHint};
pub(crate) use received::{Answer, ReceiveError, Received, reset_reason};
use tokio::time::Instant;
use until_shut::UntilShut;
pub(crate) use upload::RequestBody;

use super::{attempt::Engaged, headers, in_flight::InFlight, tunnel::Tunnel};
use crate::worker::WorkerApp;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response on its way to the client.
pub(crate) struct ResponseBody {
    source: Source,
    /// Counts the request until the body ends.
    guard: Option<InFlight>,
    deadlines: Option<Box<Deadlines>>,
    /// Ends it when the app's gate is shut.
    shut: Option<Box<UntilShut>>,
}

enum Source {
    /// Of our own making.
    Full(Option<Bytes>),
    /// Trailers of our own making, behind a message.
    Grpc(Option<Bytes>, Option<http::HeaderMap>),
    /// From the app; the connection is idle again at its end.
    Upstream { answer: Answer, engaged: Option<Engaged> },
    /// None: the connection, or the stream, becomes a tunnel.
    Tunnel(Option<Box<Tunnel>>),
}

impl ResponseBody {
    fn new(source: Source) -> Self {
        Self { source, guard: None, deadlines: None, shut: None }
    }

    /// A body that is all there.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::new(Source::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    /// A gRPC message and the trailers behind it.
    pub(crate) fn grpc(message: Bytes, trailers: http::HeaderMap) -> Self {
        Self::new(Source::Grpc(Some(message), Some(trailers)))
    }

    /// The app's response. What it engaged is given back at its end.
    pub(crate) fn upstream(answer: Answer, engaged: Engaged) -> Self {
        Self::new(Source::Upstream { answer, engaged: Some(engaged) })
    }

    /// The answer after which the tunnel begins.
    pub(crate) fn tunnel(tunnel: Tunnel) -> Self {
        Self::new(Source::Tunnel(Some(Box::new(tunnel))))
    }

    /// The tunnel, if the response is the beginning of one.
    pub(crate) fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        match &mut self.source {
            Source::Tunnel(tunnel) => tunnel.take(),
            Source::Full(_) | Source::Grpc(..) | Source::Upstream { .. } => None,
        }
    }

    /// Has the body counted by `guard` until it ends, and gives back what a body without content needs no more.
    pub(crate) fn counted(mut self, guard: InFlight) -> Self {
        if let Source::Upstream { answer, engaged } = &mut self.source
            && is_ended(answer, engaged.as_ref())
            && let Some(engaged) = engaged.take()
        {
            engaged.release(guard.tick());
        }
        self.guard = Some(guard);
        self
    }

    /// Cuts the body off if it pauses or takes for too long.
    pub(crate) fn with_deadlines(mut self, idle: Option<Duration>, total: Option<Instant>) -> Self {
        self.deadlines = Deadlines::new(idle, total).map(Box::new);
        self
    }

    /// Ends the body when the app falls asleep, for one that the app is not kept awake for.
    pub(crate) fn until_shut(mut self, app: Rc<WorkerApp>) -> Self {
        self.shut = Some(Box::new(UntilShut::new(app)));
        self
    }

    /// Ready when a time-out has passed; for a sender that waits for the client, and so does not ask for more.
    pub(crate) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        if let Some(shut) = &mut self.shut
            && shut.poll(cx).is_ready()
        {
            self.guard = None;
            return Poll::Ready("the app falls asleep".into());
        }
        let Some(deadlines) = &mut self.deadlines else { return Poll::Pending };
        deadlines.poll(cx).map(|which| {
            self.guard = None;
            timed_out(which)
        })
    }
}

/// What has come of the app's response. Without a connection, it has ended.
fn poll_answer(
    cx: &mut Context<'_>,
    answer: &mut Answer,
    engaged: Option<&mut Engaged>,
) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
    match answer {
        Answer::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        Answer::Http1 => match engaged.and_then(Engaged::http1) {
            Some(connection) => connection.poll_frame(cx).map_err(Into::into),
            None => Poll::Ready(None),
        },
        Answer::Empty => Poll::Ready(None),
    }
}

/// Whether all of the app's response was taken.
fn is_ended(answer: &Answer, engaged: Option<&Engaged>) -> bool {
    match answer {
        Answer::Http2(body) => body.is_end_stream(),
        Answer::Http1 => engaged.is_none_or(Engaged::is_body_ended),
        Answer::Empty => true,
    }
}

fn timed_out(which: &str) -> BoxError {
    io::Error::new(io::ErrorKind::TimedOut, format!("{which} has passed")).into()
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(deadlines) = &this.deadlines
            && deadlines.is_overdue()
        {
            this.guard = None;
            return Poll::Ready(Some(Err(timed_out("timeouts.total"))));
        }
        if let Some(shut) = &mut this.shut
            && shut.poll(cx).is_ready()
        {
            this.shut = None;
            // The stream to the app is reset with it.
            this.source = Source::Grpc(None, Some(until_shut::trailers()));
        }
        let mut polled = match &mut this.source {
            Source::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Grpc(message, trailers) => Poll::Ready(match message.take() {
                Some(message) => Some(Ok(Frame::data(message))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Source::Tunnel(_) => Poll::Ready(None),
            Source::Upstream { answer, engaged } => {
                let polled = poll_answer(cx, answer, engaged.as_mut());
                if let (Poll::Ready(Some(Err(error))), Some(engaged)) = (&polled, &engaged) {
                    engaged.broke_off(error);
                }
                let mut polled = polled.map_err(Into::into);
                let ended = match &mut polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Some(trailers) = frame.trailers_mut() {
                            headers::trailers_to_client(trailers);
                            if let Some(guard) = &mut this.guard {
                                guard.trailers(trailers);
                            }
                        }
                        is_ended(answer, engaged.as_ref())
                    }
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
        if let (Poll::Ready(Some(Err(_))), true) = (&polled, this.shut.is_some()) {
            // The app was quicker to go.
            this.shut = None;
            this.source = Source::Grpc(None, None);
            polled = Poll::Ready(Some(Ok(Frame::trailers(until_shut::trailers()))));
        }
        if let Some(deadlines) = &mut this.deadlines {
            if polled.is_ready() {
                deadlines.progress();
                if let Some(guard) = &this.guard {
                    guard.progress();
                }
            } else if let Poll::Ready(which) = deadlines.poll(cx) {
                this.guard = None;
                return Poll::Ready(Some(Err(timed_out(which))));
            }
        }
        if let Poll::Ready(None | Some(Err(_))) = polled {
            this.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.is_none(),
            Source::Grpc(message, trailers) => message.is_none() && trailers.is_none(),
            Source::Upstream { answer, engaged } => is_ended(answer, engaged.as_ref()),
            Source::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Source::Grpc(..) => SizeHint::default(),
            Source::Upstream { answer: Answer::Http2(body), .. } => body.size_hint(),
            Source::Upstream { answer: Answer::Http1, engaged: Some(engaged) } => engaged.body_size(),
            Source::Upstream { .. } => SizeHint::with_exact(0),
            Source::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}
