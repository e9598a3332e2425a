//! How a client sees an [`Error`]: one mapping to HTTP (RFC 9457). gRPC's stands beside it once gRPC does.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    error::{Error, Kind},
    request::body::ResponseBody,
};

/// Where the kinds of error are explained.
const ERROR_BASE: &str = "https://reveille.dev/errors/";

/// The response for an error.
pub(crate) fn problem(error: &Error, request_id: Option<&HeaderValue>) -> Response<ResponseBody> {
    let kind = error.kind();
    let mut body = serde_json::json!({
        "type": format!("{ERROR_BASE}{}", kind.slug()),
        "title": kind.title(),
        "status": kind.status(),
        "detail": error.detail(),
        "retriable": kind.is_retriable(),
    });
    if let Some(app) = error.app() {
        body["app"] = app.to_string().into();
    }
    if let Some(wake) = error.wake() {
        body["wake"] = wake.as_str().into();
    }
    if let Some(id) = request_id.and_then(|id| id.to_str().ok()) {
        body["requestId"] = id.into();
    }
    let mut response = Response::new(ResponseBody::full(Bytes::from(body.to_string())));
    *response.status_mut() = status(kind);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(id) = request_id {
        headers.insert("x-request-id", id.clone());
    }
    // What follows a malformed request cannot be trusted; an app that is gone may come back as another one.
    if matches!(kind, Kind::BadRequest | Kind::MethodNotSupported | Kind::AppRemoved) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.status()).expect("every kind's status is a valid one")
}
