//! The body of a request on its way to the app.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{ReceiveError, Received, kept::Kept};
use crate::{
    http2::{RecvBody, STREAM_WINDOW},
    request::{Caller, Interim, expect::Permission, headers},
    worker::State,
};

/// See the [module](self).
pub(crate) struct RequestBody {
    received: Received,
    /// The client waits for `100 Continue`: the body is not asked for before the app wants it.
    permission: Option<Permission>,
    /// Where the client is told to go on.
    interim: Option<Interim>,
    /// Was taken, and comes first.
    returned: Bytes,
    kept: Kept,
    state: Rc<State>,
}

impl RequestBody {
    pub(in crate::request) fn new(
        received: Received,
        permission: Option<Permission>,
        caller: &Caller,
    ) -> Self {
        let interim = permission.is_some().then(|| caller.interim.clone()).flatten();
        let state = caller.connection.state.clone();
        Self { received, permission, interim, returned: Bytes::new(), kept: Kept::default(), state }
    }

    /// One of no caller.
    #[cfg(test)]
    pub(crate) fn for_tests(received: Received) -> Self {
        let state = Rc::new(State::for_tests());
        Self {
            received,
            permission: None,
            interim: None,
            returned: Bytes::new(),
            kept: Kept::default(),
            state,
        }
    }

    /// A body that is empty, for a repeated request that has none.
    pub(crate) fn none(caller: &Caller) -> Self {
        Self::new(Received::Empty, None, caller)
    }

    /// The app wants it.
    pub(crate) fn permit(&mut self) {
        if let Some(permission) = &mut self.permission {
            permission.grant();
        }
    }

    /// Whether it may be asked for: the client does not wait to be told so.
    pub(crate) fn is_permitted(&self) -> bool {
        self.permission.is_none()
    }

    /// Gives back a piece that was taken and not sent; may be empty.
    pub(crate) fn put_back(&mut self, piece: Bytes) {
        debug_assert!(self.returned.is_empty(), "one piece is taken at a time");
        self.returned = piece;
    }

    /// What of it may take up memory while nobody asks for it, in bytes.
    pub(crate) fn reserve(&mut self) -> u64 {
        match &mut self.received {
            Received::Empty => 0,
            // No more is read before somebody asks for it.
            Received::Http1(body) => body.buffered() as u64,
            Received::Http2(body) => {
                // Most bodies are small and have come with their head.
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = body.poll_buffer(&mut cx);
                if body.is_complete() { body.buffered() as u64 } else { STREAM_WINDOW.into() }
            }
        }
    }

    /// Reads ahead what comes although nobody asks for it. Ready once it has all come, with its length.
    pub(crate) fn poll_buffer(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        match &mut self.received {
            Received::Http2(body) => {
                // If it broke off, the stream's own task knows already.
                std::task::ready!(body.poll_buffer(cx)).ok();
                Poll::Ready(body.buffered() as u64)
            }
            Received::Empty | Received::Http1(_) => Poll::Pending,
        }
    }

    /// From now on keeps what is taken, to be sent again if the app does not process it.
    pub(crate) fn keep(&mut self) {
        self.kept.begin();
    }

    /// Keeps nothing any more: the app has the request.
    pub(crate) fn forget(&mut self) {
        self.kept.forget();
    }

    /// Begins anew with the first piece. False if it is not all there any more.
    pub(crate) fn rewind(&mut self) -> bool {
        self.kept.rewind()
    }

    /// The client's side of a tunnel over HTTP/2.
    pub(crate) fn into_tunnel(self) -> Option<RecvBody> {
        match self.received {
            Received::Http2(body) => Some(body),
            Received::Empty | Received::Http1(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        let this = self.get_mut();
        if !this.returned.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.returned)))));
        }
        if let Some(data) = this.kept.next_again() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Received::Empty = this.received {
            return Poll::Ready(None);
        }
        if let Some(permission) = &mut this.permission {
            std::task::ready!(permission.poll(cx));
            this.permission = None;
            if let Some(interim) = this.interim.take() {
                interim.go_on();
            }
        }
        let mut polled = Pin::new(&mut this.received).poll_frame(cx);
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                }
                this.kept.note(frame);
                if this.received.is_end_stream() {
                    this.state.on_body_end();
                }
            }
            Poll::Ready(None) => this.state.on_body_end(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.returned.is_empty() && !self.kept.has_again() && self.received.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.returned.is_empty() && !self.kept.has_again() {
            self.received.size_hint()
        } else {
            SizeHint::default()
        }
    }
}
