//! An attempt over HTTP/2: one stream of a shared connection.
//!
//! The app says itself what it has not processed: streams above the last of its GOAWAY, and those it refuses
//! (RFC 9113, 6.8 and 8.7). Such a request is sent again if its body is still whole: not asked for yet, or kept.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Reason, client::ResponseFuture};
use http::{Request, Response, StatusCode, Version};
use http_body::Body;

use super::{
    AnyLease, Engaged, Interims, MAX_REPEATS, Outcome, Target, body_broke_off, closed, connected, head_of,
    is_replayable, not_http, refused, suspect, unanswered,
};
use crate::{
    http2::{BodySender, Failed, RecvBody},
    request::{
        Caller, Stop,
        body::{Answer, ReceiveError, RequestBody},
        headers,
    },
    worker::{Background, Chosen, Http2Lease, WorkerApp},
};

/// How often one request is sent again that the app says it did not process: a crowd on connections that each
/// end after a few requests may need many; together with the pauses, it is given up after about a second.
const MAX_UNPROCESSED: u32 = 24;
/// As many go without a pause.
const UNPAUSED: u32 = 8;

/// An app that sends more is taken for one that never answers.
const ENDLESS_INTERIM: u32 = 1_000;

type Sender = BodySender<RequestBody>;

pub(super) async fn attempt(
    target: Target<'_>,
    chosen: Chosen,
    request: Box<Request<RequestBody>>,
) -> Outcome {
    let Target { app, caller, address } = target;
    let generation = chosen.endpoint.generation;
    let (head, mut body) = {
        let (parts, body) = request.into_parts();
        (Request::from_parts(parts, ()), body)
    };
    let (mut repeats, mut unprocessed) = (0, 0);
    loop {
        let lease = match app.http2.lease_now(generation, address) {
            Some(lease) => lease,
            // Boxed, as it is rare and large.
            None => match Box::pin(connected(app, &chosen, app.http2.lease(generation, address))).await {
                Some(Ok(lease)) => lease,
                Some(Err(error)) => {
                    return Outcome::Failed(gave_up(app, caller, &chosen, Failure::Protocol(error)));
                }
                None => return Outcome::Unreachable(Box::new(head.map(|()| body)), chosen),
            },
        };
        let end = body.is_end_stream();
        let replayable = lease.reused() && is_replayable(head.method(), &body);
        let outgoing = headers::to_http2(head_of(&head), address);
        body.keep();
        let (failure, returned) = match lease.send(outgoing, end).await {
            // Not sent: the connection has just ended.
            Err(_) => (Failure::NotProcessed, Some(body)),
            Ok((response, stream)) => {
                let sender = match end {
                    true => Err(body),
                    false => Ok(BodySender::new(body, stream)),
                };
                match exchange(caller, response, sender).await {
                    Ok((response, sender)) => return answered(response, chosen, lease, sender),
                    Err((failure, body)) => (failure, body),
                }
            }
        };
        if matches!(failure, Failure::NotProcessed | Failure::Broken) {
            // Its GOAWAY or its end holds for all streams to come, and those wait for this one's place.
            lease.retire();
        }
        if matches!(failure, Failure::NotProcessed | Failure::Refused) {
            unprocessed += 1;
            if unprocessed > UNPAUSED {
                let pause = Duration::from_millis(1 << (unprocessed - UNPAUSED).min(6));
                tokio::time::sleep(pause).await;
            }
        } else {
            repeats += 1;
        }
        let again = match (&failure, returned) {
            _ if repeats > MAX_REPEATS || unprocessed > MAX_UNPROCESSED => None,
            (Failure::NotProcessed | Failure::Refused, Some(mut body)) => body.rewind().then_some(body),
            (Failure::Broken, _) if replayable => Some(RequestBody::none(caller)),
            _ => None,
        };
        match again {
            Some(whole) => body = whole,
            None => return Outcome::Failed(gave_up(app, caller, &chosen, failure)),
        }
        app.app.shared.metrics.retried(&app.app.id);
    }
}

/// Why a stream ended without a response.
enum Failure {
    /// Its connection took or will take no more streams, and did not process this one.
    NotProcessed,
    /// The app refused it, unprocessed.
    Refused,
    /// The app reset it with this code.
    Reset(Reason),
    /// The client's body broke off.
    Body,
    /// The app does not keep to the protocol.
    Protocol(h2::Error),
    /// Interim responses without end.
    Endless,
    /// A change to another protocol, which HTTP/2 does not have.
    Switching,
    /// The connection broke.
    Broken,
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            // A remote GOAWAY ends only the streams that it says were not processed.
            Some(_) if error.is_go_away() && error.is_remote() => Self::NotProcessed,
            Some(Reason::REFUSED_STREAM) if error.is_remote() => Self::Refused,
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            Some(_) if error.is_library() => Self::Protocol(error),
            _ => Self::Broken,
        }
    }
}

/// Sends the body and waits for the response's head, whichever comes first.
async fn exchange(
    caller: &Caller,
    mut response: ResponseFuture,
    sender: Result<Sender, RequestBody>,
) -> Result<(Response<h2::RecvStream>, Option<Sender>), (Failure, Option<RequestBody>)> {
    let (mut sender, sent) = match sender {
        Ok(sender) => (Some(sender), None),
        Err(body) => (None, Some(body)),
    };
    let mut sending = true;
    let mut interims = Interims::new(caller);
    let answered = poll_fn(|cx| {
        if sending
            && let Some(sender) = &mut sender
            && let Poll::Ready(ended) = sender.poll(cx, |_, _| Poll::Pending)
        {
            sending = false;
            if let Err(Failed::Body(error)) = ended {
                return Poll::Ready(Err(Failure::of_body(sender, &error)));
            }
            // If the app has reset the stream, the response says how.
        }
        poll_interim(&mut interims, &mut response, sender.as_mut(), cx)?;
        Pin::new(&mut response).poll(cx).map_err(Failure::from)
    })
    .await;
    match answered {
        Ok(response) => Ok((response, sender.filter(|_| sending))),
        Err(failure) => Err((failure, sent.or_else(|| sender.map(Sender::into_body)))),
    }
}

impl Failure {
    /// The client's body broke off: the app's stream ends as the client's did.
    fn of_body(sender: &mut Sender, error: &ReceiveError) -> Self {
        let reason = match error {
            ReceiveError::Http2(error) => error.reason(),
            ReceiveError::Http1(_) => None,
        };
        sender.reset(reason.unwrap_or(Reason::CANCEL));
        Self::Body
    }
}

/// Passes interim responses on; the one that asks for the body has it sent.
fn poll_interim(
    interims: &mut Interims<'_>,
    response: &mut ResponseFuture,
    mut sender: Option<&mut Sender>,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    while let Poll::Ready(Some(Ok(informational))) = response.poll_informational(cx) {
        if let Some(sender) = &mut sender
            && informational.status() == StatusCode::CONTINUE
        {
            sender.body_mut().permit();
            cx.waker().wake_by_ref();
        }
        // To a client on HTTP/1.1 it would be the end of HTTP (RFC 9113, 8.6).
        if informational.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Switching);
        }
        interims.pass(informational);
        if interims.count > ENDLESS_INTERIM {
            return Err(Failure::Endless);
        }
    }
    Ok(())
}

fn answered(
    response: Response<h2::RecvStream>,
    chosen: Chosen,
    lease: Http2Lease,
    sender: Option<Sender>,
) -> Outcome {
    // A client that was not told to send its body is not told so behind an answer.
    let sender = sender.filter(|sender| sender.body().is_permitted());
    let upload = sender.map(|mut sender| {
        sender.body_mut().forget();
        // Of its own: a client that does not read the response must not stop what it sends.
        Background::start(async move {
            let sent = poll_fn(|cx| sender.poll(cx, |_, _| Poll::Pending)).await;
            if let Err(Failed::Body(error)) = sent {
                Failure::of_body(&mut sender, &error);
            }
        })
    });
    let mut response = response.map(|stream| {
        let body = RecvBody::new(stream);
        if body.is_end_stream() { Answer::Empty } else { Answer::Http2(body) }
    });
    *response.version_mut() = Version::HTTP_11;
    Outcome::Response(response, Engaged { chosen, lease: AnyLease::Http2(lease, upload) })
}

/// What the client is told.
fn gave_up(app: &WorkerApp, caller: &Caller, chosen: &Chosen, failure: Failure) -> Stop {
    match failure {
        // What the app says to one stream, the client hears on its own, and knows best what to do.
        Failure::Refused if caller.is_http2() => Stop::Reset(Reason::REFUSED_STREAM),
        Failure::Reset(reason) if caller.is_http2() => Stop::Reset(reason),
        Failure::NotProcessed if caller.is_http2() => Stop::Reset(Reason::REFUSED_STREAM),
        Failure::Body => body_broke_off(app).into(),
        Failure::Protocol(error) => not_http(app, "HTTP/2", &error).into(),
        Failure::Endless => {
            not_http(app, "HTTP/2", &"a thousand interim responses came and no final one").into()
        }
        Failure::Switching => {
            not_http(app, "HTTP/2", &"it answered 101, which HTTP/2 does not have (RFC 9113, 8.6)").into()
        }
        Failure::Refused | Failure::NotProcessed => refused(app).into(),
        Failure::Reset(reason) => unanswered(app, &format!("reset the request ({reason:?})")).into(),
        Failure::Broken => {
            suspect(app, chosen);
            closed(app).into()
        }
    }
}
