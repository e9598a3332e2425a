//! The head of a response, and how it says where the body ends.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};

use super::{
    ReadBuffer,
    fields::{self, Seen, end_of_block, keeps_alive},
};

/// A head may have this many bytes.
pub(crate) const LONGEST_HEAD: usize = 400 << 10;

/// The head of a response, but for its fields.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<Reason>,
    pub(crate) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(crate) keep_alive: bool,
    /// How long it was, in bytes.
    pub(crate) length: usize,
}

/// What stands behind a status, if it is not the usual phrase: an extension of the response that has it. Visible
/// characters and blanks, as was parsed.
#[derive(Clone, Debug)]
pub(crate) struct Reason(pub(super) Bytes);

/// Where a body ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// Where its last chunk says so.
    Chunked,
    /// With the connection.
    Close,
}

const NOT_HTTP: &str = "it does not begin with HTTP/1.0 or HTTP/1.1";

/// What came is not HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(super) &'static str);

/// Takes a head off the front of the buffer once it is all there. Its fields replace those in `headers`, unless it is
/// an interim one (1xx, but for 101), whose fields go to `interim`.
///
/// `seen` bytes were looked at before. `to_head`: the request was a HEAD.
///
/// # Errors
/// If it is not valid, or too long.
pub(crate) fn parse(
    buffer: &mut ReadBuffer,
    seen: usize,
    to_head: bool,
    headers: &mut HeaderMap,
    interim: &mut HeaderMap,
) -> Result<Option<Head>, Malformed> {
    let Some(end) = end_of_block(buffer.as_slice(), seen) else {
        if buffer.as_slice().len() > LONGEST_HEAD {
            return Err(Malformed("the head is longer than 400 KiB"));
        }
        // Whoever speaks something else may never send an empty line, nor end.
        return if begins_as_http(buffer.as_slice()) { Ok(None) } else { Err(Malformed(NOT_HTTP)) };
    };
    let bytes = buffer.take(end);
    let mut space = fields::space();
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, &bytes, &mut space);
    match parsed {
        Ok(Status::Complete(length)) if length == end => {}
        Ok(_) => return Err(Malformed("the head begins with an empty line")),
        Err(error) => return Err(Malformed(what(error))),
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("the status is none"))?;
    let headers = if is_interim(status) { interim } else { headers };
    headers.clear();
    let seen = fields::add(&bytes, response.headers, headers)?;
    let is_1_1 = response.version == Some(1);
    let framing = framing(status, is_1_1, to_head, seen, headers)?;
    Ok(Some(Head {
        status,
        reason: response.reason.and_then(|reason| unusual(&bytes, status, reason)),
        framing,
        keep_alive: framing != Framing::Close && keeps_alive(headers, seen, is_1_1),
        length: end,
    }))
}

/// Whether these may be the first bytes of a response.
fn begins_as_http(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"HTTP/1.";
    let compared = bytes.len().min(BEGIN.len());
    bytes[..compared] == BEGIN[..compared]
}

/// Whether another response to the same request follows.
pub(crate) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Whether there is none whatever the fields say (RFC 9112, 6.3). `to_head`: the request was a HEAD.
pub(super) fn has_no_body(status: StatusCode, to_head: bool) -> bool {
    to_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a response without a body may say how long one would be (RFC 9110, 8.6).
pub(super) fn may_have_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

fn what(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::Version => NOT_HTTP,
        httparse::Error::Status => "the status is not a number of three digits",
        httparse::Error::HeaderName => "a field's name is not valid (RFC 9110, 5.1)",
        httparse::Error::HeaderValue => "a field's value is not valid (RFC 9110, 5.5)",
        httparse::Error::TooManyHeaders => "the head has more than 100 fields",
        httparse::Error::NewLine | httparse::Error::Token => "a line is not valid (RFC 9112, 2.2)",
    }
}

fn unusual(bytes: &Bytes, status: StatusCode, reason: &str) -> Option<Reason> {
    (status.canonical_reason() != Some(reason)).then(|| Reason(bytes.slice_ref(reason.as_bytes())))
}

fn framing(
    status: StatusCode,
    is_1_1: bool,
    to_head: bool,
    seen: Seen,
    headers: &HeaderMap,
) -> Result<Framing, Malformed> {
    let lengths = || one_length(headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes), true);
    if has_no_body(status, to_head) {
        // It ends nothing, but is passed on.
        if seen.length && !seen.coding && may_have_length(status) {
            lengths()?;
        }
        return Ok(Framing::None);
    }
    if seen.coding {
        let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        return match last {
            _ if !is_1_1 => Err(Malformed("HTTP/1.0 knows no transfer coding (RFC 9112, 6.1)")),
            Some(last) if ends_chunked(last.as_bytes()) => Ok(Framing::Chunked),
            _ => Ok(Framing::Close),
        };
    }
    if !seen.length {
        return Ok(Framing::Close);
    }
    Ok(match lengths()? {
        0 => Framing::None,
        length => Framing::Length(length),
    })
}

/// The length that all of these say. `lists`: each may be a list of equal ones, as joined by who passed it on.
pub(super) fn one_length<'a>(values: impl Iterator<Item = &'a [u8]>, lists: bool) -> Result<u64, Malformed> {
    let mut length = None;
    for one in values.flat_map(|value| value.split(move |byte| lists && *byte == b',')) {
        let one = number(one.trim_ascii()).ok_or(Malformed("the length is not a number (RFC 9110, 8.6)"))?;
        if length.replace(one).is_some_and(|other| other != one) {
            return Err(Malformed("there are two lengths (RFC 9112, 6.3)"));
        }
    }
    length.ok_or(Malformed("the length is not a number (RFC 9110, 8.6)"))
}

/// Whether chunked is the last of the codings.
pub(super) fn ends_chunked(coding: &[u8]) -> bool {
    coding
        .rsplit(|byte| *byte == b',')
        .next()
        .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Digits alone: no sign, and not so many that they overflow.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))).flatten()
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
