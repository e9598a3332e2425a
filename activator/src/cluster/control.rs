//! The control port: what the controller asks and tells an activator, as [`reveille_core::control`] has it. TLS, HTTP/1.1,
//! and every request with the controller's token.
//!
//! Nobody can keep resources here: strangers, heads, bodies and the time for each are bounded.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use reveille_core::{
    api::ProblemBody,
    app::{AppId, check_name},
    control::{ActivityReport, AllActivity, AppPort, Boot, LONG_POLL, Open, PortsReport, RefusedPort, Shut},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use super::{
    api::Cluster,
    apps::{Apps, ShutError},
    auth::{Auth, Unknown, Worth},
    guests::{Guests, Visit},
};
use crate::registry::Ports;

/// The longest body, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// The longest head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long a head may take, and how long a connection may be idle before it.
const HEAD: Duration = Duration::from_secs(60);
/// How long a request may take, from its head to its answer.
const REQUEST: Duration = Duration::from_secs(20);
/// The pause after a connection could not be accepted for a lack of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest lease, in milliseconds.
const MAX_LEASE_MS: u64 = 60_000;

/// What the control port needs to know.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) apps: Arc<Apps>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) ports: watch::Receiver<Ports>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) boot: Boot,
    /// Where revisions begin: elsewhere in each run.
    pub(crate) first_revision: u64,
}

/// Serves for as long as the process lives.
pub(crate) async fn serve(listener: TcpListener, tls: watch::Receiver<TlsAcceptor>, control: Control) {
    let guests = Arc::new(Guests::default());
    let router = router(control);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let visit = guests.enter();
                let acceptor = tls.borrow().clone();
                let router = router.clone().layer(Extension(visit.clone()));
                tokio::spawn(async move {
                    if let Err(error) = visit.during(connection(stream, acceptor, router)).await {
                        tracing::debug!(error, %from, "a connection to the control port ended early");
                    }
                });
            }
            Err(error) => {
                use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
                if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
                    tracing::warn!(%error, "the control port cannot accept connections; it tries again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) -> Result<(), String> {
    let stream = acceptor.accept(stream).await.map_err(|error| error.to_string())?;
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
        .map_err(|error| error.to_string())
}

fn router(control: Control) -> Router {
    Router::new()
        .route("/v1/ports", get(ports))
        .route("/v1/activity", get(all_activity))
        .route("/v1/apps/{namespace}/{name}/activity", get(activity))
        .route("/v1/apps/{namespace}/{name}/shut", post(shut))
        .route("/v1/apps/{namespace}/{name}/open", post(open))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path".into()))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "see the Allow header".into())
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(control.clone(), authorize))
        .layer(middleware::from_fn(limit_time))
        .with_state(control)
}

async fn limit_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s; what was asked for may still happen", REQUEST.as_secs());
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
    })
}

/// Lets the controller pass alone.
async fn authorize(State(control): State<Control>, request: Request, next: Next) -> Response {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    let Some(token) = token else {
        return Problem::new(StatusCode::UNAUTHORIZED, "show the controller's token".into()).into_response();
    };
    let problem = match control.auth.worth(token).await {
        Ok(Worth::Controller) => {
            if let Some(visit) = request.extensions().get::<Visit>() {
                visit.is_known();
            }
            return next.run(request).await;
        }
        Ok(Worth::Other) => {
            Problem::new(StatusCode::FORBIDDEN, "this port is for the controller alone".into())
        }
        Ok(Worth::Nothing) => {
            Problem::new(StatusCode::UNAUTHORIZED, "the token is not valid for activators".into())
        }
        Err(Unknown(why)) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the token cannot be checked: {why}"))
        }
    };
    problem.into_response()
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

async fn ports(
    State(mut control): State<Control>,
    after: Result<Query<After>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(After { after }) = after.map_err(|error| Problem::bad(&error))?;
    let changed = async {
        while Some(revision(&control)) == after {
            let gone = tokio::select! {
                changed = control.ports.changed() => changed.is_err(),
                changed = control.draining.changed() => changed.is_err(),
            };
            if gone {
                // Nobody changes them any more: the process ends.
                std::future::pending::<()>().await;
            }
        }
    };
    // Whatever it ends with, there is an answer.
    let _ = tokio::time::timeout(LONG_POLL, changed).await;
    Ok(axum::Json(report(&control)).into_response())
}

/// Another one with each change of what is reported.
fn revision(control: &Control) -> u64 {
    let draining = u64::from(*control.draining.borrow());
    control.first_revision + (control.ports.borrow().revision << 1 | draining)
}

fn report(control: &Control) -> PortsReport {
    let revision = revision(control);
    let ports = control.ports.borrow();
    let mut open: Vec<_> =
        ports.open.iter().map(|(at, app)| AppPort { app: app.clone(), port: at.port() }).collect();
    open.sort_unstable();
    let refused = ports.refused.iter().map(|error| RefusedPort {
        port: AppPort { app: error.app.clone(), port: error.listen.port() },
        reason: error.reason.clone(),
    });
    PortsReport {
        boot: control.boot.clone(),
        revision,
        draining: *control.draining.borrow(),
        open,
        refused: refused.collect(),
    }
}

async fn all_activity(State(control): State<Control>) -> axum::Json<AllActivity> {
    axum::Json(AllActivity { busy: control.apps.busy() })
}

async fn activity(
    State(control): State<Control>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = id(&namespace, &name)?;
    let activity = control.apps.activity(&id).ok_or(ShutError::Unknown(id))?;
    Ok(axum::Json(ActivityReport::new(control.boot, activity)).into_response())
}

async fn shut(
    State(control): State<Control>,
    Path((namespace, name)): Path<(String, String)>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let id = id(&namespace, &name)?;
    let Shut { epoch, lease_ms } = read(body)?;
    if !(1..=MAX_LEASE_MS).contains(&lease_ms) {
        let detail = format!("leaseMs is 1 to {MAX_LEASE_MS}, not {lease_ms}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let lease = Duration::from_millis(lease_ms);
    // Not cut off with the connection: between the stance and the gate nothing may come.
    let shut = tokio::spawn(async move {
        let activity = control.apps.shut(&*control.cluster, &id, epoch, lease).await?;
        Ok::<_, ShutError>(ActivityReport::new(control.boot, activity))
    });
    let report = shut.await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault in Reveille; see the log".into())
    })??;
    Ok(axum::Json(report).into_response())
}

async fn open(
    State(control): State<Control>,
    Path((namespace, name)): Path<(String, String)>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<StatusCode, Problem> {
    let id = id(&namespace, &name)?;
    let open: Open = read(body)?;
    control.apps.told(&id, &open).ok_or(ShutError::Unknown(id))?;
    Ok(StatusCode::NO_CONTENT)
}

fn id(namespace: &str, name: &str) -> Result<AppId, Problem> {
    for part in [namespace, name] {
        check_name(part)
            .map_err(|why| Problem::new(StatusCode::NOT_FOUND, format!("there is no such app: {why}")))?;
    }
    Ok(AppId::new(namespace, name))
}

fn read<T: DeserializeOwned>(
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<T, Problem> {
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad(&error))
}

/// What is refused, and why.
struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, detail: String) -> Self {
        Self { status, detail }
    }

    fn bad(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("the request cannot be used: {error}"))
    }
}

impl From<ShutError> for Problem {
    fn from(error: ShutError) -> Self {
        let status = match error {
            ShutError::Unknown(_) => StatusCode::NOT_FOUND,
            ShutError::Old { .. } => StatusCode::CONFLICT,
            ShutError::Unavailable(..) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Refused").to_owned();
        let body = ProblemBody {
            kind: "about:blank".into(),
            title,
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
