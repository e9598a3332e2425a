//! The head of a client's request, read as strictly as the app might: what could be understood in two ways is refused.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};
use memchr::memchr;

use super::{
    ReadBuffer,
    fields::{self, end_of_block, keeps_alive},
    response::{Framing, ends_chunked, one_length},
};

/// A head may have this many bytes.
pub(crate) const LONGEST_HEAD: usize = 64 << 10;

/// The head of a request, and what it says about the connection.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) request: Request<()>,
    /// Never [`Framing::Close`].
    pub(crate) framing: Framing,
    /// Whether another request may follow.
    pub(crate) keep_alive: bool,
}

/// Why a head is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It breaks a rule of HTTP.
    Malformed(&'static str),
    /// It is longer than is taken.
    TooLarge(&'static str),
}

/// Takes a head off the front of the buffer once it is all there. `seen` bytes were looked at before; `headers` is used
/// again for its fields.
///
/// # Errors
/// See [`Refused`]. What follows in the buffer is of no use then.
pub(crate) fn parse(
    buffer: &mut ReadBuffer,
    seen: usize,
    headers: &mut HeaderMap,
) -> Result<Option<RequestHead>, Refused> {
    if seen == 0 {
        // Some clients end a body with an empty line too many (RFC 9112, 2.2).
        while let Some(blank) = blank_line(buffer.as_slice()) {
            buffer.skip(blank);
        }
    }
    let end = end_of_block(buffer.as_slice(), seen);
    if end.unwrap_or(buffer.as_slice().len()) > LONGEST_HEAD {
        return Err(Refused::TooLarge("the request's head is longer than 64 KiB (RFC 6585, 5)"));
    }
    let Some(end) = end else { return check_first_line(buffer.as_slice(), seen).map(|()| None) };
    let bytes = buffer.take(end);
    let mut space = fields::space();
    let mut parsed = httparse::Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, &bytes, &mut space) {
        Ok(Status::Complete(length)) if length == end => {}
        Ok(_) => return Err(Refused::Malformed("the request line is not valid (RFC 9112, 3)")),
        Err(error) => return Err(what(error)),
    }
    let (method, target) = match (parsed.method, parsed.path) {
        (Some(method), Some(target)) => (method, target),
        _ => return Err(Refused::Malformed("the request line is not valid (RFC 9112, 3)")),
    };
    headers.clear();
    let seen = fields::add(&bytes, parsed.headers, headers).map_err(|error| Refused::Malformed(error.0))?;
    let is_1_1 = parsed.version == Some(1);
    let (framing, mut keep_alive) = (framing(is_1_1, seen, headers)?, keeps_alive(headers, seen, is_1_1));
    if seen.coding && seen.length {
        // The coding counts; who may have read the length is not to be trusted with what follows (RFC 9112, 6.1).
        headers.remove(CONTENT_LENGTH);
        keep_alive = false;
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes())
        .map_err(|_| Refused::Malformed("the request's method is not valid (RFC 9110, 9.1)"))?;
    *request.uri_mut() = uri(&bytes, target)?;
    *request.version_mut() = if is_1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    *request.headers_mut() = std::mem::take(headers);
    Ok(Some(RequestHead { request, framing, keep_alive }))
}

/// Refuses a request line as soon as it is there: what is no HTTP (`PING`) is followed by no head to wait for.
fn check_first_line(bytes: &[u8], seen: usize) -> Result<(), Refused> {
    match memchr(b'\n', bytes) {
        Some(newline) if newline >= seen => {
            httparse::Request::new(&mut []).parse(&bytes[..=newline]).map_err(what).map(drop)
        }
        Some(_) | None => Ok(()),
    }
}

/// How long the empty line is that the bytes begin with.
fn blank_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

fn what(error: httparse::Error) -> Refused {
    Refused::Malformed(match error {
        httparse::Error::Version => "the request's version is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112, 2.3)",
        httparse::Error::HeaderName => {
            "a field's name is not valid, is not followed by a colon, or the line is folded (RFC 9112, 5.1 and 5.2)"
        }
        httparse::Error::HeaderValue => "a field's value is not valid (RFC 9110, 5.5)",
        httparse::Error::TooManyHeaders => {
            return Refused::TooLarge("the request has more than 100 fields (RFC 6585, 5)");
        }
        httparse::Error::NewLine | httparse::Error::Token | httparse::Error::Status => {
            "the request line, or the end of a line, is not valid (RFC 9112, 2.2 and 3)"
        }
    })
}

fn uri(bytes: &Bytes, target: &str) -> Result<Uri, Refused> {
    if target.len() > usize::from(u16::MAX) - 1 {
        return Err(Refused::TooLarge("the request's target is longer than 64 KiB (RFC 6585, 5)"));
    }
    Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes()))
        .map_err(|_| Refused::Malformed("the request's target is not valid (RFC 9112, 3.2)"))
}

fn framing(is_1_1: bool, seen: fields::Seen, headers: &mut HeaderMap) -> Result<Framing, Refused> {
    if seen.coding {
        let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        return match last {
            _ if !is_1_1 => Err(Refused::Malformed("HTTP/1.0 knows no transfer coding (RFC 9112, 6.1)")),
            Some(last) if ends_chunked(last.as_bytes()) => Ok(Framing::Chunked),
            _ => Err(Refused::Malformed("the last transfer coding is not chunked (RFC 9112, 6.3)")),
        };
    }
    if !seen.length {
        return Ok(Framing::None);
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let length = one_length(lengths, false)
        .map_err(|_| Refused::Malformed("the request's Content-Length is not one number (RFC 9110, 8.6)"))?;
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        // Several times the same: once is enough.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(if length == 0 { Framing::None } else { Framing::Length(length) })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
