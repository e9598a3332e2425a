//! An attempt over HTTP/1.1: one request a connection at a time, on a pooled one or a new one.

use std::net::SocketAddr;

use http::Request;

use super::{
    AnyLease, Engaged, MAX_REPEATS, Outcome, Target, body_broke_off, closed, endless_head, head_of,
    is_replayable, not_http, suspect, within_limit,
};
use crate::{
    error::Error,
    request::{Stop, body::RequestBody, headers},
    worker::{Chosen, Pool, Pooled, WorkerApp},
};

pub(super) async fn attempt(
    target: Target<'_>,
    chosen: Chosen,
    mut request: Box<Request<RequestBody>>,
) -> Outcome {
    let Target { app, caller, address } = target;
    let generation = chosen.endpoint.generation;
    headers::to_http1(&mut request);
    let mut repeats = 0;
    loop {
        let replayable = is_replayable(request.method(), request.body());
        let mut pooled = match idle(app, generation, address, replayable) {
            Some(pooled) => pooled,
            // Boxed, as it is rare and large.
            None => match Box::pin(within_limit(app, Pool::connect(generation, address))).await {
                Some(pooled) => pooled,
                None => return Outcome::Unreachable(request, chosen),
            },
        };
        let replay = (replayable && pooled.reused).then(|| head_of(&request));
        pooled.await_head();
        let mut failure = match pooled.sender.try_send_request(*request).await {
            Ok(response) => {
                pooled.head_came();
                let engaged = Engaged { chosen, lease: AnyLease::Http1(pooled.lease(&app.pool)) };
                return Outcome::Response(response.map(Into::into), engaged);
            }
            Err(failure) => failure,
        };
        repeats += 1;
        request = match (failure.take_message(), replay) {
            (Some(request), _) if repeats <= MAX_REPEATS => Box::new(request),
            (Some(request), _) => return Outcome::Unreachable(Box::new(request), chosen),
            (None, Some(head)) if repeats <= MAX_REPEATS => {
                Box::new(head.map(|()| RequestBody::none(caller)))
            }
            (None, _) if caller.fate.failed() => return Outcome::Failed(body_broke_off(app).into()),
            (None, _) => {
                suspect(app, &chosen);
                return Outcome::Failed(Stop::Error(failed(app, failure.error(), &pooled)));
            }
        };
        app.app.shared.metrics.retried(&app.app.id);
    }
}

/// An idle connection. For a request that must not be repeated, one whose end is not yet in sight.
fn idle(app: &WorkerApp, generation: u64, address: SocketAddr, replayable: bool) -> Option<Pooled> {
    std::iter::from_fn(|| app.pool.take(generation, address)).find(|pooled| replayable || !pooled.is_stale())
}

fn failed(app: &WorkerApp, error: &hyper::Error, pooled: &Pooled) -> Error {
    if pooled.head_is_endless() {
        endless_head(app)
    } else if error.is_parse() {
        not_http(app, "HTTP/1.1", error)
    } else {
        closed(app)
    }
}
