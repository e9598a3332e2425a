//! Serving HTTP/2: one task drives the connection, one serves each stream.
//!
//! A stream's task ends when the client resets the stream or the connection is gone, whatever it waits for;
//! dropping it releases everything that the request engaged, in the hold and at the app.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use bytes::Bytes;
use h2::{Ping, PingPong, Reason, RecvStream, server};
use http::{Method, Request, Response, Version, header::DATE};
use http_body::Body;

use super::{ClientStream, Connection, state::Verdict, unless_closed_now};
use crate::{
    drain::Stage,
    http2::{
        BodySender, CONNECTION_WINDOW, Duplex, Failed, MAX_HEADER_LIST, MAX_STREAMS, RecvBody, STREAM_WINDOW,
    },
    request::{
        self, Caller, Prepared, Unanswered,
        body::{Received, ResponseBody},
    },
};

type Served = server::Connection<ClientStream, Bytes>;

/// Streams that were reset before they were looked at; h2 ends the connection if there are more.
const MAX_PENDING_RESETS: usize = 64;

/// Serves requests until the connection ends.
pub(super) async fn serve(connection: Rc<Connection>, mut io: ClientStream) {
    let state = connection.state.clone();
    let worker = connection.worker.clone();
    io.meter_frames();
    let handshake = server::Builder::new()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .enable_connect_protocol()
        .handshake::<_, Bytes>(io);
    // Boxed, as what is done once need not be part of what lasts.
    let handshake = Box::pin(handshake);
    let Some(Ok(mut served)) = unless_closed_now(&state, handshake).await else { return };
    state.on_http2(worker.tick.get());
    let mut driver = Driver { pings: served.ping_pong(), asked: false, closing: false, ended: false };
    let refused = poll_fn(|cx| {
        loop {
            if let Some(flood) = state.flood()
                && !driver.ended
            {
                driver.ended = true;
                worker.shared.metrics.http2_connection_ended(flood.as_str());
                served.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            driver.obey(state.verdict(), &mut served);
            driver.ping(state.wants_ping());
            match served.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    if worker.shared.stage() != Stage::Serving {
                        // It moves on by itself, and loses nothing (RFC 9113, 6.8).
                        state.close_when_idle();
                    }
                    // Boxed: tokio moves a task's future about, and writes over all of it at its end.
                    tokio::task::spawn_local(Box::pin(stream(connection.clone(), request, respond)));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(None) => return Poll::Ready(None),
                // What was to be said before the end has been said, or never will be.
                Poll::Pending if driver.ended => return Poll::Ready(None),
                Poll::Pending if state.flood().is_some() => {}
                Poll::Pending => {
                    state.register(cx.waker());
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
    if let Some(error) = refused
        && error.is_library()
        && let Some(reason) = error.reason()
    {
        tracing::debug!(%error, "the client broke HTTP/2's rules; its connection is closed");
        worker.shared.metrics.http2_connection_ended(name_of(reason));
    }
}

/// What was done already about a connection.
struct Driver {
    pings: Option<PingPong>,
    asked: bool,
    closing: bool,
    ended: bool,
}

impl Driver {
    fn obey(&mut self, verdict: Verdict, served: &mut Served) {
        match verdict {
            Verdict::GoOn => {}
            Verdict::CloseWhenIdle => {
                if !self.closing {
                    self.closing = true;
                    served.graceful_shutdown();
                }
            }
            Verdict::CloseNow => {
                if !self.ended {
                    self.ended = true;
                    served.abrupt_shutdown(Reason::NO_ERROR);
                }
            }
        }
    }

    fn ping(&mut self, wanted: bool) {
        if wanted
            && !self.asked
            && let Some(pings) = &mut self.pings
        {
            // Fails while one is on its way, whose answer serves as well.
            drop(pings.send_ping(Ping::opaque()));
        }
        self.asked = wanted;
    }
}

/// Serves one stream. What the request's head takes is handed on at once, not kept in this future beside it.
fn stream(
    connection: Rc<Connection>,
    request: Request<RecvStream>,
    respond: server::SendResponse<Bytes>,
) -> impl Future<Output = ()> {
    let is_head = request.method() == Method::HEAD;
    let request = request.map(|stream| Received::Http2(RecvBody::new(stream)));
    let respond = Rc::new(RefCell::new(respond));
    let prepared = Prepared::new(Caller::http2(connection.clone(), respond.clone()), request);
    async move {
        let response = {
            let mut serving = pin!(request::serve(prepared));
            poll_fn(|cx| {
                // The client has reset the stream, or is gone.
                if respond.borrow_mut().poll_reset(cx).is_ready() {
                    return Poll::Ready(Err(Unanswered::ClientGone));
                }
                serving.as_mut().poll(cx)
            })
            .await
        };
        match response {
            Ok(response) => answer(&connection, &respond, response, is_head).await,
            Err(Unanswered::Reset(reason)) => respond.borrow_mut().send_reset(reason),
            Err(Unanswered::ClientGone) => {}
        }
    }
}

/// Sends a response.
async fn answer(
    connection: &Rc<Connection>,
    respond: &RefCell<server::SendResponse<Bytes>>,
    response: Response<ResponseBody>,
    is_head: bool,
) {
    let (head, mut body) = {
        let (mut parts, body) = response.into_parts();
        parts.version = Version::HTTP_2;
        // Who passes a response on that has no date gives it one (RFC 9110, 6.6.1).
        parts.headers.entry(DATE).or_insert_with(|| connection.worker.date());
        (Response::from_parts(parts, ()), body)
    };
    let tunnel = body.take_tunnel();
    let end = tunnel.is_none() && (body.is_end_stream() || is_head);
    let sent = respond.borrow_mut().send_response(head, end);
    let Ok(stream) = sent else { return };
    match tunnel {
        Some(mut tunnel) => {
            let Some(received) = tunnel.take_received() else { return };
            // Boxed, as it is rare and large.
            Box::pin(tunnel.run(connection, Duplex::new(received, stream))).await;
        }
        None if end => {}
        None => send(BodySender::new(body, stream)).await,
    }
}

async fn send(mut sender: BodySender<ResponseBody>) {
    let sent = poll_fn(|cx| sender.poll(cx, |body, cx| body.poll_overdue(cx))).await;
    if let Err(Failed::Body(error)) = sent {
        // The app's reason, if it gave one; a response that breaks off is never a good one.
        let reason = request::body::reset_reason(&*error).filter(|reason| *reason != Reason::NO_ERROR);
        sender.reset(reason.unwrap_or(Reason::INTERNAL_ERROR));
    }
}

/// The value of the metric's label: the codes of RFC 9113, 7, and nothing that a client made up.
fn name_of(reason: Reason) -> &'static str {
    match reason {
        Reason::PROTOCOL_ERROR => "protocol-error",
        Reason::FLOW_CONTROL_ERROR => "flow-control-error",
        Reason::FRAME_SIZE_ERROR => "frame-size-error",
        Reason::COMPRESSION_ERROR => "compression-error",
        Reason::ENHANCE_YOUR_CALM => "enhance-your-calm",
        _ => "other",
    }
}
