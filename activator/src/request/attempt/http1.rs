//! An attempt over HTTP/1.1: one request a connection at a time, on a pooled one or a new one.

use std::net::SocketAddr;

use http::{Request, Response};

use super::{
    AnyLease, Engaged, Interims, MAX_REPEATS, Outcome, Target, body_broke_off, closed, connected,
    endless_head, is_replayable, not_http, suspect,
};
use crate::{
    error::Error,
    request::{
        body::{Answer, RequestBody},
        headers,
    },
    worker::{Chosen, Failure, Http1Connection, WorkerApp},
};

pub(super) async fn attempt(
    target: Target<'_>,
    chosen: Chosen,
    mut request: Box<Request<RequestBody>>,
) -> Outcome {
    let Target { app, caller, address } = target;
    let generation = chosen.endpoint.generation;
    headers::to_http1(&mut request);
    let mut interims = Interims::new(caller);
    let mut repeats = 0;
    loop {
        let replayable = is_replayable(request.method(), request.body());
        let mut connection = match idle(app, generation, address, replayable) {
            Some(connection) => connection,
            // Boxed, as it is rare and large.
            None => match Box::pin(open(app, &chosen, address)).await {
                Some(connection) => connection,
                None => return Outcome::Unreachable(request, chosen),
            },
        };
        let failure = match connection.exchange(&mut request, |interim| interims.pass(interim)).await {
            Ok(response) => return answered(app, chosen, connection, response, request),
            Err(failure) => failure,
        };
        repeats += 1;
        match failure {
            Failure::Unsent if repeats > MAX_REPEATS => return Outcome::Unreachable(request, chosen),
            Failure::Unsent => {}
            Failure::Closed { answered: false }
                if replayable && connection.is_reused() && repeats <= MAX_REPEATS => {}
            Failure::Body => return Outcome::Failed(body_broke_off(app).into()),
            failure => {
                suspect(app, &chosen);
                return Outcome::Failed(failed(app, &failure).into());
            }
        }
        app.app.shared.metrics.retried(&app.app.id);
    }
}

/// A new connection to the endpoint; `None` if it takes none.
pub(super) async fn open(
    app: &WorkerApp,
    chosen: &Chosen,
    address: SocketAddr,
) -> Option<Box<Http1Connection>> {
    connected(app, chosen, Http1Connection::open(chosen.endpoint.generation, address)).await
}

/// The head of a response has come; what is left of the request's body goes on to the app.
pub(super) fn answered(
    app: &WorkerApp,
    chosen: Chosen,
    mut connection: Box<Http1Connection>,
    response: Response<()>,
    request: Box<Request<RequestBody>>,
) -> Outcome {
    if !connection.is_sent() {
        if request.body().is_permitted() {
            connection.go_on_sending(request.into_body());
        } else {
            // The client was not told to send it, and is not told so behind an answer; the app may yet wait for it.
            connection.use_once();
        }
    }
    let answer = if connection.is_body_ended() { Answer::Empty } else { Answer::Http1 };
    let engaged = Engaged { chosen, lease: AnyLease::Http1(app.pool.lend(connection)) };
    Outcome::Response(response.map(|()| answer), engaged)
}

/// An idle connection. For a request that must not be repeated, one whose end is not yet in sight.
fn idle(
    app: &WorkerApp,
    generation: u64,
    address: SocketAddr,
    replayable: bool,
) -> Option<Box<Http1Connection>> {
    std::iter::from_fn(|| app.pool.take(generation, address))
        .find(|connection| replayable || !connection.is_stale())
}

/// What the client is told.
pub(super) fn failed(app: &WorkerApp, failure: &Failure) -> Error {
    match failure {
        Failure::Malformed(what) => not_http(app, "HTTP/1.1", what),
        Failure::Endless => endless_head(app),
        Failure::Unsent | Failure::Closed { .. } | Failure::Body => closed(app),
    }
}
