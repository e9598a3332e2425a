//! A body as it comes from a peer, whichever version of HTTP it speaks.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http2::RecvBody;

/// See the [module](self).
pub(crate) enum Received {
    /// None at all.
    Empty,
    /// Over HTTP/1.1.
    Http1(Incoming),
    /// Over HTTP/2.
    Http2(RecvBody),
}

/// A body broke off or is malformed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error("the stream was ended: {0}")]
    Http2(#[from] h2::Error),
}

/// Why the stream was reset that a body came by, if that is what the error says.
pub(crate) fn reset_reason(error: &(dyn std::error::Error + 'static)) -> Option<Reason> {
    match error.downcast_ref()? {
        ReceiveError::Http2(error) => error.reason(),
        ReceiveError::Http1(_) => None,
    }
}

impl From<Incoming> for Received {
    fn from(incoming: Incoming) -> Self {
        // Without this, a bodyless request would be polled, and framed, as if it had one.
        if incoming.is_end_stream() { Self::Empty } else { Self::Http1(incoming) }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
