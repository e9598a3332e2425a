//! A body that comes, as its head frames it.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::AsyncRead;

use super::{
    Framing, Malformed, ReadBuffer,
    chunked::{Chunked, Part},
};

/// A body broke off, or is not valid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the body is not valid: {0}")]
    Malformed(#[from] Malformed),
    #[error("the body broke off: {0}")]
    Io(#[from] io::Error),
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum BodyReader {
    /// So many bytes are left.
    Length(u64),
    Chunked(ChunkedBody),
    UntilClose,
    Ended,
}

/// Hides what only this module needs to know.
#[derive(Debug)]
pub(crate) struct ChunkedBody(Chunked);

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkedBody(Chunked::new())),
            Framing::Close => Self::UntilClose,
        }
    }

    /// Whether there is nothing more to be had.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Chunked(chunked) => chunked.0.is_at_end(),
            Self::Length(_) | Self::UntilClose => false,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ended => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// What has come of it, read from the stream if there is nothing in the buffer.
    pub(crate) fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuffer,
        stream: &mut S,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match self.next(buffer) {
                Ok(None) => {}
                Ok(Some(Part::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(Part::Trailers(trailers))) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Some(Part::End)) => {
                    *self = Self::Ended;
                    return Poll::Ready(None);
                }
                Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
            }
            let filled = ready!(buffer.poll_fill(cx, stream));
            match filled {
                Ok(0) if matches!(self, Self::UntilClose) => *self = Self::Ended,
                Ok(0) => return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    fn next(&mut self, buffer: &mut ReadBuffer) -> Result<Option<Part>, Malformed> {
        let there = buffer.as_slice().len();
        match self {
            Self::Ended => Ok(Some(Part::End)),
            Self::Length(_) | Self::UntilClose if there == 0 => Ok(None),
            Self::UntilClose => Ok(Some(Part::Data(buffer.take(there)))),
            Self::Length(left) => {
                let count = usize::try_from(*left).map_or(there, |left| left.min(there));
                *left -= count as u64;
                if *left == 0 {
                    *self = Self::Ended;
                }
                Ok(Some(Part::Data(buffer.take(count))))
            }
            Self::Chunked(chunked) => chunked.0.next(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn read(framing: Framing, wire: &'static str) -> (String, Option<Broken>) {
        let (mut body, mut buffer, mut source) =
            (BodyReader::new(framing), ReadBuffer::new(), wire.as_bytes());
        let mut text = String::new();
        loop {
            let frame = poll_fn(|cx| body.poll_frame(cx, &mut buffer, &mut source)).now_or_never().unwrap();
            match frame {
                Some(Ok(frame)) => text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap(),
                Some(Err(broken)) => return (text, Some(broken)),
                None => {
                    assert!(body.is_ended());
                    return (text + "|" + std::str::from_utf8(buffer.as_slice()).unwrap(), None);
                }
            }
        }
    }

    #[test]
    fn each_framing_has_its_end() {
        assert_eq!(read(Framing::None, "next").0, "|");
        assert_eq!(read(Framing::Length(3), "abcnext").0, "abc|next");
        assert_eq!(read(Framing::Chunked, "3\r\nabc\r\n0\r\n\r\nnext").0, "abc|next");
        assert_eq!(read(Framing::Close, "abc").0, "abc|");
    }

    #[test]
    fn one_that_breaks_off_is_not_taken_for_whole() {
        for (framing, wire) in [
            (Framing::Length(4), "abc"),
            (Framing::Chunked, "4\r\nabc"),
            (Framing::Chunked, "3\r\nabc\r\n"),
            (Framing::Chunked, "3\r\nabc\r\n0\r\n"),
        ] {
            let (text, broken) = read(framing, wire);
            assert_eq!(text, "abc");
            assert!(matches!(broken, Some(Broken::Io(_))), "{framing:?} {wire}");
        }
        assert!(matches!(read(Framing::Chunked, "x").1, Some(Broken::Malformed(_))));
    }
}
