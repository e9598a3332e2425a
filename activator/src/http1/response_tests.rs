//! Heads of responses: framing, reuse, reasons, and what is no head at all.

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

fn parse_all(text: &str, to_head: bool) -> Result<Option<(Head, HeaderMap)>, Malformed> {
    let (mut headers, mut interim) = (HeaderMap::new(), HeaderMap::new());
    let head = parse(&mut buffer(text.as_bytes()), 0, to_head, &mut headers, &mut interim)?;
    Ok(head.map(|head| (head, headers)))
}

/// The framing of a response with this status and these fields.
fn framed(status: &str, fields: &str) -> Result<Framing, Malformed> {
    let text = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    parse_all(&text, false).map(|parsed| parsed.unwrap().0.framing)
}

#[test]
fn a_head_is_taken_off_the_front_and_replaces_what_was_there() {
    let mut buffer = buffer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX: 1\r\nx: \xff 2 \r\n\r\nno");
    let mut headers = HeaderMap::new();
    headers.insert("old", HeaderValue::from_static("1"));
    let head = parse(&mut buffer, 0, false, &mut headers, &mut HeaderMap::new()).unwrap().unwrap();
    assert_eq!(
        (head.status, head.framing, head.keep_alive),
        (StatusCode::NOT_FOUND, Framing::Length(2), true)
    );
    assert!(head.reason.is_none(), "it is the usual one");
    let values: Vec<_> = headers.get_all("x").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, [&b"1"[..], b"\xff 2"]);
    assert!(!headers.contains_key("old"));
    assert_eq!(buffer.as_slice(), b"no");
}

#[test]
fn until_it_is_all_there_nothing_changes() {
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut headers = HeaderMap::new();
    headers.insert("old", HeaderValue::from_static("1"));
    for end in 0..text.len() {
        let mut buffer = buffer(&text[..end]);
        let parsed = parse(&mut buffer, 0, false, &mut headers, &mut HeaderMap::new());
        assert!(parsed.unwrap().is_none());
        assert_eq!((buffer.as_slice().len(), headers.len()), (end, 1));
    }
}

#[test]
fn an_interim_head_leaves_the_requests_fields_alone() {
    let (mut headers, mut interim) = (HeaderMap::new(), HeaderMap::new());
    headers.insert("old", HeaderValue::from_static("1"));
    let mut buffer = buffer(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let head = parse(&mut buffer, 0, false, &mut headers, &mut interim).unwrap().unwrap();
    assert_eq!((head.status, head.framing, head.length), (StatusCode::EARLY_HINTS, Framing::None, 40));
    assert!(headers.contains_key("old") && interim.contains_key("link"));
}

#[test]
fn where_the_body_ends() {
    for (status, fields, expected) in [
        ("200 OK", "content-length: 5\r\n", Framing::Length(5)),
        ("200 OK", "content-length: 5, 5\r\ncontent-length: 5\r\n", Framing::Length(5)),
        ("200 OK", "content-length: 0\r\n", Framing::None),
        ("200 OK", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", Framing::Chunked),
        ("200 OK", "transfer-encoding: gzip, Chunked\r\n", Framing::Chunked),
        ("200 OK", "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", Framing::Chunked),
        ("200 OK", "transfer-encoding: gzip\r\n", Framing::Close),
        ("200 OK", "", Framing::Close),
        ("204 No Content", "content-length: 5\r\n", Framing::None),
        ("304 Not Modified", "content-length: 5\r\n", Framing::None),
        ("101 Switching Protocols", "", Framing::None),
    ] {
        assert_eq!(framed(status, fields), Ok(expected), "{status} {fields}");
    }
    let to_head = parse_all("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true).unwrap().unwrap();
    assert_eq!(to_head.0.framing, Framing::None);
}

#[test]
fn lengths_that_could_be_read_differently_are_refused() {
    for length in ["", "-1", "+1", "0x1", "1 1", "1,2", "5,", "99999999999999999999", "18446744073709551616"]
    {
        assert!(framed("200 OK", &format!("content-length: {length}\r\n")).is_err(), "{length:?}");
    }
    let two = "content-length: 1\r\ncontent-length: 2\r\n";
    assert!(framed("200 OK", two).is_err());
    // Of a body that is not there, too: they are passed on.
    assert!(
        framed("304 Not Modified", two).is_err()
            && framed("304 Not Modified", "content-length: x\r\n").is_err()
    );
    assert!(parse_all(&format!("HTTP/1.1 200 OK\r\n{two}\r\n"), true).is_err());
    assert!(framed("204 No Content", two).is_ok(), "there it is left out");
    let old = parse_all("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false);
    assert!(old.is_err(), "HTTP/1.0 has no transfer codings");
}

#[test]
fn whether_another_request_may_follow() {
    let keeps = |text: &str| parse_all(text, false).unwrap().unwrap().0.keep_alive;
    assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: x, Close\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"), "its end is the connection's");
    assert!(!keeps("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n"));
    assert!(keeps("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n"));
}

#[test]
fn an_unusual_reason_is_kept() {
    let reason = |line: &str| {
        let parsed = parse_all(&format!("HTTP/1.1 {line}\r\n\r\n"), false).unwrap().unwrap();
        parsed.0.reason.map(|reason| reason.0.to_vec())
    };
    assert_eq!(reason("200 Fine").as_deref(), Some(&b"Fine"[..]));
    assert_eq!(reason("200 OK"), None);
    assert_eq!(reason("200 ").as_deref(), Some(&b""[..]), "none is a reason, too");
}

#[test]
fn what_is_no_head_says_why() {
    for (text, why) in [
        ("SSH-2.0-OpenSSH\r\n\r\n", "does not begin with HTTP"),
        ("HTTP/2.0 200 OK\r\n\r\n", "does not begin with HTTP"),
        ("HTTP/1.1 20 OK\r\n\r\n", "three digits"),
        ("HTTP/1.1 099 OK\r\n\r\n", "status"),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "name"),
        ("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", "name"),
        ("HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n", "value"),
        ("\r\n\r\n", "empty line"),
    ] {
        let error = parse_all(text, false).unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
    let many: String = (0..101).map(|n| format!("a{n}: b\r\n")).collect();
    assert!(
        parse_all(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), false)
            .unwrap_err()
            .to_string()
            .contains("100 fields")
    );
    let long = "x".repeat(LONGEST_HEAD);
    assert!(
        parse_all(&format!("HTTP/1.1 200 OK\r\na: {long}"), false)
            .unwrap_err()
            .to_string()
            .contains("400 KiB")
    );
}

proptest! {
    #[test]
    fn nothing_panics(text in "(HTTP/1\\.[01] [0-9]{0,4} ?[A-Z]{0,3}\r?\n)?[a-zA-Z:, 0-9\r\n\t-]{0,80}\r\n\r\n") {
        let _ = parse_all(&text, false);
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut headers, mut interim) = (HeaderMap::new(), HeaderMap::new());
        let _ = parse(&mut buffer(&bytes), 0, false, &mut headers, &mut interim);
    }
}
