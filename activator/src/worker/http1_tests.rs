//! Our side of a connection to an app, with the app played on a real socket: what became of a request is told exactly,
//! as it decides whether the request may be sent again.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::LocalSet,
};

use super::*;
use crate::request::body::Received;

/// Runs a test with the app's socket and our connection to it.
fn with<F: Future<Output = ()>>(test: impl FnOnce(TcpStream, Box<Http1Connection>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connection = Http1Connection::open(1, address).await.unwrap();
        let (app, _) = listener.accept().await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), test(app, connection)).await.unwrap();
    });
}

fn get() -> Request<RequestBody> {
    Request::get("/x").header("host", "app").body(RequestBody::for_tests(Received::Empty)).unwrap()
}

/// Reads a request without a body.
async fn read_head(app: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let mut byte = [0];
        app.read_exact(&mut byte).await.unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

/// Reads what is left of the response's body.
async fn body(connection: &mut Http1Connection) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| connection.poll_frame(cx)).await {
        if let Ok(data) = frame.unwrap().into_data() {
            all.extend_from_slice(&data);
        }
    }
    all
}

#[test]
fn one_request_follows_another() {
    with(async |mut app, mut connection| {
        for (n, text) in ["first", "second"].into_iter().enumerate() {
            let mut request = get();
            let answers = async {
                assert!(read_head(&mut app).await.starts_with("GET /x HTTP/1.1\r\n"));
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx: y\r\n\r\n{text}", text.len());
                app.write_all(answer.as_bytes()).await.unwrap();
            };
            let (response, ()) = tokio::join!(connection.exchange(&mut request, |_| {}), answers);
            let response = response.unwrap();
            assert_eq!((response.status().as_u16(), response.headers()["x"].as_bytes()), (200, &b"y"[..]));
            assert_eq!(body(&mut connection).await, text.as_bytes());
            assert_eq!(connection.is_reused(), n > 0);
            assert!(connection.rest(7), "it can carry another one");
            assert!(!connection.is_stale());
        }
    });
}

#[test]
fn interim_responses_come_first_and_have_a_bound() {
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        let mut hints = Vec::new();
        let response = connection.exchange(&mut get(), |interim| hints.push(interim.status().as_u16())).await;
        assert_eq!((response.unwrap().status().as_u16(), hints), (204, vec![103]));
    });
    with(async |mut app, mut connection| {
        let hints = tokio::task::spawn_local(async move {
            let hint = b"HTTP/1.1 103 Early Hints\r\nlink: some-thing-to-load\r\n\r\n".repeat(512);
            // Until nobody reads any more.
            while app.write_all(&hint).await.is_ok() {}
        });
        let endless = connection.exchange(&mut get(), |_| {}).await;
        assert!(matches!(endless, Err(Failure::Endless)), "{:?}", endless.map(drop));
        drop(connection);
        hints.await.unwrap();
    });
}

#[test]
fn what_was_not_sent_is_told_from_what_may_have_been_processed() {
    // Closed before: the request was not processed.
    with(async |app, mut connection| {
        drop(app);
        poll_fn(|cx| connection.stream.borrow().poll_read_ready(cx)).await.unwrap();
        // The first write is taken by the kernel, and answered by a reset.
        let failed = connection.exchange(&mut get(), |_| {}).await.map(drop).unwrap_err();
        assert!(matches!(failed, Failure::Unsent | Failure::Closed { answered: false }), "{failed:?}");
    });
    // Closed after it had the request: nobody can tell.
    with(async |mut app, mut connection| {
        let ends = async {
            read_head(&mut app).await;
            drop(app);
        };
        let mut request = get();
        let (failed, ()) = tokio::join!(connection.exchange(&mut request, |_| {}), ends);
        assert!(matches!(failed, Err(Failure::Closed { answered: false })), "{:?}", failed.map(drop));
        assert_eq!(request.headers()["host"], "app", "the request is as it was");
    });
    // Closed within its answer.
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 200 O").await.unwrap();
        drop(app);
        let failed = connection.exchange(&mut get(), |_| {}).await;
        assert!(matches!(failed, Err(Failure::Closed { answered: true })), "{:?}", failed.map(drop));
    });
    with(async |mut app, mut connection| {
        app.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
        let failed = connection.exchange(&mut get(), |_| {}).await;
        assert!(matches!(failed, Err(Failure::Malformed(_))), "{:?}", failed.map(drop));
    });
}

#[test]
fn what_comes_unasked_or_the_end_makes_it_useless() {
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore").await.unwrap();
        connection.exchange(&mut get(), |_| {}).await.unwrap();
        assert!(!connection.rest(0), "bytes that belong to no response");
    });
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        connection.exchange(&mut get(), |_| {}).await.unwrap();
        assert!(!connection.rest(0), "the app said so");
    });
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab").await.unwrap();
        connection.exchange(&mut get(), |_| {}).await.unwrap();
        assert!(poll_fn(|cx| connection.poll_frame(cx)).now_or_never().is_some());
        assert!(!connection.rest(0), "its body was not taken");
    });
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        connection.exchange(&mut get(), |_| {}).await.unwrap();
        assert!(connection.rest(0) && !connection.is_ended());
        drop(app);
        poll_fn(|cx| connection.stream.borrow().poll_read_ready(cx)).await.unwrap();
        assert!(connection.is_ended() && connection.is_stale());
    });
}

#[test]
fn what_has_changed_its_protocol_is_handed_on_with_what_was_read_too_far() {
    with(async |mut app, mut connection| {
        app.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nframe").await.unwrap();
        let response = connection.exchange(&mut get(), |_| {}).await.unwrap();
        assert_eq!(response.status().as_u16(), 101);
        assert!(!connection.keep_alive);
        let (_, read) = connection.into_stream().unwrap();
        assert_eq!(read, "frame");
    });
}
