//! Messages on sockets that take much, little or nothing.

use std::{collections::VecDeque, convert::Infallible, io};

use futures_util::FutureExt;
use http::HeaderValue;

use super::*;

/// A body whose pieces come one poll after the other; `None` lets the poll wait.
struct Pieces {
    frames: VecDeque<Option<Frame<Bytes>>>,
}

impl Pieces {
    fn new(pieces: &[Option<&'static str>]) -> Self {
        Self { frames: pieces.iter().map(|piece| piece.map(|text| Frame::data(text.into()))).collect() }
    }

    fn with_trailers(mut self, trailers: &[(&'static str, &'static str)]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.append(*name, HeaderValue::from_static(value));
        }
        self.frames.push_back(Some(Frame::trailers(map)));
        self
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}

/// A socket that takes so many bytes at a time, and so many in all.
struct Wire {
    written: Vec<u8>,
    writes: usize,
    at_a_time: usize,
    room: usize,
}

impl Wire {
    fn new() -> Self {
        Self { written: Vec::new(), writes: 0, at_a_time: usize::MAX, room: usize::MAX }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.at_a_time).min(self.room - self.written.len());
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writes += 1;
        self.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn request(fields: &[(&'static str, &'static str)], body: Pieces) -> Request<Pieces> {
    let mut request = Request::post("/a?b").body(body).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

/// Sends it all, however often the body lets wait.
fn send(request: &mut Request<Pieces>, wire: &mut Wire) -> (Sending, Result<(), SendError>) {
    let mut sending = Sending::default();
    sending.begin_request(request);
    let body = request.body_mut();
    let sent = loop {
        let sent = std::future::poll_fn(|cx| sending.poll(cx, wire, body)).now_or_never();
        if let Some(sent) = sent {
            break sent;
        }
    };
    (sending, sent)
}

fn sent(fields: &[(&'static str, &'static str)], body: Pieces) -> (String, usize) {
    let mut wire = Wire::new();
    let (sending, sent) = send(&mut request(fields, body), &mut wire);
    assert!(sent.is_ok() && sending.is_done() && !sending.is_deaf());
    (String::from_utf8(wire.written).unwrap(), wire.writes)
}

const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

#[test]
fn without_a_body_a_head_is_one_write() {
    let (text, writes) = sent(&[("host", "web"), ("x", "1"), ("x", "2")], Pieces::new(&[]));
    assert_eq!((text.as_str(), writes), ("POST /a?b HTTP/1.1\r\nhost: web\r\nx: 1\r\nx: 2\r\n\r\n", 1));
}

#[test]
fn what_is_there_of_the_body_goes_along_with_the_head() {
    let (text, writes) = sent(&[("content-length", "3")], Pieces::new(&[Some("abc")]));
    assert_eq!((text.as_str(), writes), ("POST /a?b HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 1));
    let (text, writes) = sent(&[CHUNKED], Pieces::new(&[Some("abc")]));
    assert!(text.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n") && writes == 1, "{text} in {writes}");
    let (text, writes) = sent(&[("content-length", "3")], Pieces::new(&[None, Some("a"), None, Some("bc")]));
    assert!(text.ends_with("\r\n\r\nabc") && writes == 3, "{text} in {writes}");
}

#[test]
fn chunks_and_trailers() {
    let body = Pieces::new(&[Some("0123456789abcdef"), Some(""), Some("x")])
        .with_trailers(&[("x-sum", "1"), ("content-length", "3")]);
    let (text, _) = sent(&[CHUNKED], body);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n");
}

#[test]
fn a_socket_that_takes_little_at_a_time_gets_the_same() {
    let body = || Pieces::new(&[Some("0123456789"), None, Some("x")]).with_trailers(&[("x-sum", "1")]);
    let fields = [CHUNKED, ("trailer", "x-sum")];
    let (whole, _) = sent(&fields, body());
    for at_a_time in [1, 2, 3, 7, 50] {
        let mut wire = Wire { at_a_time, ..Wire::new() };
        let (_, sent) = send(&mut request(&fields, body()), &mut wire);
        assert_eq!((sent, wire.written.as_slice()), (Ok(()), whole.as_bytes()));
    }
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_noticed() {
    for body in
        [Pieces::new(&[Some("ab")]), Pieces::new(&[Some("abcd")]), Pieces::new(&[Some("abc"), Some("d")])]
    {
        let mut wire = Wire::new();
        let (_, sent) = send(&mut request(&[("content-length", "3")], body), &mut wire);
        assert_eq!(sent, Err(SendError::Body));
    }
}

#[test]
fn a_request_of_which_nothing_was_sent_is_whole() {
    let mut wire = Wire { room: 0, ..Wire::new() };
    let mut request = request(&[("content-length", "3")], Pieces::new(&[Some("a"), Some("bc")]));
    let (mut sending, sent) = send(&mut request, &mut wire);
    assert_eq!(sent, Err(SendError::Closed));
    assert_eq!(sending.take_back(), "a");
    assert_eq!(request.body().frames.len(), 1);
}

#[test]
fn what_a_deaf_app_does_not_take_goes_nowhere() {
    for room in [1, 50] {
        let mut wire = Wire { room, ..Wire::new() };
        let mut request = request(&[CHUNKED], Pieces::new(&[Some("a"), None, Some("b"), Some("c")]));
        let (sending, sent) = send(&mut request, &mut wire);
        assert_eq!((sent, wire.written.len()), (Ok(()), room));
        assert!(sending.is_deaf() && sending.is_done());
        assert!(request.body().frames.is_empty(), "it was taken to its end");
    }
}

#[test]
fn a_response_whose_client_is_gone_is_not_taken_on() {
    for room in [0, 1, 50] {
        let mut wire = Wire { room, ..Wire::new() };
        let mut response = Response::new(Pieces::new(&[Some("a"), Some("b"), None, Some("c")]));
        let answering = Answering { to_head: false, is_1_1: true, keep_alive: true, trailers: false };
        let mut sending = Sending::default();
        sending.begin_response(&response, &answering, || HeaderValue::from_static("today"));
        let body = response.body_mut();
        let sent = std::future::poll_fn(|cx| sending.poll(cx, &mut wire, body)).now_or_never().unwrap();
        assert_eq!((sent, wire.written.len()), (Err(SendError::Closed), room));
        assert!(response.body().frames.len() >= 2, "what nobody gets is not asked for");
    }
}

#[test]
fn trailers_go_to_clients_that_take_them() {
    for takes in [false, true] {
        let mut response = Response::new(Pieces::new(&[Some("a")]).with_trailers(&[("x-sum", "1")]));
        response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        let answering = Answering { to_head: false, is_1_1: true, keep_alive: true, trailers: takes };
        let (mut sending, mut wire) = (Sending::default(), Wire::new());
        sending.begin_response(&response, &answering, || HeaderValue::from_static("today"));
        let body = response.body_mut();
        std::future::poll_fn(|cx| sending.poll(cx, &mut wire, body)).now_or_never().unwrap().unwrap();
        let text = String::from_utf8(wire.written).unwrap();
        assert_eq!(text.ends_with("0\r\nx-sum: 1\r\n\r\n"), takes, "{text}");
        assert_eq!(text.ends_with("0\r\n\r\n"), !takes, "{text}");
    }
}
