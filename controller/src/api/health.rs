//! `/livez`, `/readyz` and `/metrics`: what monitors ask.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use prometheus::{Encoder, Registry, TextEncoder};
use reveille_core::api::ProblemBody;

use super::{
    ApiState,
    problem::{Kind, Problem},
};

/// The text format of Prometheus. Its encoder names no charset, but help texts are UTF-8.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the process runs
///
/// Nothing else is looked at: a restart would help nothing else.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "livez", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok")))]
pub(super) async fn livez() -> &'static str {
    "ok"
}

/// Whether new traffic should come here
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "It should", body = String, content_type = "text/plain", example = "ok"),
        (status = 503, description = "It is starting or draining", body = String, content_type = "text/plain"),
    ))]
pub(super) async fn readyz(State(state): State<ApiState>) -> (StatusCode, &'static str) {
    if state.apps.is_ready() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining or starting")
    }
}

/// Every metric, in the text format of Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses(
        (status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8"),
        (status = 500, description = "They cannot be written", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, Problem> {
    metrics_text(&state.registry)
        .map_err(|error| Problem::new(Kind::Internal, format!("the metrics cannot be written: {error}")))
}

/// The answer to whoever scrapes this registry.
///
/// # Errors
/// If a metric cannot be written, which is logged.
pub fn metrics_text(registry: &Registry) -> prometheus::Result<Response> {
    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut text)
        .inspect_err(|error| tracing::error!(%error, "metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}
