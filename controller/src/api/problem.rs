//! What the admin port refuses, and how that is said: one kind, one HTTP status, one `type` of RFC 9457.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use reveille_core::api::ProblemBody;

use crate::traits::Refusal;

/// What every `type` begins with. It names the kind and need not be reachable (RFC 9457, section 3.1.1).
const TYPE_PREFIX: &str = "https://reveille.dev/errors/";

/// The content type of a refusal.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How much of what a client sent is shown back to it, in characters.
const ESCAPED_MAX: usize = 100;

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    UnknownApp,
    InUse,
    WrongPhase,
    Blocked,
    Stopping,
    UnknownPath,
    WrongMethod,
    BadRequest,
    BodyTooLong,
    BodyTooSlow,
    NotJson,
    ForeignHost,
    ForeignOrigin,
    TimedOut,
    Internal,
}

impl Kind {
    /// The end of `type`, the status and the title.
    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::UnknownApp => ("unknown-app", StatusCode::NOT_FOUND, "There is no such app"),
            Self::InUse => ("in-use", StatusCode::CONFLICT, "The app is in use"),
            Self::WrongPhase => ("wrong-phase", StatusCode::CONFLICT, "Not possible in the app's phase"),
            Self::Blocked => ("wake-blocked", StatusCode::SERVICE_UNAVAILABLE, "The app's wakes fail"),
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE, "Reveille is stopping"),
            Self::UnknownPath => ("unknown-path", StatusCode::NOT_FOUND, "There is no such path"),
            Self::WrongMethod => ("wrong-method", StatusCode::METHOD_NOT_ALLOWED, "Wrong method"),
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request is malformed"),
            Self::BodyTooLong => ("body-too-long", StatusCode::PAYLOAD_TOO_LARGE, "The body is too long"),
            Self::BodyTooSlow => ("body-too-slow", StatusCode::REQUEST_TIMEOUT, "The body came too slowly"),
            Self::NotJson => ("not-json", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is no JSON"),
            Self::ForeignHost => ("foreign-host", StatusCode::FORBIDDEN, "Unknown host"),
            Self::ForeignOrigin => ("foreign-origin", StatusCode::FORBIDDEN, "Call from another web site"),
            Self::TimedOut => ("timed-out", StatusCode::GATEWAY_TIMEOUT, "The call took too long"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "A fault in Reveille"),
        }
    }
}

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    /// What happened, to which app, and what to do.
    detail: String,
    /// The `Retry-After` to send, in seconds.
    retry_after_s: Option<u64>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_s: None }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (kind, retry_after_s) = match &refusal {
            Refusal::UnknownApp(_) => (Kind::UnknownApp, None),
            Refusal::InUse { .. } => (Kind::InUse, None),
            Refusal::WrongPhase { .. } => (Kind::WrongPhase, None),
            // 0 would ask for a retry at once, which is refused again if the clock has not moved on.
            Refusal::Blocked { retry_in_s, .. } => (Kind::Blocked, Some((*retry_in_s).max(1))),
            Refusal::Stopping => (Kind::Stopping, None),
        };
        Self { kind, detail: refusal.to_string(), retry_after_s }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.kind.describe();
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
        };
        let mut response = (status, axum::Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Text that a client sent, quoted, without control characters and cut to a length that is fit to be shown.
pub(super) fn escaped(text: &str) -> String {
    let mut shown: String = text.chars().take(ESCAPED_MAX).flat_map(char::escape_default).collect();
    if text.chars().nth(ESCAPED_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
