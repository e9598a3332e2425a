//! The way of one request through the activator. See the [module above](super) for the picture.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, USER_AGENT},
};
use http_body::Body;
use hyper::body::Incoming;
use reveille_core::{
    gate::{Kind as Counted, Word},
    policy::Policy,
    probes::Prober,
    quantity::HumanDuration,
};
use tokio::time::timeout;

use super::{
    attempt::{self, Engaged, Outcome},
    body::{RequestBody, ResponseBody},
    check, expect, headers,
    in_flight::InFlight,
};
use crate::{
    app::{Admission, App, Refused},
    drain::Stage,
    error::{Error, Kind},
    hold::Ticket,
    prober, respond,
    worker::{Connection, Serve, WorkerApp},
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What a held request is charged besides its head: its place in the queue and its connection's task.
const HELD_BASE: u64 = 1 << 10;
/// What hyper may have read of the body of a held request.
const HELD_BODY: u64 = 8 << 10;

/// How much of an unknown host is told to the client, in characters.
const SHOWN_HOST: usize = 100;

/// How often a request goes back to the hold because a ready endpoint could not be reached.
const MAX_RETURNS: u32 = 6;

/// The client left while its request was held: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the client left")]
pub(crate) struct ClientGone;

/// Why a request is not forwarded.
enum Stop {
    Error(Error),
    Gone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Serves one request.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ClientGone> {
    connection.state.on_request();
    let routed = check::check(&request).and_then(|()| route(&connection, &request));
    match routed {
        Ok((app, port)) => serve_app(connection, app, port, request).await,
        Err(error) => {
            tracing::debug!(%error, "refused");
            connection.state.on_response_end(connection.worker.tick.get());
            Ok(closing_if_draining(&connection, respond::problem(&error, None)))
        }
    }
}

/// Whom the request is for, and on which of its ports (`None`: the first).
fn route(
    connection: &Connection,
    request: &Request<Incoming>,
) -> Result<(Rc<WorkerApp>, Option<SocketAddr>), Error> {
    match &*connection.serve {
        Serve::App { app, port } => Ok((app.clone(), Some(*port))),
        Serve::Gateway => {
            let host = check::gateway_host(request).unwrap_or_default();
            let app = connection.worker.app_of_host(&host).ok_or_else(|| {
                // What is no valid host was refused before; a long one is not sent back whole.
                let shown: String = host.chars().take(SHOWN_HOST).flat_map(char::escape_default).collect();
                Error::new(
                    Kind::UnknownHost,
                    format!("no app has the host \"{shown}\"; add it to the app's `hosts`"),
                )
            })?;
            Ok((app, None))
        }
    }
}

async fn serve_app(
    connection: Rc<Connection>,
    app: Rc<WorkerApp>,
    port: Option<SocketAddr>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ClientGone> {
    let prober = {
        let view = app.view(app.app.gate.word());
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        view.entry.policy.probes.classify(request.uri().path(), agent)
    };
    let kind = if prober.is_some() { Counted::Probe } else { Counted::Work };
    let (mut guard, word) = InFlight::enter(&app, &connection, kind);
    let own_address = || {
        let address = port.map_or_else(|| "localhost".to_owned(), |port| port.to_string());
        HeaderValue::from_str(&address).expect("an address is a valid field value")
    };
    let id = headers::to_upstream(&mut request, &mut connection.forwarded.borrow_mut(), own_address);
    if app.app.shared.config.access_log {
        guard.log(&request, &id);
    }
    let mut passage = Passage { connection: &connection, app: &app, port, prober, id: &id };
    let response = match passage.pass(&mut guard, word, request).await {
        Ok(response) => response,
        Err(Stop::Gone) => return Err(ClientGone),
        Err(Stop::Error(error)) => {
            tracing::debug!(app = %app.app.id, %error, "not forwarded");
            app.app.shared.metrics.rejected(&app.app.id, error.kind());
            respond::problem(&error, Some(&id))
        }
    };
    guard.answered(response.status());
    let response = closing_if_draining(&connection, response);
    Ok(response.map(|body| body.counted(guard)))
}

/// Tells a client on a process that is on its way out to go elsewhere with its next request.
fn closing_if_draining(
    connection: &Connection,
    mut response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    if connection.worker.shared.stage() != Stage::Serving {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What stays the same on a request's way.
struct Passage<'a> {
    connection: &'a Rc<Connection>,
    app: &'a Rc<WorkerApp>,
    port: Option<SocketAddr>,
    prober: Option<Prober>,
    id: &'a HeaderValue,
}

impl Passage<'_> {
    /// From the gate to the head of a response.
    async fn pass(
        &mut self,
        guard: &mut InFlight,
        mut word: Word,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Stop> {
        // Before it waits: a port that is gone wakes nothing.
        self.port_index()?;
        let cost = held_cost(&request);
        let mut request = outgoing(request, self.connection);
        let mut held = Held::default();
        loop {
            // A probe takes no place and waits behind nobody: it asks how the app is, above all under load.
            let probes = self.prober.is_some();
            let first = held.back.is_none() && (probes || self.app.app.waiting() == 0);
            let free = word.is_open() && first;
            let chosen = match free.then(|| self.app.choose(word, !probes)).flatten() {
                Some(chosen) => chosen,
                None if probes => return self.answer_probe(),
                None => {
                    let admission = self.hold(guard, cost, &mut held).await?;
                    self.app.chosen(admission.slot)
                }
            };
            // Again: it may have waited through a reload.
            let index = self.port_index()?;
            let address = *chosen.endpoint.addresses.get(index).ok_or_else(|| self.removed())?;
            let policy = self.app.view(self.app.app.gate.word()).entry.policy.clone();
            match self.attempt(guard, &policy, chosen, address, request).await? {
                Outcome::Response(response, engaged) => {
                    return self.finish(guard, &policy, response, engaged, &held);
                }
                Outcome::Failed(error) => return Err(error.into()),
                Outcome::Unreachable(undelivered, chosen) => {
                    request = undelivered;
                    held.returned(self.app, &chosen);
                    drop(chosen);
                    self.breathe(guard, &policy, &held, address).await?;
                    word = self.app.app.gate.word();
                }
            }
        }
    }

    /// The place of the request's port among the app's ports.
    fn port_index(&self) -> Result<usize, Error> {
        match self.port {
            None => Ok(0),
            Some(port) => self.app.port_index(self.app.app.gate.word(), port).ok_or_else(|| self.removed()),
        }
    }

    /// Waits in the hold until the app can take the request.
    async fn hold(&self, guard: &mut InFlight, cost: u64, held: &mut Held) -> Result<Admission, Stop> {
        let app = &self.app.app;
        let since = Instant::now();
        let policy = self.app.view(app.gate.word()).entry.policy.clone();
        let mut place = app.hold(cost, held.back).map_err(|Refused(error)| error)?;
        let ticket = place.ticket();
        held.held = true;
        let mut timed = TimedHold { app, since, outcome: CLIENT_GONE };
        let watch = self.connection.watch();
        let gone = async {
            match watch {
                Ok(mut watch) => watch.gone().await,
                // Without a watch, hyper notices the end of the connection when it writes the response.
                Err(_) => std::future::pending().await,
            }
        };
        let answer_after = async {
            match policy.hold.answer_after {
                Some(limit) => tokio::time::sleep_until((guard.started() + limit).into()).await,
                None => std::future::pending().await,
            }
        };
        let deadline = tokio::time::sleep_until((guard.started() + policy.wake.deadline).into());
        let (outcome, verdict) = tokio::select! {
            biased;
            verdict = place.verdict() => match verdict {
                Ok(admission) => ("forwarded", Ok(admission)),
                Err(error) => (error.kind().slug(), Err(Stop::Error(error))),
            },
            () = gone => (CLIENT_GONE, Err(Stop::Gone)),
            () = deadline => (Kind::HoldDeadline.slug(), Err(self.too_late(&policy).into())),
            () = answer_after => (Kind::StillWaking.slug(), Err(self.still_waking().into())),
        };
        let admitted = verdict.as_ref().ok().map(|admission| admission.admitted);
        guard.held(since.elapsed(), ticket.number(), admitted);
        timed.outcome = outcome;
        if let Ok(admission) = &verdict {
            held.ticket = Some(admission.ticket);
            held.wake = admission.wake.or(held.wake);
        }
        verdict
    }

    /// Pauses before an undelivered request goes back, so that an endpoint that ends every connection at once
    /// does not keep a core busy; gives up on one that is ready and yet takes no connection on this port.
    async fn breathe(
        &self,
        guard: &InFlight,
        policy: &Policy,
        held: &Held,
        address: SocketAddr,
    ) -> Result<(), Stop> {
        if guard.started().elapsed() >= policy.wake.deadline {
            return Err(self.too_late(policy).into());
        }
        if held.returns > MAX_RETURNS {
            let id = &self.app.app.id;
            let detail = format!("{id} is ready but takes no connection on its port {}", address.port());
            return Err(Error::new(Kind::UpstreamUnreachable, detail).for_app(id).into());
        }
        if held.returns <= 2 {
            return Ok(());
        }
        let pause = tokio::time::sleep(Duration::from_millis(10 << held.returns));
        let Ok(mut watch) = self.connection.watch() else {
            pause.await;
            return Ok(());
        };
        tokio::select! {
            () = pause => Ok(()),
            () = watch.gone() => Err(Stop::Gone),
        }
    }

    /// Sends the request, within the time-outs for a response's head.
    async fn attempt(
        &self,
        guard: &InFlight,
        policy: &Policy,
        chosen: crate::worker::Chosen,
        address: SocketAddr,
        request: Request<RequestBody>,
    ) -> Result<Outcome, Stop> {
        let attempt = attempt::attempt(self.app, self.connection, chosen, address, request);
        let total = policy.timeouts.total;
        let total = total.map(|limit| (limit.saturating_sub(guard.spent()), Kind::TotalTimeout));
        let head = policy.timeouts.response_header.map(|limit| (limit, Kind::ResponseHeaderTimeout));
        let Some((limit, kind)) = [head, total].into_iter().flatten().min_by_key(|(limit, _)| *limit) else {
            return Ok(attempt.await);
        };
        timeout(limit, attempt).await.map_err(|_| {
            let field = if kind == Kind::TotalTimeout { "timeouts.total" } else { "timeouts.responseHeader" };
            let detail = format!("{} did not begin to answer within {field}", self.app.app.id);
            Stop::Error(Error::new(kind, detail).for_app(&self.app.app.id))
        })
    }

    /// Makes the app's response one for the client.
    fn finish(
        &self,
        guard: &InFlight,
        policy: &Policy,
        response: Response<Incoming>,
        engaged: Engaged,
        held: &Held,
    ) -> Result<Response<ResponseBody>, Stop> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let detail = format!("{} switched protocols although nobody asked it to", self.app.app.id);
            return Err(Error::new(Kind::UpstreamProtocol, detail).for_app(&self.app.app.id).into());
        }
        if !headers::has_known_coding(response.headers()) {
            let detail = format!("{} answered with a transfer coding other than chunked", self.app.app.id);
            return Err(Error::new(Kind::UpstreamProtocol, detail).for_app(&self.app.app.id).into());
        }
        if let Some(slot) = &engaged.chosen().slot {
            slot.response_head();
        }
        let (mut parts, incoming) = response.into_parts();
        headers::to_client(&mut parts.headers);
        if held.held {
            parts.headers.append(SERVER_TIMING, server_timing(guard.held_for(), held.wake));
        }
        let total = policy.timeouts.total.map(|limit| (guard.started() + guard.held_for() + limit).into());
        let idle = policy.timeouts.stream_idle;
        if idle.is_some() || policy.timeouts.total.is_some() {
            let left = policy.timeouts.total.map(|limit| limit.saturating_sub(guard.spent()));
            self.connection.state.limit_response(guard.tick(), idle, left);
        }
        let body = ResponseBody::upstream(incoming, engaged).with_deadlines(idle, total);
        Ok(Response::from_parts(parts, body))
    }

    /// Answers a probe from what is known.
    fn answer_probe(&self) -> Result<Response<ResponseBody>, Stop> {
        let app = &self.app.app;
        let phase = app.phase();
        let ok = self
            .prober
            .is_some_and(|prober| self.app.view(app.gate.word()).entry.policy.probes.answers_ok(prober));
        if !ok {
            let detail = format!("{} is {phase}; a probe does not wake it", app.id);
            return Err(Error::new(Kind::NotAwake, detail).for_app(&app.id).retry_after(app.eta()).into());
        }
        let body = serde_json::json!({ "app": app.id.to_string(), "phase": phase });
        let mut response = Response::new(ResponseBody::full(Bytes::from(body.to_string())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(headers::X_REQUEST_ID, self.id.clone());
        Ok(response)
    }

    fn too_late(&self, policy: &Policy) -> Error {
        let app = &self.app.app;
        let (limit, phase) = (HumanDuration(policy.wake.deadline), app.phase());
        let detail = format!(
            "the request waited for {limit} (wake.deadline) and {} is {phase}; see `reveille status {}`",
            app.id, app.id.name
        );
        Error::new(Kind::HoldDeadline, detail).for_app(&app.id).retry_after(app.eta())
    }

    fn still_waking(&self) -> Error {
        let app = &self.app.app;
        let detail = format!("{} is {}; it goes on waking, try again", app.id, app.phase());
        Error::new(Kind::StillWaking, detail).for_app(&app.id).retry_after(app.eta())
    }

    fn removed(&self) -> Error {
        let id = &self.app.app.id;
        Error::new(Kind::AppRemoved, format!("{id} no longer has this port")).for_app(id)
    }
}

/// How a hold ended that nobody waited for to its end: hyper itself may notice first that the client has left,
/// and drops the request.
const CLIENT_GONE: &str = "client-gone";

/// Measures a hold, however it ends.
struct TimedHold<'a> {
    app: &'a App,
    since: Instant,
    outcome: &'static str,
}

impl Drop for TimedHold<'_> {
    fn drop(&mut self) {
        self.app.shared.metrics.held(&self.app.id, self.outcome, self.since.elapsed());
    }
}

/// What is known of a request's time in the hold.
#[derive(Default)]
struct Held {
    /// It was held at least once.
    held: bool,
    /// Its place, if it had one.
    ticket: Option<Ticket>,
    /// It has to go back: with the place that it had.
    back: Option<Option<Ticket>>,
    /// How long the wake took that it waited for.
    wake: Option<Duration>,
    /// How often it came back.
    returns: u32,
}

impl Held {
    /// The endpoint could not be reached: it is probed from now on, and the request goes back.
    fn returned(&mut self, app: &WorkerApp, chosen: &crate::worker::Chosen) {
        if app.app.endpoint_suspected(&chosen.endpoint) {
            prober::start(app.app.clone(), chosen.endpoint.clone());
        }
        self.back = Some(self.ticket);
        self.returns += 1;
    }
}

/// Makes a client's request one for the app; its body is not asked for.
fn outgoing(request: Request<Incoming>, connection: &Connection) -> Request<RequestBody> {
    let expects = headers::expects_continue(request.headers());
    let (permission, grant) = expects.then(expect::permission).unzip();
    let mut request = request.map(|body| RequestBody::new(body, permission, connection.state.clone()));
    if let Some(grant) = grant {
        grant.on(&mut request);
    }
    request
}

/// What a held request is charged, in bytes.
fn held_cost(request: &Request<Incoming>) -> u64 {
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let body = if request.body().is_end_stream() { 0 } else { HELD_BODY };
    HELD_BASE
        + body
        + (fields + request.uri().path().len() + request.uri().query().map_or(0, str::len)) as u64
}

fn server_timing(hold: Duration, wake: Option<Duration>) -> HeaderValue {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let text = match wake {
        Some(wake) => format!("wake;dur={:.1}, hold;dur={:.1}", millis(wake), millis(hold)),
        None => format!("hold;dur={:.1}", millis(hold)),
    };
    HeaderValue::from_str(&text).expect("numbers are a valid field value")
}
