//! One request: check, route, classify, count, gate, forward, stream back.
//!
//! ```text
//! head complete -> check -> route -> probe? -> count in
//!   -> gate open, nobody waits, an endpoint is free --> attempt
//!   -> else: hold -> admitted ------------------------> attempt
//! attempt: pooled or new connection -> send -> response head -> stream back, counted to the body's end
//!   could not connect  -> back to the hold, before all others
//!   nothing of it sent -> again, on another connection
//! ```
//! The same way for either version of HTTP on either side; raw TCP takes it from the gate on ([`tunnel`]).

mod attempt;
pub(crate) mod body;
mod check;
mod expect;
mod forward;
pub(crate) mod grpc;
mod headers;
mod hold;
mod in_flight;
mod probe;
mod serve;
pub(crate) mod tunnel;
mod upgrade;

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use h2::Reason;
pub(crate) use headers::{Forwarded, has_token};
use http::{Response, StatusCode};
pub(crate) use serve::{Prepared, serve};

use crate::{
    error::Error,
    worker::{Connection, InterimSender},
};

/// Who sent a request, and what of the connection is this request's own.
pub(crate) struct Caller {
    pub(crate) connection: Rc<Connection>,
    interim: Option<Interim>,
    version: http::Version,
}

/// Where interim responses go. HTTP/1.0 knows none.
#[derive(Clone)]
enum Interim {
    Http1(InterimSender),
    Http2(Rc<RefCell<h2::server::SendResponse<Bytes>>>),
}

/// There is nobody to answer, or nothing to say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The client left while its request was held.
    #[error("the client left")]
    ClientGone,
    /// The app ended the stream with this code: so does the client's.
    #[error("the app has ended the stream: {0}")]
    Reset(Reason),
}

/// Why a request is not forwarded.
#[derive(Debug)]
enum Stop {
    Error(Error),
    Gone,
    Reset(Reason),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Caller {
    /// A request of an HTTP/1.1 connection.
    pub(crate) fn http1(connection: Rc<Connection>, interim: Option<InterimSender>) -> Self {
        Self { connection, interim: interim.map(Interim::Http1), version: http::Version::HTTP_11 }
    }

    /// A stream of an HTTP/2 connection.
    pub(crate) fn http2(
        connection: Rc<Connection>,
        respond: Rc<RefCell<h2::server::SendResponse<Bytes>>>,
    ) -> Self {
        let interim = Some(Interim::Http2(respond));
        Self { connection, interim, version: http::Version::HTTP_2 }
    }

    fn is_http2(&self) -> bool {
        self.version == http::Version::HTTP_2
    }
}

impl Interim {
    /// Tells the client to send the body.
    fn go_on(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.send(response);
    }

    fn send(&self, response: Response<()>) {
        match self {
            Self::Http1(sender) => sender.send(&response),
            // Fails only when the stream is closed.
            Self::Http2(respond) => drop(respond.borrow_mut().send_informational(response)),
        }
    }
}
