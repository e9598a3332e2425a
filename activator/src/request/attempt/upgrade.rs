//! An attempt to change the protocol (RFC 9110, 7.8): a connection of its own, which becomes the tunnel if the
//! app agrees, and carries an ordinary response if not.

use std::{future::poll_fn, pin::Pin};

use http::{Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{AnyLease, Engaged, Outcome, Target, closed, connect, endless_head, not_http, suspect};
use crate::{
    request::{body::RequestBody, headers},
    worker::{Chosen, Http1Connection, Lease, UpstreamStream},
};

/// How the app took it.
pub(in crate::request) enum Switched {
    /// It speaks the other protocol from here on.
    Yes(Response<()>, UpstreamStream, Chosen),
    /// As any other request.
    No(Outcome),
}

/// Sends the request on a connection of its own.
pub(in crate::request) async fn upgrade(
    target: Target<'_>,
    chosen: Chosen,
    mut request: Box<Request<RequestBody>>,
) -> Switched {
    let Target { app, address, .. } = target;
    headers::to_http1(&mut request);
    let generation = chosen.endpoint.generation;
    let Some(stream) = connect(app, address).await else {
        return Switched::No(Outcome::Unreachable(request, chosen));
    };
    let budget = stream.head_budget();
    let socket = stream.socket();
    let (mut sender, mut connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(connected) => connected,
        Err(_) => return Switched::No(Outcome::Unreachable(request, chosen)),
    };
    budget.await_head();
    let mut sending = std::pin::pin!(sender.try_send_request(*request));
    let mut open = true;
    let answered = poll_fn(|cx| {
        // The connection may end in the poll that delivers the response.
        if open && Pin::new(&mut connection).poll(cx).is_ready() {
            open = false;
        }
        sending.as_mut().poll(cx)
    })
    .await;
    match answered {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            if open && poll_fn(|cx| Pin::new(&mut connection).poll(cx)).await.is_err() {
                suspect(app, &chosen);
                return Switched::No(Outcome::Failed(closed(app).into()));
            }
            budget.head_came();
            let parts = connection.into_parts();
            let mut stream = parts.io.into_inner();
            stream.unread(parts.read_buf);
            Switched::Yes(response.map(drop), stream, chosen)
        }
        Ok(response) => {
            budget.head_came();
            // What the client sent on, or the app takes for the other protocol, is for no other request.
            let connection = open.then_some(connection);
            let connection = Http1Connection::adopt(sender, connection, generation, address, socket, budget);
            let engaged = Engaged { chosen, lease: AnyLease::Http1(Lease::once(connection)) };
            Switched::No(Outcome::Response(response.map(Into::into), engaged))
        }
        Err(mut failure) => match failure.take_message() {
            Some(request) => Switched::No(Outcome::Unreachable(Box::new(request), chosen)),
            None => {
                suspect(app, &chosen);
                let error = failure.error();
                let error = if budget.is_spent() {
                    endless_head(app)
                } else if error.is_parse() {
                    not_http(app, "HTTP/1.1", error)
                } else {
                    closed(app)
                };
                Switched::No(Outcome::Failed(error.into()))
            }
        },
    }
}
