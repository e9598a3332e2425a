//! The admin port of a cluster's controller: `/livez`, `/readyz`, `/metrics`. Everybody in the cluster may read them; there
//! is nothing here that changes anything.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use prometheus::{Registry, TextEncoder};

/// The text format of Prometheus. Its encoder names no charset, but help texts are UTF-8.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The routes, to be served by [`api::serve`](crate::api::serve). One that stands by is ready: nothing is sent to it.
pub fn router(registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/metrics", get(async move || metrics(&registry)))
}

fn metrics(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn metrics_are_text() {
        let registry = Registry::new();
        let gauge = prometheus::IntGauge::new("reveille_leader", "x").unwrap();
        registry.register(Box::new(gauge)).unwrap();
        let router = router(registry);
        for (path, says) in [("/livez", "ok"), ("/readyz", "ok"), ("/metrics", "reveille_leader 0")] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(says), "{path}");
        }
    }
}
