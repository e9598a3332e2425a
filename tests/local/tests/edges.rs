//! What stands at the edges of a request on one connection: bytes behind a body, an answer before its end, a client that
//! leaves behind more than one request, trailers that are none.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use reveille_tests_local::{App, Conn, until, wait::secs};

use crate::support::{SOON, start, start_awake};

/// A large upload leaves room for much in the buffer; what is behind it is the next request all the same.
#[test]
fn what_follows_a_large_body_is_the_next_request() {
    let app = App::slow("behind");
    let reveille = start_awake(&app);
    let mut stream = TcpStream::connect(("127.0.0.1", app.listen)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let body = vec![b'x'; 3 << 20];
    for nth in 0..3 {
        let mut bytes =
            format!("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(format!("GET /echo?{nth} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let mut sender = stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
        let mut text = String::new();
        let mut space = [0; 4096];
        while !text.contains(&format!("/echo?{nth}")) {
            let read = stream.read(&mut space).unwrap();
            assert!(read > 0, "closed after {text}");
            text.push_str(&String::from_utf8_lossy(&space[..read]));
        }
        assert!(text.contains(&body.len().to_string()), "{text}");
        sending.join().unwrap();
    }
    reveille.stop();
}

/// A client that was not told to send its body is not told so behind the answer, nor within it.
#[test]
fn an_early_answer_is_followed_by_no_continue() {
    let one = App::slow("unasked");
    let two = App::h2c("unasked-two").port("upstreamProtocol: h2c");
    let reveille = start(&[&one, &two]);
    for (app, path, status, body) in
        [(&one, "/early", 413, "too large"), (&two, "/unread?bytes=20&ms=100", 200, "xxxxxxxxxxxxxxxxxxxx")]
    {
        let mut conn = Conn::open(app.listen);
        conn.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ));
        let answer = conn.answer();
        assert_eq!((answer.status(), answer.interim.len(), answer.text().as_str()), (status, 0, body));
        let mut sender = conn.sender();
        sender.set_read_timeout(Some(secs(3))).unwrap();
        let mut rest = Vec::new();
        sender.read_to_end(&mut rest).unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "", "and then the connection ends");
    }
    reveille.stop();
}

/// One byte of another request, or an unfinished body, must not hide that the client has left.
#[test]
fn clients_that_leave_something_unread_behind_are_noticed() {
    let app = App::slow("left");
    let reveille = start_awake(&app);
    let requests: [&[u8]; 3] = [
        b"GET /slow?ms=30000 HTTP/1.1\r\nHost: a\r\n\r\nG",
        b"GET /sse?events=1&ms=30000 HTTP/1.1\r\nHost: a\r\n\r\nG",
        b"POST /slow?ms=30000 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
    ];
    for (nth, request) in requests.iter().enumerate() {
        let mut conn = Conn::open(app.listen);
        conn.send(request);
        until("it is in flight", SOON, || reveille.admin.in_flight("left") == 1);
        drop(conn);
        until(&format!("client {nth} is noticed"), SOON, || reveille.admin.in_flight("left") == 0);
    }
    reveille.stop();
}

/// Trailers that are no fields are an error of the body, and nothing behind them is a request.
#[test]
fn trailers_that_are_none_end_the_connection() {
    let app = App::slow("trailing");
    let reveille = start_awake(&app);
    for trailers in ["bad line\r\n\r\n", "\n", "a: b\n\r\n"] {
        let mut conn = Conn::open(app.listen);
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        conn.send(format!(
            "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}{smuggled}"
        ));
        assert_eq!(conn.answer().status(), 400, "{trailers:?}");
        assert!(conn.is_closed_within(SOON), "{trailers:?}");
    }
    let log = std::fs::read_to_string(app.log()).unwrap();
    assert!(!log.contains("smuggled"), "{log}");
    reveille.stop();
}

/// Bytes that nobody wants must not reset a connection before its answer has arrived.
#[test]
fn an_answer_arrives_although_the_client_sends_on() {
    let app = App::slow("whole");
    let reveille = start_awake(&app);
    for nth in 0..10 {
        let mut conn = Conn::open(app.listen);
        let mut bytes = b"GET /big?bytes=2000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec();
        bytes.extend_from_slice(&vec![b'y'; 100_000]);
        conn.send(bytes);
        assert_eq!(conn.answer().body.len(), 2_000_000, "time {nth}");
    }
    reveille.stop();
}
