//! How a client sees an [`Error`]: one mapping to HTTP (RFC 9457), one to gRPC (trailers-only).

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    error::{Error, Kind},
    request::{
        body::ResponseBody,
        grpc::{APPLICATION_GRPC, GRPC_MESSAGE, GRPC_PUSHBACK, GRPC_STATUS, encode_message},
    },
};

/// Where the kinds of error are explained.
const ERROR_BASE: &str = "https://reveille.dev/errors/";

/// In what form an error is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A status and a problem document.
    Http,
    /// The same, with a member `error`, where Triton's clients look for what happened.
    Triton,
    /// gRPC's own status.
    Grpc,
}

/// The response for an error.
pub(crate) fn error(error: &Error, request_id: Option<&HeaderValue>, form: Form) -> Response<ResponseBody> {
    let mut response = match form {
        Form::Http | Form::Triton => problem(error, request_id, form),
        Form::Grpc => trailers_only(error),
    };
    if let Some(id) = request_id {
        response.headers_mut().insert("x-request-id", id.clone());
    }
    response
}

/// Whether the connection is to be closed after this error: what follows a malformed request cannot be
/// trusted, and an app that is gone may come back as another one.
pub(crate) fn closes(kind: Kind) -> bool {
    matches!(kind, Kind::BadRequest | Kind::HeadTooLarge | Kind::MethodNotSupported | Kind::AppRemoved)
}

fn problem(error: &Error, request_id: Option<&HeaderValue>, form: Form) -> Response<ResponseBody> {
    let kind = error.kind();
    let mut body = serde_json::json!({
        "type": format!("{ERROR_BASE}{}", kind.slug()),
        "title": kind.title(),
        "status": kind.status(),
        "detail": error.detail(),
        "retriable": kind.is_retriable(),
    });
    if form == Form::Triton {
        body["error"] = error.detail().into();
    }
    if let Some(app) = error.app() {
        body["app"] = app.to_string().into();
    }
    if let Some(wake) = error.wake() {
        body["wake"] = wake.as_str().into();
    }
    if let Some(id) = request_id.and_then(|id| id.to_str().ok()) {
        body["requestId"] = id.into();
    }
    let body = Bytes::from(body.to_string());
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = StatusCode::from_u16(kind.status()).expect("every kind's status is a valid one");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, length);
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The status of a gRPC call without a message. Clients with a retry policy wait as long as they are told, and
/// do not repeat a call that may have been acted on.
fn trailers_only(error: &Error) -> Response<ResponseBody> {
    let kind = error.kind();
    let (code, _) = kind.grpc_status();
    let mut response = Response::new(ResponseBody::full(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, APPLICATION_GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    headers.insert(GRPC_MESSAGE, encode_message(&error.to_string()));
    let pushback = match error.retry_after_time() {
        _ if !kind.is_retriable() => Some(-1),
        Some(after) => Some(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        None => None,
    };
    if let Some(millis) = pushback {
        headers.insert(GRPC_PUSHBACK, HeaderValue::from(millis));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grpc(error: &Error) -> http::HeaderMap {
        let response = super::error(error, None, Form::Grpc);
        assert_eq!(response.status(), 200);
        assert!(http_body::Body::is_end_stream(response.body()), "no message");
        response.headers().clone()
    }

    #[test]
    fn grpc_calls_are_told_in_trailers_alone() {
        let full = Error::new(Kind::HoldFull, "50% voll: ä").retry_after(Duration::from_millis(1_500));
        let headers = grpc(&full);
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], "8");
        assert_eq!(headers["grpc-message"], "hold-full: 50%25 voll: %C3%A4");
        assert_eq!(headers["grpc-retry-pushback-ms"], "1500");
        let closed = grpc(&Error::new(Kind::UpstreamClosed, "x"));
        assert_eq!(
            (&closed["grpc-status"], &closed["grpc-retry-pushback-ms"]),
            (&HeaderValue::from_static("14"), &HeaderValue::from_static("-1"),)
        );
        assert!(!grpc(&Error::new(Kind::Draining, "x")).contains_key("grpc-retry-pushback-ms"));
    }
}
