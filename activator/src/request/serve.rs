//! The way of one request through the activator. See the [module above](super) for the picture.

use std::{net::SocketAddr, pin::pin, rc::Rc, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, USER_AGENT},
};
use http_body::Body as _;
use reveille_core::{
    directory::UpstreamProtocol,
    gate::{Kind as Counted, Word},
    policy::{Policy, Preset},
    probes::{self, Shape},
};
use tokio::time::timeout;

use super::{
    Caller, Stop, Unanswered,
    attempt::{self, Engaged, Outcome, Switched, Target},
    body::{Answer, Received, RequestBody, ResponseBody},
    check,
    expect::Permission,
    grpc, headers,
    hold::{Admitted, HELD_BASE, Held, Passage, Waiting},
    in_flight::InFlight,
    probe,
    tunnel::{HalfClosed, Tunnel},
    upgrade,
};
use crate::{
    drain::Stage,
    error::{Error, Kind},
    http2::{RecvBody, STREAM_WINDOW},
    metrics::Protocol,
    respond::{self, Form},
    worker::{Chosen, Connection, Serve, UpstreamStream, WorkerApp},
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How much of an unknown host is told to the client, in characters.
const SHOWN_HOST: usize = 100;

/// A request that is ready to be served. Boxed: it is handed on from future to future, each of which would have room
/// for it twice.
pub(crate) struct Prepared {
    caller: Caller,
    request: Box<Request<RequestBody>>,
}

impl Prepared {
    pub(crate) fn new(caller: Caller, request: Request<Received>) -> Self {
        let request = Box::new(outgoing(request, &caller));
        Self { caller, request }
    }
}

/// Serves one request.
pub(crate) async fn serve(prepared: Prepared) -> Result<Response<ResponseBody>, Unanswered> {
    let Prepared { caller, request } = prepared;
    let connection = caller.connection.clone();
    connection.state.on_request();
    let form = if grpc::is_call(request.headers()) { Form::Grpc } else { Form::Http };
    let routed = check::check(&request).and_then(|()| route(&connection, &request));
    match routed {
        Ok((app, port)) => serve_app(caller, app, port, form, request).await,
        Err(error) => {
            tracing::debug!(%error, "refused");
            connection.state.on_response_end(connection.worker.tick.get());
            let response = respond::error(&error, None, form);
            Ok(closing(&caller, Some(error.kind()), response))
        }
    }
}

/// Whom the request is for, and on which of its ports (`None`: the gateway's).
fn route(
    connection: &Connection,
    request: &Request<RequestBody>,
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

/// What is known of a request besides its head.
struct Wish {
    /// How errors are told.
    form: Form,
    /// The protocol to change to.
    upgrade: Option<String>,
    /// It asks for a tunnel, which any good answer would open.
    is_connect: bool,
    /// It came over HTTP/2.
    http2: bool,
    id: HeaderValue,
}

async fn serve_app(
    caller: Caller,
    app: Rc<WorkerApp>,
    port: Option<SocketAddr>,
    mut form: Form,
    mut request: Box<Request<RequestBody>>,
) -> Result<Response<ResponseBody>, Unanswered> {
    let connection = &caller.connection;
    let mut passage = Passage::new(connection, &app, port);
    let upgrade = {
        let view = app.view(app.app.gate.word());
        let policy = &view.entry.policy;
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        if form == Form::Http && policy.preset == Preset::Triton {
            form = Form::Triton;
        }
        passage.prober = policy.probes.classify(request.uri().path(), agent);
        upgrade::wanted(&request, policy)
    };
    let is_connect = request.method() == Method::CONNECT;
    let kind = if passage.prober.is_some() { Counted::Probe } else { Counted::Work };
    let http2 = caller.is_http2();
    let protocol = protocol(form, upgrade.is_some(), http2);
    let (mut guard, word) = InFlight::enter(&app, connection, kind, protocol);
    if is_connect && upgrade.is_some() {
        upgrade::from_connect(&mut request);
    }
    let own_address = || {
        let address = port.map_or_else(|| "localhost".to_owned(), |port| port.to_string());
        HeaderValue::from_str(&address).expect("an address is a valid field value")
    };
    let id = {
        let forwarded = &mut connection.forwarded.borrow_mut();
        headers::to_upstream(&mut request, forwarded, upgrade.as_deref(), own_address)
    };
    let watch = form == Form::Grpc && probes::shape(request.uri().path()) == Shape::GrpcHealthWatch;
    let wish = Wish { form, upgrade, is_connect, http2, id };
    let id = &wish.id;
    if app.app.shared.config.access_log {
        guard.log(&request, id);
    }
    let (passed, kind) = match pass(&mut passage, &caller, &wish, &mut guard, word, request).await {
        Ok(Passed::Response(response)) => (response, None),
        Ok(Passed::Tunnel(response, stream, chosen, received)) => {
            guard.opened();
            let tunnel = Tunnel::new(
                stream,
                HalfClosed::UPGRADE,
                received.map(|body| *body),
                guard,
                chosen,
                app.policy().timeouts,
            );
            return Ok(response.map(|()| ResponseBody::tunnel(tunnel)));
        }
        Err(Stop::Gone) => return Err(Unanswered::ClientGone),
        Err(Stop::Reset(reason)) => return Err(Unanswered::Reset(reason)),
        Err(Stop::Error(error)) => {
            tracing::debug!(app = %app.app.id, %error, "not forwarded");
            app.app.shared.metrics.rejected(&app.app.id, error.kind());
            (respond::error(&error, Some(id), form), Some(error.kind()))
        }
    };
    guard.answered(&passed);
    let passed = if watch && guard.is_probe() && !passed.body().is_end_stream() {
        guard.leave_gate();
        passed.map(|body| body.until_shut(app))
    } else {
        passed
    };
    Ok(closing(&caller, kind, passed).map(|body| body.counted(guard)))
}

/// What a request is counted as.
fn protocol(form: Form, upgrade: bool, http2: bool) -> Protocol {
    match form {
        _ if upgrade => Protocol::Upgrade,
        Form::Grpc => Protocol::Grpc,
        Form::Http | Form::Triton if http2 => Protocol::Http2,
        Form::Http | Form::Triton => Protocol::Http1,
    }
}

impl Wish {
    /// Whether the app is spoken to over HTTP/2.
    fn upstream_http2(&self, upstream: UpstreamProtocol) -> bool {
        match upstream {
            UpstreamProtocol::Auto => self.form == Form::Grpc,
            UpstreamProtocol::H1 => false,
            UpstreamProtocol::H2c => true,
        }
    }
}

/// Tells a client to go elsewhere with its next request: after an error that says so, and on a process that
/// is on its way out.
fn closing(
    caller: &Caller,
    error: Option<Kind>,
    mut response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    let draining = caller.connection.worker.shared.stage() != Stage::Serving;
    if draining || error.is_some_and(respond::closes) {
        if caller.is_http2() {
            // A malformed stream says nothing about the others; an app that is gone does.
            if draining || error == Some(Kind::AppRemoved) {
                caller.connection.state.close_when_idle();
            }
        } else {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

/// How a request passed.
enum Passed {
    Response(Response<ResponseBody>),
    /// The client and the app have changed the protocol.
    Tunnel(Response<()>, UpstreamStream, Chosen, Option<Box<RecvBody>>),
}

/// From the gate to the head of a response.
async fn pass(
    passage: &mut Passage<'_>,
    caller: &Caller,
    wish: &Wish,
    guard: &mut InFlight,
    mut word: Word,
    mut request: Box<Request<RequestBody>>,
) -> Result<Passed, Stop> {
    if wish.is_connect && wish.upgrade.is_none() {
        return Err(upgrade::not_allowed(&passage.app.app.id).into());
    }
    // Before it waits: what cannot be served wakes nothing.
    if wish.is_connect && passage.upstream()? == UpstreamProtocol::H2c {
        return Err(upgrade::not_over_http2(&passage.app.app.id).into());
    }
    let deadline = (wish.form == Form::Grpc).then(|| grpc::timeout(request.headers())).flatten();
    passage.client_limit = deadline;
    let mut head = head_cost(&request);
    // What the client sends on a tunnel is for the app, not part of the request.
    let mut tunnelled = None;
    if wish.upgrade.is_some() {
        let body = std::mem::replace(request.body_mut(), RequestBody::none(caller));
        tunnelled = body.into_tunnel().map(Box::new);
        if tunnelled.is_some() {
            head += u64::from(STREAM_WINDOW); // the client may fill it while it waits
        }
    }
    loop {
        let waiting = Waiting { head, body: Some(request.body_mut()) };
        let Some(admitted) = passage.admit(guard, word, waiting).await? else {
            return Ok(Passed::Response(answer_probe(passage, wish, request.uri().path())));
        };
        if let Some(deadline) = deadline
            && passage.held.held
        {
            let left = deadline.saturating_sub(guard.started().elapsed());
            request.headers_mut().insert(grpc::GRPC_TIMEOUT, grpc::timeout_value(left));
        }
        if wish.is_connect && admitted.upstream == UpstreamProtocol::H2c {
            return Err(upgrade::not_over_http2(&passage.app.app.id).into());
        }
        let address = admitted.address;
        let (undelivered, chosen) = match forward(passage, caller, wish, guard, admitted, request).await? {
            Forwarded::Response(response) => return Ok(Passed::Response(response)),
            Forwarded::Switched(response, stream, chosen) => {
                return Ok(Passed::Tunnel(response, stream, chosen, tunnelled));
            }
            Forwarded::Not(undelivered, chosen) => (undelivered, chosen),
        };
        request = undelivered;
        word = passage.go_back(guard, chosen, address).await?;
    }
}

/// What came of it.
enum Forwarded {
    Response(Response<ResponseBody>),
    /// The app has changed the protocol.
    Switched(Response<()>, UpstreamStream, Chosen),
    /// The endpoint cannot be reached.
    Not(Box<Request<RequestBody>>, Chosen),
}

/// Sends a request to an endpoint and makes what comes one for the client.
async fn forward(
    passage: &Passage<'_>,
    caller: &Caller,
    wish: &Wish,
    guard: &InFlight,
    admitted: Admitted,
    request: Box<Request<RequestBody>>,
) -> Result<Forwarded, Stop> {
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
                return Ok(Forwarded::Switched(response, stream, chosen));
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
            finish(passage, guard, &policy, response, engaged).map(Forwarded::Response)
        }
        Outcome::Failed(stop) => Err(stop),
        Outcome::Unreachable(undelivered, chosen) => Ok(Forwarded::Not(undelivered, chosen)),
    }
}

/// Answers a probe from what is known.
fn answer_probe(passage: &Passage<'_>, wish: &Wish, path: &str) -> Response<ResponseBody> {
    let policy = passage.app.policy();
    let ok = passage.prober.is_some_and(|prober| policy.probes.answers_ok(prober));
    let shape = match (wish.form, probes::shape(path)) {
        (Form::Http | Form::Triton, _) => Shape::Http,
        (Form::Grpc, Shape::Http) => Shape::Grpc,
        (Form::Grpc, shape) => shape,
    };
    let app = &passage.app.app;
    if !ok && matches!(shape, Shape::Http | Shape::Grpc) {
        app.shared.metrics.rejected(&app.id, Kind::NotAwake);
    }
    probe::answer(app, ok, shape, wish.form, &wish.id)
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

/// Makes a client's request one for the app; its body is not asked for.
fn outgoing(request: Request<Received>, caller: &Caller) -> Request<RequestBody> {
    // HTTP/1.0 knows no interim response to wait for.
    let expects = request.version() != Version::HTTP_10 && headers::expects_continue(request.headers());
    let permission = expects.then(Permission::default);
    request.map(|body| RequestBody::new(body, permission, caller))
}

/// What a held request's head is charged, in bytes.
fn head_cost<B>(request: &Request<B>) -> u64 {
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    HELD_BASE + (fields + request.uri().path().len() + request.uri().query().map_or(0, str::len)) as u64
}

fn server_timing(hold: Duration, wake: Option<Duration>) -> HeaderValue {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let text = match wake {
        Some(wake) => format!("wake;dur={:.1}, hold;dur={:.1}", millis(wake), millis(hold)),
        None => format!("hold;dur={:.1}", millis(hold)),
    };
    HeaderValue::from_str(&text).expect("numbers are a valid field value")
}
