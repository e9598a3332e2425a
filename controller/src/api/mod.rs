//! The admin port: health, metrics, and the calls by which people and scripts see, wake and put apps to sleep.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez`, `/health` | 200 while the process runs |
//! | `GET /readyz`, `/ready` | 200, or 503 before it serves and while it drains |
//! | `GET /metrics` | Prometheus text format |
//! | `GET /openapi.json` | all of this, described |
//! | `GET /api/v1/apps` | [`AppList`](reveille_core::api::AppList) |
//! | `GET /api/v1/apps/{namespace}/{name}` | [`AppStatus`](reveille_core::api::AppStatus) |
//! | `POST …/wake` | 202 and the status; body [`WakeRequest`](reveille_core::api::WakeRequest), may be left out |
//! | `POST …/sleep` | 200 and the status; body [`SleepRequest`](reveille_core::api::SleepRequest), may be left out |
//! | `GET …/history` | [`AppHistory`](reveille_core::api::AppHistory) |
//! | `GET /api/v1/events` | server-sent events |
//! | `GET /ui/` | the dashboard |
//! | `…/api/v1/deployments/{namespace}/{name}/…` | the Scale API, [`reveille_core::scale`] |
//!
//! Everything that is refused is answered with `application/problem+json` (RFC 9457), with two exceptions: the
//! Scale API has a form of its own; and what hyper itself refuses, a head that is no HTTP (400) or too long (431),
//! never reaches this code.
//!
//! What a call passes, from the outside: its request id, the time limit, the check of `Host` and `Origin`, the check
//! of its key, the check of what that key may do, the body. A port without keys must not be steerable by a web page in
//! the user's browser: [`origin`] checks `Host`, `Origin` and `Sec-Fetch-Site`. There is no CORS: no other site may
//! read. No client can keep resources: [`server`] bounds connections and the time for a head, a body, an answer and the
//! writing of it.
//!
//! | module | holds |
//! |---|---|
//! | [`apps`] | the calls about apps |
//! | [`deployments`] | the Scale API |
//! | [`events`] | the stream of events |
//! | [`health`] | `/livez`, `/readyz`, `/metrics` |
//! | [`openapi`] | the description of all of it |
//! | [`origin`] | who may call: the check of `Host` and `Origin` |
//! | [`access`], [`caller`] | who may call: the check of keys |
//! | [`ui`] | the dashboard's files |
//! | [`target`] | what a path names, and whether the caller may |
//! | [`audit`] | the log of changes |
//! | [`body`] | reading a small JSON body |
//! | [`problem`] | refusals and their mapping to HTTP |
//! | [`server`] | connections: limits, time-outs, shutting down |

mod access;
mod apps;
mod audit;
mod body;
mod caller;
mod deployments;
mod events;
mod health;
mod openapi;
mod origin;
mod problem;
mod server;
mod stall;
mod target;
#[cfg(test)]
mod tests;
mod ui;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use http::{HeaderValue, header};

pub use self::{
    access::Access,
    audit::{Changed, Witnesses},
    health::metrics_text,
    origin::AllowedHosts,
    server::serve,
};
use self::{
    caller::{REQUEST_ID, RequestId},
    problem::{Kind, Problem},
};
use crate::{
    feed::Feed,
    traits::{Apps, Deployments},
};

/// How long a call may take in local mode. A sleep by hand waits up to 10 s for work in flight, so this must be longer.
pub const LOCAL_TIME_LIMIT: Duration = Duration::from_secs(15);

/// What the admin port needs to know.
#[derive(Clone)]
pub struct ApiState {
    /// The apps.
    pub apps: Arc<dyn Apps>,
    /// The Deployments.
    pub deployments: Arc<dyn Deployments>,
    /// What happens to the apps.
    pub feed: Arc<Feed>,
    /// Who may call.
    pub access: Access,
    /// Whose metrics `/metrics` shows.
    pub registry: prometheus::Registry,
    /// The hosts by which clients may call.
    pub allowed_hosts: AllowedHosts,
    /// Who is told of each change, besides the log.
    pub witnesses: Option<Arc<dyn Witnesses>>,
    /// How long a call may take before it is answered with 504.
    pub time_limit: Duration,
    /// Whether another process may have what this one has not: then calls about apps and Deployments wait for this one to
    /// be ready, with 503.
    pub may_stand_by: bool,
}

type Routes<const N: usize> = [(&'static str, MethodRouter<ApiState>); N];

/// Load balancers and kubelet call these by addresses that nobody can list, and they tell nothing.
fn open_routes() -> Routes<4> {
    [
        ("/livez", get(health::livez)),
        ("/readyz", get(health::readyz)),
        ("/health", get(deployments::health)),
        ("/ready", get(deployments::ready)),
    ]
}

/// For these, `Host` and `Origin` are checked.
fn checked_routes() -> Routes<2> {
    [("/metrics", get(health::metrics)), ("/openapi.json", get(openapi::openapi))]
}

/// For these the key is, too.
fn guarded_routes() -> Routes<9> {
    [
        ("/api/v1/apps", get(apps::list)),
        ("/api/v1/apps/{namespace}/{name}", get(apps::get)),
        ("/api/v1/apps/{namespace}/{name}/history", get(apps::history)),
        ("/api/v1/apps/{namespace}/{name}/wake", post(apps::wake)),
        ("/api/v1/apps/{namespace}/{name}/sleep", post(apps::sleep)),
        ("/api/v1/events", get(events::events)),
        ("/api/v1/deployments/{namespace}/{name}/status", get(deployments::status)),
        ("/api/v1/deployments/{namespace}/{name}/scale-to-zero", post(deployments::scale_to_zero)),
        ("/api/v1/deployments/{namespace}/{name}/scale-up", post(deployments::scale_up)),
    ]
}

fn with(routes: impl IntoIterator<Item = (&'static str, MethodRouter<ApiState>)>) -> Router<ApiState> {
    let add = |router: Router<ApiState>, (path, route)| router.route(path, route);
    routes.into_iter().fold(Router::new(), add).method_not_allowed_fallback(wrong_method)
}

/// The routes of the admin port, to be served by [`serve`].
pub fn router(state: ApiState) -> Router {
    let guarded = with(guarded_routes());
    let guarded = guarded.route_layer(middleware::from_fn_with_state(state.clone(), unless_standby));
    let guarded = guarded.route_layer(middleware::from_fn_with_state(state.clone(), access::identify));
    let checked = with(checked_routes())
        .merge(with(ui::routes()))
        .merge(guarded)
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(state.clone(), origin::check));
    with(open_routes())
        .merge(checked)
        .layer(middleware::from_fn_with_state(state.clone(), limit_time))
        .layer(middleware::from_fn(problem::in_words_of_the_scale_api))
        .layer(middleware::from_fn(name_the_request))
        .layer(middleware::map_response(add_security_headers))
        .with_state(state)
}

/// Every request has an id, which its answer and the lines of the log have, too.
async fn name_the_request(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    let value = HeaderValue::from_str(&id.0).expect("it is made of visible ASCII");
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

async fn unknown_path(request: Request) -> Problem {
    let path = problem::escaped(request.uri().path());
    Problem::new(Kind::UnknownPath, format!("there is nothing at {path}; the calls begin with /api/v1/apps"))
}

/// axum adds `Allow` to the answer.
async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), problem::escaped(request.uri().path()));
    Problem::new(Kind::WrongMethod, format!("{method} is not possible on {path}; see the Allow header"))
}

/// What is not known here is known to whoever leads.
async fn unless_standby(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if state.may_stand_by && !state.apps.is_ready() {
        let detail =
            "this controller stands by, and the Service does not lead to the one that leads yet; try again";
        return Problem::new(Kind::Unavailable, detail).retry_after(1).into_response();
    }
    next.run(request).await
}

async fn limit_time(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(state.time_limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            Kind::TimedOut,
            format!(
                "no answer within {} s; what was asked for may still happen, `reveille status` shows it",
                state.time_limit.as_secs()
            ),
        )
        .into_response(),
    }
}

/// What an app's state is changes from call to call, and no browser may guess at content types.
async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The dashboard's files say themselves how they may be kept.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
