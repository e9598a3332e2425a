//! One attempt to have a request answered by one endpoint, and what may be repeated without asking the client.
//!
//! A request is sent again only if it was provably not processed, or if it is idempotent, has no body, and was
//! sent on a *reused* connection that ended before the first byte of a response: then the app was most likely
//! closing it while it was idle (RFC 9110, 9.2.2). Everything else is the client's decision.

mod http1;
mod http2;
mod upgrade;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, SizeHint};
use tokio::time::timeout;
pub(super) use upgrade::{Switched, upgrade};

use super::{
    Caller, Stop,
    body::{Answer, ReceiveError, RequestBody},
    headers,
};
use crate::{
    error::{Error, Kind},
    prober,
    worker::{Background, Chosen, Http1Connection, Http2Lease, Lease, UpstreamStream, WorkerApp},
};

/// How long a connection to an endpoint may take. A local or cluster network needs a few milliseconds; one
/// lost SYN costs a second.
const CONNECT_FOR: Duration = Duration::from_secs(3);
/// How often one request is sent again to the same endpoint.
const MAX_REPEATS: u32 = 3;

/// What a response engages until its body ends: a place at the endpoint and a connection to it.
pub(crate) struct Engaged {
    chosen: Chosen,
    lease: AnyLease,
}

enum AnyLease {
    Http1(Lease),
    /// With what still sends the request's body, if that is not done: it ends with the response, however that ends.
    Http2(Http2Lease, Option<Background>),
}

impl Engaged {
    /// The app has sent its whole response: the place is free, and the connection idle as of `tick`.
    pub(super) fn release(self, tick: u32) {
        match self.lease {
            AnyLease::Http1(lease) => lease.give_back(tick),
            AnyLease::Http2(lease, upload) => {
                drop(upload);
                lease.give_back(tick);
            }
        }
        drop(self.chosen);
    }

    /// The response broke off: if that is because its connection did, that takes no more requests.
    pub(super) fn broke_off(&self, error: &ReceiveError) {
        if let (AnyLease::Http2(lease, _), ReceiveError::Http2(error)) = (&self.lease, error)
            && !error.is_reset()
        {
            lease.retire();
        }
    }

    /// The connection, if the response comes over HTTP/1.1.
    pub(super) fn http1(&mut self) -> Option<&mut Http1Connection> {
        match &mut self.lease {
            AnyLease::Http1(lease) => Some(&mut lease.connection),
            AnyLease::Http2(..) => None,
        }
    }

    /// Whether all of a response over HTTP/1.1 was taken.
    pub(super) fn is_body_ended(&self) -> bool {
        matches!(&self.lease, AnyLease::Http1(lease) if lease.connection.is_body_ended())
    }

    /// How long what is left of a response over HTTP/1.1 is.
    pub(super) fn body_size(&self) -> SizeHint {
        match &self.lease {
            AnyLease::Http1(lease) => lease.connection.body_size(),
            AnyLease::Http2(..) => SizeHint::default(),
        }
    }

    pub(super) fn chosen(&self) -> &Chosen {
        &self.chosen
    }
}

/// Where and how a request is sent.
pub(super) struct Target<'a> {
    pub(super) app: &'a Rc<WorkerApp>,
    pub(super) caller: &'a Caller,
    pub(super) address: SocketAddr,
}

/// How an attempt ended.
pub(super) enum Outcome {
    /// With the head of a response.
    Response(Response<Answer>, Engaged),
    /// The endpoint cannot be reached; the request was not delivered and is whole.
    Unreachable(Box<Request<RequestBody>>, Chosen),
    /// With an end for the client.
    Failed(Stop),
}

/// Sends the request to the chosen endpoint.
pub(super) async fn attempt(
    target: Target<'_>,
    chosen: Chosen,
    over_http2: bool,
    request: Box<Request<RequestBody>>,
) -> Outcome {
    if over_http2 {
        // Boxed: its state is large, and would be part of that of every request, held ones above all.
        Box::pin(http2::attempt(target, chosen, request)).await
    } else {
        http1::attempt(target, chosen, request).await
    }
}

/// A connection to the chosen endpoint, for a tunnel; `None` if it takes none.
pub(super) async fn connect(app: &WorkerApp, chosen: &Chosen, address: SocketAddr) -> Option<UpstreamStream> {
    let opened = connected(app, chosen, prober::connect(address)).await?;
    Some(UpstreamStream::new(opened, Bytes::new()))
}

/// So many interim responses of one request are passed on. More are dropped: h2 keeps each until the client takes it.
const MAX_INTERIM: u32 = 16;

/// Passes interim responses on, as a proxy must (RFC 9110, 15.2), where the client's version can carry them.
struct Interims<'a> {
    caller: &'a Caller,
    count: u32,
}

impl<'a> Interims<'a> {
    fn new(caller: &'a Caller) -> Self {
        Self { caller, count: 0 }
    }

    /// Takes one that has come. The one that asks for the body is not passed on: the client gets it when its body is
    /// asked for.
    fn pass(&mut self, mut response: Response<()>) {
        self.count += 1;
        if let Some(interim) = &self.caller.interim
            && response.status() != StatusCode::CONTINUE
            && self.count <= MAX_INTERIM
        {
            // It has no body, and speaks for no connection.
            headers::to_client(response.headers_mut());
            response.headers_mut().remove(CONTENT_LENGTH);
            interim.send(response);
        }
    }
}

/// What opening a connection leads to, if it does so in time.
async fn connected<T>(
    app: &WorkerApp,
    chosen: &Chosen,
    connecting: impl Future<Output = std::io::Result<T>>,
) -> Option<T> {
    let _noted = chosen.endpoint.connecting();
    let connected = timeout(CONNECT_FOR, connecting).await.ok().and_then(Result::ok);
    if connected.is_none() {
        app.app.shared.metrics.connect_failed(&app.app.id);
    }
    connected
}

/// Whether the request may be sent again although it may have been processed.
fn is_replayable(method: &Method, body: &RequestBody) -> bool {
    let idempotent = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && body.is_end_stream()
}

fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}

/// The request's body broke off before the app had all of it.
fn body_broke_off(app: &WorkerApp) -> Error {
    let detail = "the request's body broke off or is malformed (RFC 9112, 7.1)";
    Error::new(Kind::BadRequest, detail).for_app(&app.app.id)
}

/// The connection ended without an answer: the endpoint may be dying. Before its place is free, as whoever
/// gets it next would be lost as well.
fn suspect(app: &WorkerApp, chosen: &Chosen) {
    if app.app.endpoint_suspected(&chosen.endpoint) {
        prober::start(app.app.clone(), chosen.endpoint.clone());
    }
}

/// The app closed the connection before it answered.
fn closed(app: &WorkerApp) -> Error {
    unanswered(app, "closed the connection")
}

/// What the app did before it answered.
fn unanswered(app: &WorkerApp, did: &str) -> Error {
    let id = &app.app.id;
    let detail = format!(
        "{id} {did} before it answered and may have acted on the request, so it is not repeated; see `{}`",
        id.shown_by()
    );
    Error::new(Kind::UpstreamClosed, detail).for_app(id)
}

/// The app says that it did not act on the request, again and again.
fn refused(app: &WorkerApp) -> Error {
    let id = &app.app.id;
    let detail = format!(
        "{id} did not take the request, each time that it was sent, and has not acted on it; see `{}`",
        id.shown_by()
    );
    Error::new(Kind::UpstreamRefused, detail).for_app(id)
}

/// Interim responses without end.
fn endless_head(app: &WorkerApp) -> Error {
    not_http(app, "HTTP/1.1", &"a megabyte came and no final response's head was in it")
}

/// What the app sent cannot be understood.
fn not_http(app: &WorkerApp, version: &str, why: &dyn std::fmt::Display) -> Error {
    let id = &app.app.id;
    let other = if version == "HTTP/2" {
        "HTTP/1.1 alone, write upstreamProtocol: h1"
    } else {
        "HTTP/2 alone, write upstreamProtocol: h2c"
    };
    let detail = format!(
        "what {id} answered is not valid {version}: {why}; is this its HTTP port? If it speaks {other}"
    );
    Error::new(Kind::UpstreamProtocol, detail).for_app(id)
}
