//! A client's side over a real socket: heads, who reads a body to its end, and what is noticed of one that leaves.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use reveille_core::app::AppId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

use super::*;
use crate::{
    config::Config,
    server::Shared,
    traits::Waker as AppWaker,
    worker::{State, Worker},
};

struct Never;

impl AppWaker for Never {
    fn wake(&self, _: &AppId, _: usize) {}
    fn usable(&self, _: &AppId, _: u64) {}
}

/// Runs a test with a client's socket and our side of it.
fn with<F: Future<Output = ()>>(test: impl FnOnce(TcpStream, Rc<RefCell<Client>>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let worker = Worker::for_tests(Shared::for_tests(Config::default(), Arc::new(Never)));
        let state = Rc::new(State::new(0));
        let client = Client::new(ClientStream::new(stream, state, worker));
        tokio::time::timeout(Duration::from_secs(20), test(peer, Rc::new(RefCell::new(client))))
            .await
            .unwrap();
    });
}

async fn head(client: &RefCell<Client>) -> Option<RequestHead> {
    let mut headers = HeaderMap::new();
    std::future::poll_fn(|cx| client.borrow_mut().poll_head(cx, &mut headers)).await.unwrap()
}

async fn body_end(client: &RefCell<Client>) -> BodyEnd {
    std::future::poll_fn(|cx| client.borrow_mut().poll_body_end(cx)).await
}

async fn look(client: &RefCell<Client>) -> Look {
    std::future::poll_fn(|cx| client.borrow_mut().poll_gone(cx)).await
}

#[test]
fn requests_come_one_after_the_other() {
    with(async |mut peer, client| {
        peer.write_all(b"POST /1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(head(&client).await.unwrap().request.uri(), "/1");
        let body = ClientBody::of(&client).unwrap();
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(body_end(&client).await, BodyEnd::Read);
        assert_eq!(head(&client).await.unwrap().request.uri(), "/2");
        assert!(ClientBody::of(&client).is_none(), "a GET has none");
        drop(peer);
        assert!(head(&client).await.is_none());
    });
}

#[test]
fn a_body_that_nobody_reads_is_taken_if_it_is_there_and_not_waited_for() {
    with(async |mut peer, client| {
        peer.write_all(b"POST /1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        head(&client).await.unwrap();
        drop(ClientBody::of(&client));
        assert_eq!(body_end(&client).await, BodyEnd::Read);
        peer.write_all(b"POST /2 HTTP/1.1\r\ncontent-length: 3\r\n\r\na").await.unwrap();
        head(&client).await.unwrap();
        drop(ClientBody::of(&client));
        assert_eq!(body_end(&client).await, BodyEnd::Unread);
    });
}

#[test]
fn whoever_reads_a_body_is_waited_for() {
    with(async |mut peer, client| {
        peer.write_all(b"POST /1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        head(&client).await.unwrap();
        let body = ClientBody::of(&client).unwrap();
        assert!(body_end(&client).now_or_never().is_none());
        let reading = tokio::task::spawn_local(body.collect());
        let end = tokio::task::spawn_local(async move { body_end(&client).await });
        peer.write_all(b"1\r\na\r\n0\r\n\r\n").await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap().to_bytes(), "a");
        assert_eq!(end.await.unwrap(), BodyEnd::Read, "woken by the one that read");
    });
}

#[test]
fn a_malformed_body_is_followed_by_nothing() {
    with(async |mut peer, client| {
        peer.write_all(b"POST /1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n").await.unwrap();
        head(&client).await.unwrap();
        assert!(ClientBody::of(&client).unwrap().collect().await.is_err());
        assert_eq!(body_end(&client).await, BodyEnd::Unread);
    });
}

#[test]
fn one_that_leaves_is_noticed_and_one_that_sends_on_is_not_read() {
    with(async |mut peer, client| {
        peer.write_all(b"GET /1 HTTP/1.1\r\n\r\n").await.unwrap();
        head(&client).await.unwrap();
        assert!(look(&client).now_or_never().is_none());
        peer.write_all(b"GET /2 HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(look(&client).await, Look::Unclear);
        assert!(!client.borrow().has_begun(), "it waits in the socket");
        assert_eq!(head(&client).await.unwrap().request.uri(), "/2");
        drop(peer);
        assert_eq!(look(&client).await, Look::Gone);
    });
}

#[test]
fn interim_responses_go_before_the_final_one() {
    with(async |mut peer, client| {
        let mut hint = Response::new(());
        *hint.status_mut() = http::StatusCode::EARLY_HINTS;
        InterimSender(client.clone()).send(&hint);
        Writer(&client).write_all(b"final").await.unwrap();
        drop(client);
        let mut text = String::new();
        peer.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "HTTP/1.1 103 Early Hints\r\n\r\nfinal");
    });
}
