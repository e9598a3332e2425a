//! Bodies as they come: from a client, or from an app, whichever version of HTTP they speak.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};

use crate::{http1::Broken, http2::RecvBody, worker::ClientBody};

/// The body of a client's request.
pub(crate) enum Received {
    /// None at all.
    Empty,
    /// Over HTTP/1.1.
    Http1(ClientBody),
    /// Over HTTP/2.
    Http2(RecvBody),
}

/// The body of an app's response.
pub(crate) enum Answer {
    /// None at all.
    Empty,
    /// Over HTTP/1.1: the connection has it.
    Http1,
    /// Over HTTP/2.
    Http2(RecvBody),
}

/// A body broke off or is malformed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Broken),
    /// Over HTTP/2.
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

impl Body for Received {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
