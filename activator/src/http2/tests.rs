//! Bodies over a real HTTP/2 connection in memory.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::{Reason, RecvStream, SendStream, client, server};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::io::duplex;

use super::*;

/// A client's stream and the server's end of it; the connections run in tasks of their own.
async fn stream(
    window: u32,
) -> (SendStream<Bytes>, client::ResponseFuture, RecvStream, server::SendResponse<Bytes>) {
    let (near, far) = duplex(1 << 20);
    let serving = async {
        let mut builder = server::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let mut connection = builder.handshake::<_, Bytes>(far).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        (request.into_body(), respond)
    };
    let calling = async {
        let mut builder = client::Builder::new();
        builder.initial_window_size(window);
        let (sender, connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let (response, body) =
            sender.send_request(Request::post("http://a/").body(()).unwrap(), false).unwrap();
        (body, response)
    };
    let ((body, response), (request, respond)) = tokio::join!(calling, serving);
    (body, response, request, respond)
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_only_read_ahead_is_at_most_one_window_and_comes_out_in_one_piece() {
    let (mut upload, _response, request, _respond) = stream(STREAM_WINDOW).await;
    let sent: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let body = Bytes::from(sent.clone());
    let sending = tokio::spawn(async move {
        let mut left = body;
        while !left.is_empty() {
            upload.reserve_capacity(left.len());
            let room = match upload.capacity() {
                0 => poll_fn(|cx| upload.poll_capacity(cx)).await.unwrap().unwrap(),
                room => room,
            };
            let part = left.split_to(room.min(left.len()).min(20));
            upload.send_data(part, left.is_empty()).unwrap();
        }
    });
    let mut received = RecvBody::new(request);
    let mut turns = 0;
    while received.buffered() < STREAM_WINDOW as usize {
        turns += 1;
        assert!(turns < 1_000_000, "only {} bytes came", received.buffered());
        assert!(poll_fn(|cx| received.poll_buffer(cx)).now_or_never().is_none(), "it is not complete");
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(poll_fn(|cx| received.poll_buffer(cx)).now_or_never().is_none());
    assert_eq!(received.buffered(), STREAM_WINDOW as usize, "no window was given back");
    let first = received.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.len(), STREAM_WINDOW as usize, "thousands of frames are one piece");
    let rest = received.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), sent);
    sending.await.unwrap();
}

#[tokio::test]
async fn a_body_goes_on_only_as_far_as_there_is_room_and_asks_when_there_is_none() {
    let (_upload, response, _request, mut respond) = stream(1_000).await;
    let stream = respond.send_response(Response::new(()), false).unwrap();
    let body = http_body_util::Full::new(Bytes::from(vec![7; 10_000]));
    let mut sender = BodySender::new(body, stream);
    let mut asked = 0;
    let mut poll_once = |asked: &mut u32| {
        let polled = poll_fn(|cx| {
            sender.poll(cx, |_, _| {
                *asked += 1;
                Poll::Pending
            })
        });
        polled.now_or_never()
    };
    let mut incoming = RecvBody::new(response.await.unwrap().into_body());
    settle().await;
    assert!(poll_once(&mut asked).is_none() && asked > 0, "the client has taken nothing");
    settle().await;
    let _ = poll_fn(|cx| incoming.poll_buffer(cx)).now_or_never();
    assert_eq!(incoming.buffered(), 1_000, "its window");
    let collected = async { incoming.collect().await.unwrap().to_bytes().len() };
    let sent = async {
        for _ in 0..1_000_000 {
            if let Some(sent) = poll_once(&mut asked) {
                return sent;
            }
            tokio::task::yield_now().await;
        }
        panic!("the body was never sent");
    };
    let (length, sent) = tokio::join!(collected, sent);
    assert_eq!(length, 10_000);
    sent.unwrap();
}

/// A body that never has anything.
struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_peer_that_wants_no_more_ends_a_body_that_has_nothing_to_send() {
    let (mut upload, response, _request, mut respond) = stream(1_000).await;
    let stream = respond.send_response(Response::new(()), false).unwrap();
    let mut sender = BodySender::new(Silent, stream);
    let response = response.await.unwrap();
    assert!(poll_fn(|cx| sender.poll(cx, |_, _| Poll::Pending)).now_or_never().is_none());
    upload.send_reset(Reason::CANCEL);
    drop(response);
    let ended = poll_fn(|cx| sender.poll(cx, |_, _| Poll::Pending)).await;
    assert!(matches!(ended, Err(Failed::Reset)), "{ended:?}");
}
