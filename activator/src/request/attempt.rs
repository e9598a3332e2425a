//! One attempt to have a request answered by one endpoint, and what may be repeated without asking the client.
//!
//! A request is sent again only if it was provably not delivered (the connection hands it back), or if it is
//! idempotent, has no body, and was sent on a *reused* connection that ended before the first byte of a
//! response: then the app was most likely closing it while it was idle (RFC 9110, 9.2.2). Everything else is
//! the client's decision.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::body::RequestBody;
use crate::{
    error::{Error, Kind},
    prober,
    worker::{Chosen, Connection, Lease, Pool, Pooled, WorkerApp},
};

/// How long a connection to an endpoint may take. A local or cluster network needs a few milliseconds; one
/// lost SYN costs a second.
const CONNECT_FOR: Duration = Duration::from_secs(3);
/// How often one request is sent again to the same endpoint.
const MAX_REPEATS: u32 = 3;

/// What a response engages until its body ends: a place at the endpoint and a connection to it.
pub(crate) struct Engaged {
    chosen: Chosen,
    lease: Lease,
}

impl Engaged {
    /// The app has sent its whole response: the place is free, and the connection idle as of `tick`.
    pub(super) fn release(self, tick: u32) {
        self.lease.give_back(tick);
        drop(self.chosen);
    }

    pub(super) fn chosen(&self) -> &Chosen {
        &self.chosen
    }
}

/// How an attempt ended.
pub(super) enum Outcome {
    /// With the head of a response.
    Response(Response<Incoming>, Engaged),
    /// The endpoint cannot be reached; the request was not delivered and is whole.
    Unreachable(Request<RequestBody>, Chosen),
    /// With an error for the client.
    Failed(Error),
}

/// Sends the request to the chosen endpoint.
pub(super) async fn attempt(
    app: &Rc<WorkerApp>,
    connection: &Rc<Connection>,
    chosen: Chosen,
    address: SocketAddr,
    mut request: Request<RequestBody>,
) -> Outcome {
    let generation = chosen.endpoint.generation;
    let metrics = &app.app.shared.metrics;
    let mut repeats = 0;
    loop {
        let replayable = is_replayable(&request);
        let mut pooled = match idle(app, generation, address, replayable) {
            Some(pooled) => pooled,
            None => match timeout(CONNECT_FOR, Pool::connect(generation, address)).await {
                Ok(Ok(pooled)) => pooled,
                Ok(Err(_)) | Err(_) => {
                    metrics.connect_failed(&app.app.id);
                    return Outcome::Unreachable(request, chosen);
                }
            },
        };
        let replay = (replayable && pooled.reused).then(|| head_of(&request));
        let mut failure = match pooled.sender.try_send_request(request).await {
            Ok(response) => {
                return Outcome::Response(response, Engaged { chosen, lease: pooled.lease(&app.pool) });
            }
            Err(failure) => failure,
        };
        repeats += 1;
        request = match (failure.take_message(), replay) {
            (Some(request), _) if repeats <= MAX_REPEATS => request,
            (Some(request), _) => return Outcome::Unreachable(request, chosen),
            (None, Some(head)) if repeats <= MAX_REPEATS => {
                head.map(|()| RequestBody::none(connection.state.clone()))
            }
            (None, _) if connection.state.body_failed() => {
                let detail = "the request's body broke off or is malformed (RFC 9112, 7.1)";
                return Outcome::Failed(Error::new(Kind::BadRequest, detail).for_app(&app.app.id));
            }
            (None, _) => {
                // Before the place is free: whoever gets it next would be lost as well.
                if app.app.endpoint_suspected(&chosen.endpoint) {
                    prober::start(app.app.clone(), chosen.endpoint.clone());
                }
                return Outcome::Failed(failed(app, failure.error()));
            }
        };
        metrics.retried(&app.app.id);
    }
}

/// An idle connection. For a request that must not be repeated, one whose end is not yet in sight.
fn idle(app: &WorkerApp, generation: u64, address: SocketAddr, replayable: bool) -> Option<Pooled> {
    std::iter::from_fn(|| app.pool.take(generation, address)).find(|pooled| replayable || !pooled.is_stale())
}

/// Whether the request may be sent again although it may have been delivered.
fn is_replayable(request: &Request<RequestBody>) -> bool {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && request.body().is_end_stream()
}

fn head_of(request: &Request<RequestBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}

fn failed(app: &WorkerApp, error: &hyper::Error) -> Error {
    let id = &app.app.id;
    let name = &id.name;
    let error = if error.is_parse() {
        let detail = format!("what {id} answered is not valid HTTP/1.1: {error}; is this its HTTP port?");
        Error::new(Kind::UpstreamProtocol, detail)
    } else {
        let detail = format!(
            "{id} closed the connection before it answered and may have acted on the request, so it is not repeated; see `reveille status {name}`"
        );
        Error::new(Kind::UpstreamClosed, detail)
    };
    error.for_app(id)
}
