//! An attempt to change the protocol (RFC 9110, 7.8): a connection of its own, which becomes the tunnel if the
//! app agrees, and carries an ordinary response if not.

use http::{Request, Response, StatusCode};

use super::{Interims, Outcome, Target, closed, http1, suspect};
use crate::{
    request::{body::RequestBody, headers},
    worker::{Chosen, Failure, UpstreamStream},
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
    let Target { app, caller, address } = target;
    headers::to_http1(&mut request);
    let Some(mut connection) = http1::open(app, &chosen, address).await else {
        return Switched::No(Outcome::Unreachable(request, chosen));
    };
    let mut interims = Interims::new(caller);
    let response = match connection.exchange(&mut request, |interim| interims.pass(interim)).await {
        Ok(response) => response,
        Err(Failure::Unsent) => return Switched::No(Outcome::Unreachable(request, chosen)),
        Err(failure) => {
            suspect(app, &chosen);
            return Switched::No(Outcome::Failed(http1::failed(app, &failure).into()));
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // What the client sent on, or the app takes for the other protocol, is for no other request.
        connection.use_once();
        return Switched::No(http1::answered(app, chosen, connection, response, request));
    }
    match connection.into_stream() {
        Some((stream, read)) => Switched::Yes(response, UpstreamStream::new(stream, read), chosen),
        None => Switched::No(Outcome::Failed(closed(app).into())),
    }
}
