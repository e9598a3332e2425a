//! An attempt over HTTP/1.1: one request a connection at a time, on a pooled one or a new one.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::{
    AnyLease, Engaged, MAX_REPEATS, Outcome, Target, body_broke_off, closed, endless_head, is_replayable,
    not_http, suspect, within_limit,
};
use crate::{
    error::Error,
    request::{Stop, body::RequestBody, headers},
    worker::{Chosen, Http1Connection, WorkerApp},
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
        let mut connection = match idle(app, generation, address, replayable) {
            Some(connection) => connection,
            // Boxed, as it is rare and large.
            None => match Box::pin(within_limit(app, Http1Connection::open(generation, address))).await {
                Some(connection) => connection,
                None => return Outcome::Unreachable(request, chosen),
            },
        };
        let replay = (replayable && connection.is_reused()).then(|| Head::of(&request));
        let mut failure = match connection.send(*request).await {
            Ok(response) => {
                let engaged = Engaged { chosen, lease: AnyLease::Http1(app.pool.lend(connection)) };
                return Outcome::Response(response.map(Into::into), engaged);
            }
            Err(failure) => failure,
        };
        repeats += 1;
        request = match (failure.take_message(), replay) {
            (Some(request), _) if repeats <= MAX_REPEATS => Box::new(request),
            (Some(request), _) => return Outcome::Unreachable(Box::new(request), chosen),
            (None, Some(head)) if repeats <= MAX_REPEATS => {
                Box::new(head.into_request(RequestBody::none(caller)))
            }
            (None, _) if caller.fate.failed() => return Outcome::Failed(body_broke_off(app).into()),
            (None, _) => {
                suspect(app, &chosen);
                return Outcome::Failed(Stop::Error(failed(app, failure.error(), &connection)));
            }
        };
        app.app.shared.metrics.retried(&app.app.id);
    }
}

/// What is needed to send a request again that has no body. A list takes less to copy than a map, and is made of
/// every request that may be repeated, to be used by hardly any.
struct Head {
    method: Method,
    uri: Uri,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let mut fields = Vec::with_capacity(headers.len());
        fields.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self { method: request.method().clone(), uri: request.uri().clone(), fields }
    }

    fn into_request<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        for (name, value) in self.fields {
            request.headers_mut().append(name, value);
        }
        request
    }
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

fn failed(app: &WorkerApp, error: &hyper::Error, connection: &Http1Connection) -> Error {
    if connection.head_is_endless() {
        endless_head(app)
    } else if error.is_parse() {
        not_http(app, "HTTP/1.1", error)
    } else {
        closed(app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_is_sent_again_is_the_same() {
        let request = Request::put("/a?b")
            .header("accept", "text/html")
            .header("x-many", "1")
            .header("accept", "*/*")
            .header("x-many", "2")
            .body(())
            .unwrap();
        let again = Head::of(&request).into_request(());
        assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
        assert_eq!(again.headers(), request.headers());
        let values: Vec<_> = again.headers().get_all("x-many").iter().collect();
        assert_eq!(values, ["1", "2"], "in their order");
    }
}
