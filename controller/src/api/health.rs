//! `/livez`, `/readyz` and `/metrics`: what monitors ask.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use prometheus::{Encoder, TextEncoder};

use super::{
    ApiState,
    problem::{Kind, Problem},
};

/// The text format of Prometheus. Its encoder names no charset, but help texts are UTF-8.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process runs and answers; nothing else is looked at, since a restart would help nothing else.
pub(super) async fn livez() -> &'static str {
    "ok"
}

/// Whether new traffic should come here.
pub(super) async fn readyz(State(state): State<ApiState>) -> (StatusCode, &'static str) {
    if state.apps.is_ready() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining or starting")
    }
}

/// Every metric of the registry.
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, Problem> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&state.registry.gather(), &mut text).map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Problem::new(Kind::Internal, format!("the metrics cannot be written: {error}"))
    })?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}
