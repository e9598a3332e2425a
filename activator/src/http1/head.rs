//! Heads that go out, and what they say about where the body ends.

use std::io::Write as _;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body;

use super::response::{Reason, has_no_body, may_have_length};

/// What of a body has still to be taken, and how the peer is told where it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    #[default]
    Nothing,
    /// So many bytes.
    Length(u64),
    Chunked,
    /// It ends with the connection.
    Close,
}

/// Whom a response is for.
pub(crate) struct Answering {
    /// The request was a HEAD.
    pub(crate) to_head: bool,
    /// The client speaks HTTP/1.1, not 1.0.
    pub(crate) is_1_1: bool,
    /// Another request may follow.
    pub(crate) keep_alive: bool,
    /// The client takes trailers.
    pub(crate) trailers: bool,
}

/// Writes the head of a request to an app.
pub(super) fn write_request<B: Body>(request: &Request<B>, to: &mut Vec<u8>) -> Rest {
    to.extend_from_slice(request.method().as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(request.uri().path_and_query().map_or("/", PathAndQuery::as_str).as_bytes());
    to.extend_from_slice(b" HTTP/1.1\r\n");
    let headers = request.headers();
    write_fields(headers, to);
    to.extend_from_slice(b"\r\n");
    match (request.body().is_end_stream(), length(headers.get(CONTENT_LENGTH))) {
        // Said to be chunked, an empty body has its last chunk: the one before it may have been taken at an earlier try.
        _ if headers.contains_key(TRANSFER_ENCODING) => Rest::Chunked,
        (true, _) => Rest::Nothing,
        (false, Some(length)) => Rest::Length(length),
        (false, None) => Rest::Chunked,
    }
}

/// Writes the head of a response to a client. Without a date it gets this one (RFC 9110, 6.6.1).
pub(super) fn write_response<B: Body>(
    response: &Response<B>,
    answering: &Answering,
    date: impl FnOnce() -> HeaderValue,
    to: &mut Vec<u8>,
) -> Rest {
    write_status_line(response, answering.is_1_1, to);
    let (mut length_value, mut trailer, mut has_date, mut has_connection) = (None, None, false, false);
    for (name, value) in response.headers() {
        match *name {
            CONTENT_LENGTH => {
                length_value.get_or_insert(value);
            }
            // How it is framed is said below; what the app said of that was for its own connection.
            TRANSFER_ENCODING => {}
            TRAILER => trailer = Some(value),
            _ => {
                has_date |= *name == DATE;
                has_connection |= *name == CONNECTION;
                write_field(name, value.as_bytes(), to);
            }
        }
    }
    let body = response.body();
    let exact = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    let rest = if has_no_body(response.status(), answering.to_head) {
        if let Some(length) = length(length_value).filter(|_| may_have_length(response.status())) {
            let _ = write!(to, "content-length: {length}\r\n");
        }
        Rest::Nothing
    } else if let Some(length) = length(length_value).or(exact) {
        // Memory takes all that is written to it.
        let _ = write!(to, "content-length: {length}\r\n");
        if length == 0 && exact == Some(0) { Rest::Nothing } else { Rest::Length(length) }
    } else if answering.is_1_1 {
        to.extend_from_slice(b"transfer-encoding: chunked\r\n");
        if trailer.is_some() {
            response
                .headers()
                .get_all(TRAILER)
                .iter()
                .for_each(|value| write_field(&TRAILER, value.as_bytes(), to));
        }
        Rest::Chunked
    } else {
        Rest::Close
    };
    if !has_date {
        write_field(&DATE, date().as_bytes(), to);
    }
    match (answering.keep_alive && rest != Rest::Close, answering.is_1_1) {
        _ if has_connection => {}
        (false, true) => to.extend_from_slice(b"connection: close\r\n"),
        (true, false) => to.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, true) | (false, false) => {}
    }
    to.extend_from_slice(b"\r\n");
    rest
}

/// Writes an interim response (1xx) to a client of HTTP/1.1.
pub(crate) fn write_interim(response: &Response<()>, to: &mut Vec<u8>) {
    write_status_line(response, true, to);
    write_fields(response.headers(), to);
    to.extend_from_slice(b"\r\n");
}

fn write_status_line<B>(response: &Response<B>, is_1_1: bool, to: &mut Vec<u8>) {
    let status = response.status();
    to.extend_from_slice(if is_1_1 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    match response.extensions().get::<Reason>() {
        Some(reason) => to.extend_from_slice(&reason.0),
        None => to.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes()),
    }
    to.extend_from_slice(b"\r\n");
}

fn write_fields(headers: &HeaderMap, to: &mut Vec<u8>) {
    for (name, value) in headers {
        write_field(name, value.as_bytes(), to);
    }
}

pub(super) fn write_field(name: &HeaderName, value: &[u8], to: &mut Vec<u8>) {
    let name = name.as_str().as_bytes();
    to.reserve(name.len() + value.len() + 4);
    to.extend_from_slice(name);
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// Of a list, which says the same again and again, the first.
fn length(value: Option<&HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};

    use super::*;

    fn answering() -> Answering {
        Answering { to_head: false, is_1_1: true, keep_alive: true, trailers: false }
    }

    /// A response with these fields, and a body of which nothing is known, or its length.
    fn written(
        status: u16,
        fields: &[(&'static str, &'static str)],
        length: Option<usize>,
        answering: &Answering,
    ) -> (String, Rest) {
        let body = match length {
            None => StreamBody::new(futures_util::stream::pending::<
                Result<http_body::Frame<Bytes>, std::convert::Infallible>,
            >())
            .boxed_unsync(),
            Some(0) => Empty::new().boxed_unsync(),
            Some(length) => Full::from(vec![0; length]).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let mut text = Vec::new();
        let rest = write_response(&response, answering, || HeaderValue::from_static("today"), &mut text);
        (String::from_utf8(text).unwrap(), rest)
    }

    #[test]
    fn a_response_says_where_its_body_ends() {
        for (status, fields, length, line, rest) in [
            (200, &[("content-length", "5")][..], Some(5), "content-length: 5\r\n", Rest::Length(5)),
            (200, &[("content-length", "5")], None, "content-length: 5\r\n", Rest::Length(5)),
            (200, &[], Some(5), "content-length: 5\r\n", Rest::Length(5)),
            (200, &[], Some(0), "content-length: 0\r\n", Rest::Nothing),
            (200, &[], None, "transfer-encoding: chunked\r\n", Rest::Chunked),
            (200, &[("transfer-encoding", "gzip")], None, "transfer-encoding: chunked\r\n", Rest::Chunked),
            (304, &[("content-length", "5")], Some(0), "content-length: 5\r\n", Rest::Nothing),
            (304, &[], Some(0), "", Rest::Nothing),
            (204, &[("content-length", "0")], Some(0), "", Rest::Nothing),
            (101, &[], Some(0), "", Rest::Nothing),
        ] {
            let (text, is) = written(status, fields, length, &answering());
            let framed: String = text
                .lines()
                .filter(|line| line.contains("length") || line.contains("encoding"))
                .map(|line| format!("{line}\r\n"))
                .collect();
            assert_eq!((framed.as_str(), is), (line, rest), "{status} {fields:?} {length:?}");
        }
    }

    #[test]
    fn to_a_head_goes_the_length_alone() {
        let to_head = Answering { to_head: true, ..answering() };
        let (text, rest) = written(200, &[("content-length", "5")], Some(0), &to_head);
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: today\r\n\r\n");
        assert_eq!(rest, Rest::Nothing);
        assert_eq!(written(200, &[], Some(0), &to_head).0, "HTTP/1.1 200 OK\r\ndate: today\r\n\r\n");
    }

    #[test]
    fn an_old_client_gets_no_chunks_and_is_told_if_the_connection_goes_on() {
        let old = Answering { is_1_1: false, ..answering() };
        let (text, rest) = written(200, &[("trailer", "x")], None, &old);
        assert_eq!((text.as_str(), rest), ("HTTP/1.0 200 OK\r\ndate: today\r\n\r\n", Rest::Close));
        let (text, _) = written(200, &[], Some(1), &old);
        assert!(text.contains("\r\nconnection: keep-alive\r\n"), "{text}");
        let last = Answering { keep_alive: false, ..answering() };
        assert!(written(200, &[], Some(1), &last).0.contains("\r\nconnection: close\r\n"));
        let once = written(200, &[("connection", "close")], Some(1), &last).0;
        assert_eq!(once.matches("connection").count(), 1);
    }

    #[test]
    fn status_lines() {
        let line = |status| {
            written(status, &[("date", "x")], Some(0), &answering()).0.lines().next().unwrap().to_owned()
        };
        assert_eq!((line(404).as_str(), line(299).as_str()), ("HTTP/1.1 404 Not Found", "HTTP/1.1 299 "));
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::EARLY_HINTS;
        response.headers_mut().insert("link", HeaderValue::from_static("</a>"));
        response.extensions_mut().insert(Reason(Bytes::from_static(b"Hints")));
        let mut text = Vec::new();
        write_interim(&response, &mut text);
        assert_eq!(text, b"HTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\n");
    }
}
