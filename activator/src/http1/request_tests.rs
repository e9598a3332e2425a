//! Heads of requests: what is taken, and what is refused.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

fn buffer(bytes: &[u8]) -> ReadBuffer {
    let (mut buffer, mut source) = (ReadBuffer::new(), bytes);
    while !source.is_empty() {
        std::future::poll_fn(|cx| buffer.poll_fill(cx, &mut source)).now_or_never().unwrap().unwrap();
    }
    buffer
}

fn parse_all(text: &str) -> Result<Option<RequestHead>, Refused> {
    parse(&mut buffer(text.as_bytes()), 0, &mut HeaderMap::new())
}

/// A request with these fields.
fn with(fields: &str) -> Result<RequestHead, Refused> {
    parse_all(&format!("POST /a?b HTTP/1.1\r\n{fields}\r\n")).map(Option::unwrap)
}

#[test]
fn a_head_is_taken_off_the_front() {
    let mut buffer = buffer(b"\r\n\nPUT http://a/b?c HTTP/1.0\r\nHost: a\r\nX: 1\nx: \xff \r\n\r\nbody");
    let head = parse(&mut buffer, 0, &mut HeaderMap::new()).unwrap().unwrap();
    let request = head.request;
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("PUT", "http://a/b?c"));
    assert_eq!(request.version(), Version::HTTP_10);
    let values: Vec<_> = request.headers().get_all("x").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, [&b"1"[..], b"\xff"]);
    assert_eq!((head.framing, head.keep_alive, buffer.as_slice()), (Framing::None, false, &b"body"[..]));
}

#[test]
fn until_it_is_all_there_it_is_waited_for() {
    let text = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for end in 0..text.len() {
        assert!(parse_all(&text[..end]).unwrap().is_none(), "{end}");
    }
    assert!(parse_all(text).unwrap().is_some());
}

#[test]
fn where_the_body_ends() {
    for (fields, expected) in [
        ("", Framing::None),
        ("content-length: 0\r\n", Framing::None),
        ("content-length: 5\r\n", Framing::Length(5)),
        ("transfer-encoding: chunked\r\n", Framing::Chunked),
        ("transfer-encoding: gzip, Chunked\r\n", Framing::Chunked),
    ] {
        assert_eq!(with(fields).unwrap().framing, expected, "{fields}");
    }
}

#[test]
fn what_says_it_twice_says_it_once_or_is_not_believed() {
    let same = with("content-length: 5\r\nContent-Length: 5\r\n").unwrap();
    assert_eq!(same.request.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
    for both in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let head = with(both).unwrap();
        assert_eq!((head.framing, head.keep_alive), (Framing::Chunked, false));
        assert!(!head.request.headers().contains_key(CONTENT_LENGTH));
    }
}

#[test]
fn what_an_app_might_read_differently_is_refused() {
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length:\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n",
        "transfer-encoding:\r\n",
        "host : a\r\n",
        "x: a\r\n folded\r\n",
        "x: a\0b\r\n",
        "x: a\rb\r\n",
        "no colon\r\n",
    ] {
        assert!(matches!(with(fields), Err(Refused::Malformed(_))), "{fields:?}");
    }
    for line in [
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
    ] {
        assert!(matches!(parse_all(line), Err(Refused::Malformed(_))), "{line:?}");
    }
    assert!(parse_all("GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    for line in ["PING\r\n", "HELO a\r\n", "get key\n", "GET /\r\n"] {
        assert!(matches!(parse_all(line), Err(Refused::Malformed(_))), "{line:?}, without waiting for more");
    }
}

#[test]
fn what_is_too_large_is_told_from_what_is_malformed() {
    let many: String = (0..101).map(|n| format!("a{n}: b\r\n")).collect();
    let long = "x".repeat(LONGEST_HEAD);
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(65_510));
    assert!(matches!(with(&many), Err(Refused::TooLarge(_))));
    assert!(
        matches!(parse_all(&format!("GET / HTTP/1.1\r\na: {long}")), Err(Refused::TooLarge(_))),
        "unfinished"
    );
    assert!(matches!(parse_all(&format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n")), Err(Refused::TooLarge(_))));
    assert!(parse_all(&target).is_ok(), "65,535 bytes in all");
}

#[test]
fn whether_another_request_may_follow() {
    for (text, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nconnection: keep-alive\r\nconnection: x, CLOSE\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nconnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(parse_all(text).unwrap().unwrap().keep_alive, expected, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "([A-Z@ ]{0,5} [/a-z:*?]{0,9} HTTP/1\\.[012]\r?\n)?[a-zA-Z:, 0-9\r\n\t-]{0,80}\r\n\r\n") {
        let _ = parse_all(&text);
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&mut buffer(&bytes), 0, &mut HeaderMap::new());
    }
}
