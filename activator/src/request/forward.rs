//! From an endpoint that was chosen to the head of a response: an attempt within its time-outs, and what it leads to.

use std::{pin::pin, time::Duration};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_LENGTH};
use reveille_core::{directory::UpstreamProtocol, policy::Policy};
use tokio::time::timeout;

use super::{
    Caller, Stop,
    attempt::{self, Engaged, Outcome, Switched, Target},
    body::{Answer, RequestBody, ResponseBody},
    headers,
    hold::{Admitted, Held, Passage},
    in_flight::InFlight,
    serve::Wish,
    upgrade,
};
use crate::{
    error::{Error, Kind},
    worker::{Chosen, UpstreamStream, WorkerApp},
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What came of it.
pub(super) enum Sent {
    Response(Response<ResponseBody>),
    /// The app has changed the protocol.
    Switched(Response<()>, UpstreamStream, Chosen),
    /// The endpoint cannot be reached.
    Not(Box<Request<RequestBody>>, Chosen),
}

/// Sends a request to an endpoint and makes what comes one for the client.
pub(super) async fn forward(
    passage: &Passage<'_>,
    caller: &Caller,
    wish: &Wish,
    guard: &InFlight,
    admitted: Admitted,
    request: Box<Request<RequestBody>>,
) -> Result<Sent, Stop> {
    let Admitted { chosen, address, upstream } = admitted;
    let target = Target { app: passage.app, caller, address };
    let policy = passage.app.policy();
    let outcome = if let Some(protocol) = &wish.upgrade
        && upstream != UpstreamProtocol::H2c
    {
        let switching = Box::pin(attempt::upgrade(target, chosen, request));
        match within_limits(passage.app, guard, &policy, switching).await? {
            Switched::Yes(mut response, stream, chosen) => {
                if !upgrade::is_agreed(response.headers(), protocol) {
                    return Err(switched_unasked(passage.app).into());
                }
                upgrade::to_client(&mut response, protocol, wish.http2);
                timed(&mut response, guard, &passage.held);
                return Ok(Sent::Switched(response, stream, chosen));
            }
            Switched::No(outcome) => outcome,
        }
    } else {
        let over_http2 = wish.upstream_http2(upstream);
        let attempt = pin!(attempt::attempt(target, chosen, over_http2, request));
        within_limits(passage.app, guard, &policy, attempt).await?
    };
    match outcome {
        Outcome::Response(response, _) if wish.is_connect && response.status().is_success() => {
            Err(upgrade::not_agreed(&passage.app.app.id, response.status()).into())
        }
        Outcome::Response(response, engaged) => {
            finish(passage, guard, &policy, response, engaged).map(Sent::Response)
        }
        Outcome::Failed(stop) => Err(stop),
        Outcome::Unreachable(undelivered, chosen) => Ok(Sent::Not(undelivered, chosen)),
    }
}

/// Runs an attempt within the time-outs for a response's head.
async fn within_limits<T>(
    app: &WorkerApp,
    guard: &InFlight,
    policy: &Policy,
    attempt: impl Future<Output = T> + Unpin,
) -> Result<T, Stop> {
    let total = policy.timeouts.total;
    let total = total.map(|limit| (limit.saturating_sub(guard.spent()), Kind::TotalTimeout));
    let head = policy.timeouts.response_header.map(|limit| (limit, Kind::ResponseHeaderTimeout));
    let Some((limit, kind)) = [head, total].into_iter().flatten().min_by_key(|(limit, _)| *limit) else {
        return Ok(attempt.await);
    };
    timeout(limit, attempt).await.map_err(|_| {
        let field = if kind == Kind::TotalTimeout { "timeouts.total" } else { "timeouts.responseHeader" };
        let detail = format!("{} did not begin to answer within {field}", app.app.id);
        Stop::Error(Error::new(kind, detail).for_app(&app.app.id))
    })
}

fn switched_unasked(app: &WorkerApp) -> Error {
    let detail = format!("{} switched to a protocol that nobody asked it for", app.app.id);
    Error::new(Kind::UpstreamProtocol, detail).for_app(&app.app.id)
}

/// Makes the app's response one for the client.
fn finish(
    passage: &Passage<'_>,
    guard: &InFlight,
    policy: &Policy,
    response: Response<Answer>,
    engaged: Engaged,
) -> Result<Response<ResponseBody>, Stop> {
    let app = passage.app;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(switched_unasked(app).into());
    }
    if !headers::has_known_coding(response.headers()) {
        let detail = format!("{} answered with a transfer coding other than chunked", app.app.id);
        return Err(Error::new(Kind::UpstreamProtocol, detail).for_app(&app.app.id).into());
    }
    if let Some(slot) = &engaged.chosen().slot {
        slot.response_head();
    }
    let (mut response, answer) = {
        let (parts, answer) = response.into_parts();
        (Response::from_parts(parts, ()), answer)
    };
    // An app that speaks HTTP/1.0 does not make the client's connection one of HTTP/1.0.
    *response.version_mut() = Version::HTTP_11;
    headers::to_client(response.headers_mut());
    // An app on HTTP/2 may send both; a client on HTTP/1.1 would take them for the next response (RFC 9110, 15.3.5).
    let answer = if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
        Answer::Empty
    } else {
        answer
    };
    timed(&mut response, guard, &passage.held);
    let total = policy.timeouts.total.map(|limit| (guard.started() + guard.held_for() + limit).into());
    let idle = policy.timeouts.stream_idle;
    if idle.is_some() || policy.timeouts.total.is_some() {
        let left = policy.timeouts.total.map(|limit| limit.saturating_sub(guard.spent()));
        passage.connection.state.limit_response(guard.tick(), idle, left);
    }
    Ok(response.map(|()| ResponseBody::upstream(answer, engaged).with_deadlines(idle, total)))
}

/// Tells how long the request was held, if it was.
fn timed<B>(response: &mut Response<B>, guard: &InFlight, held: &Held) {
    if held.held {
        response.headers_mut().append(SERVER_TIMING, server_timing(guard.held_for(), held.wake));
    }
}

fn server_timing(hold: Duration, wake: Option<Duration>) -> HeaderValue {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let text = match wake {
        Some(wake) => format!("wake;dur={:.1}, hold;dur={:.1}", millis(wake), millis(hold)),
        None => format!("hold;dur={:.1}", millis(hold)),
    };
    HeaderValue::from_str(&text).expect("numbers are a valid field value")
}
