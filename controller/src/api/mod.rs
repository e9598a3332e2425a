//! The admin port: health, metrics, and the calls by which people and scripts see, wake and put apps to sleep.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez` | 200 `ok` while the process runs |
//! | `GET /readyz` | 200 `ok`, or 503 before it serves and while it drains |
//! | `GET /metrics` | Prometheus text format |
//! | `GET /api/v1/apps` | [`AppList`](reveille_core::api::AppList) |
//! | `GET /api/v1/apps/{namespace}/{name}` | [`AppStatus`](reveille_core::api::AppStatus) |
//! | `POST …/wake` | 202 and the status; body [`WakeRequest`](reveille_core::api::WakeRequest), may be left out |
//! | `POST …/sleep` | 200 and the status; body [`SleepRequest`](reveille_core::api::SleepRequest), may be left out |
//!
//! Everything that is refused is answered with `application/problem+json` (RFC 9457), with one exception:
//! what hyper itself refuses, a head that is no HTTP (400) or too long (431), never reaches this code.
//!
//! The port has no password in local mode, so it must not be steerable by a web page in the user's browser:
//! [`origin`] checks `Host`, `Origin` and `Sec-Fetch-Site`. No client can keep resources: [`server`] bounds
//! connections and the time for a head, a body, an answer and the writing of it.
//!
//! | module | holds |
//! |---|---|
//! | [`apps`] | the calls about apps |
//! | [`health`] | `/livez`, `/readyz`, `/metrics` |
//! | [`origin`] | who may call: the check of `Host` and `Origin` |
//! | [`body`] | reading a small JSON body |
//! | [`problem`] | refusals and their mapping to HTTP |
//! | [`server`] | connections: limits, time-outs, shutting down |

mod apps;
mod body;
mod health;
mod origin;
mod problem;
mod server;
mod stall;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, header};

use self::problem::{Kind, Problem};
pub use self::{origin::AllowedHosts, server::serve};
use crate::traits::Apps;

/// How long a call may take before it is answered with 504. A sleep by hand waits up to 10 s for work in
/// flight, so this must be longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What the admin port needs to know.
#[derive(Clone)]
pub struct ApiState {
    /// The apps.
    pub apps: Arc<dyn Apps>,
    /// Whose metrics `/metrics` shows.
    pub registry: prometheus::Registry,
    /// The hosts by which clients may call.
    pub allowed_hosts: AllowedHosts,
}

/// The routes of the admin port, to be served by [`serve`].
pub fn router(state: ApiState) -> Router {
    let checked = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/api/v1/apps", get(apps::list))
        .route("/api/v1/apps/{namespace}/{name}", get(apps::get))
        .route("/api/v1/apps/{namespace}/{name}/wake", post(apps::wake))
        .route("/api/v1/apps/{namespace}/{name}/sleep", post(apps::sleep))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), origin::check));
    // Load balancers and kubelet call these by addresses that nobody can list, and they tell nothing.
    let open = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(wrong_method);
    open.merge(checked)
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::map_response(add_security_headers))
        .with_state(state)
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

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            Kind::TimedOut,
            format!(
                "no answer within {} s; what was asked for may still happen, `reveille status` shows it",
                REQUEST_TIMEOUT.as_secs()
            ),
        )
        .into_response(),
    }
}

/// What an app's state is changes from call to call, and no browser may guess at content types.
async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
