//! Serving HTTP/1.1, and what becomes of the connection when a client and an app change the protocol.

use std::{cell::RefCell, future::poll_fn, pin::Pin, rc::Rc, task::Poll};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use super::{ClientStream, Connection, MAX_HEAD, state::Verdict};
use crate::request::{self, Caller, body::BodyFate, tunnel::Tunnel};

/// Serves requests until the connection ends or becomes a tunnel.
pub(super) async fn serve(connection: Rc<Connection>, io: ClientStream) {
    let state = connection.state.clone();
    let tunnel: Rc<RefCell<Option<Tunnel>>> = Rc::default();
    // One request at a time: they share it.
    let fate = BodyFate::default();
    let service = {
        let (connection, tunnel) = (connection.clone(), tunnel.clone());
        service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let caller = Caller::http1(connection.clone(), fate.clone());
            let tunnel = tunnel.clone();
            async move {
                let mut response = request::serve(caller, request.map(Into::into)).await?;
                if let Some(opened) = response.body_mut().take_tunnel() {
                    *tunnel.borrow_mut() = Some(opened);
                }
                Ok::<_, request::Unanswered>(response)
            }
        })
    };
    let mut served = http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(TokioIo::new(io), service);
    let mut closing = false;
    let ended = poll_fn(|cx| {
        match state.verdict() {
            Verdict::GoOn => {}
            Verdict::CloseNow => return Poll::Ready(None),
            Verdict::CloseWhenIdle => {
                if !closing {
                    closing = true;
                    Pin::new(&mut served).graceful_shutdown();
                }
            }
        }
        let polled = Pin::new(&mut served).poll(cx);
        if polled.is_pending() {
            state.register(cx.waker());
        }
        polled.map(Some)
    });
    // Why it ended is the client's business, or was told to it already.
    let Some(Ok(())) = ended.await else { return };
    let Some(tunnel) = tunnel.take() else { return };
    let parts = served.into_parts();
    let mut io = parts.io.into_inner();
    io.unread(parts.read_buf);
    tunnel.run(&connection, io).await;
}
