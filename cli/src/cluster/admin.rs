//! The admin port of a process of a cluster: `/metrics`, `/livez` and `/readyz`, and nothing that changes anything.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::StatusCode;
use reveille_controller::api;

/// Whether new traffic should come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ready {
    /// It does not know yet what there is.
    NotYet,
    /// Yes.
    Now,
    /// It drains.
    NoMore,
}

/// [`Ready`] as it is now, to be set by one and read by many.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<AtomicU8>);

impl Readiness {
    pub(super) fn starting() -> Self {
        Self(Arc::new(AtomicU8::new(Ready::NotYet as u8)))
    }

    pub(super) fn set(&self, ready: Ready) {
        self.0.store(ready as u8, Ordering::Release);
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Acquire) {
            ready if ready == Ready::Now as u8 => (StatusCode::OK, "ok"),
            ready if ready == Ready::NotYet as u8 => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        }
    }
}

/// The routes, to be served by `reveille_controller::api::serve`.
pub(super) fn router(registry: prometheus::Registry, ready: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async |State(ready): State<Readiness>| ready.answer()))
        .with_state(ready)
        .merge(Router::new().route("/metrics", get(metrics)).with_state(registry))
}

async fn metrics(State(registry): State<prometheus::Registry>) -> axum::response::Response {
    api::metrics_text(&registry).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ready_says_so() {
        let ready = Readiness::starting();
        assert_eq!(ready.answer(), (StatusCode::SERVICE_UNAVAILABLE, "starting"));
        ready.set(Ready::Now);
        assert_eq!(ready.answer(), (StatusCode::OK, "ok"));
        ready.set(Ready::NoMore);
        assert_eq!(ready.answer(), (StatusCode::SERVICE_UNAVAILABLE, "draining"));
    }
}
