//! The way of one request through the activator. See the [module above](super) for the picture.

use std::{net::SocketAddr, rc::Rc};

use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{CONNECTION, USER_AGENT},
};
use http_body::Body as _;
use reveille_core::{
    directory::UpstreamProtocol,
    gate::{Kind as Counted, Word},
    policy::Preset,
    probes::{self, Shape},
};

use super::{
    Caller, Stop, Unanswered,
    body::{Received, RequestBody, ResponseBody},
    check,
    expect::Permission,
    forward::{Sent, forward},
    grpc, headers,
    hold::{HELD_BASE, Passage, Waiting},
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
pub(super) struct Wish {
    /// How errors are told.
    pub(super) form: Form,
    /// The protocol to change to.
    pub(super) upgrade: Option<String>,
    /// It asks for a tunnel, which any good answer would open.
    pub(super) is_connect: bool,
    /// It came over HTTP/2.
    pub(super) http2: bool,
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
    pub(super) fn upstream_http2(&self, upstream: UpstreamProtocol) -> bool {
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
            Sent::Response(response) => return Ok(Passed::Response(response)),
            Sent::Switched(response, stream, chosen) => {
                return Ok(Passed::Tunnel(response, stream, chosen, tunnelled));
            }
            Sent::Not(undelivered, chosen) => (undelivered, chosen),
        };
        request = undelivered;
        word = passage.go_back(guard, chosen, address).await?;
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
