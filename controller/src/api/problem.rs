//! What the admin port refuses, and how that is said: one kind, one HTTP status, one `type` of RFC 9457.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use reveille_core::{api::ProblemBody, scale::Failed};

use crate::{
    feed::NoReader,
    traits::{DeploymentError, Refusal},
};

/// What every `type` begins with. It names the kind and need not be reachable (RFC 9457, section 3.1.1).
const TYPE_PREFIX: &str = "https://reveille.dev/errors/";

/// The paths of the Scale API but for `/health` and `/ready`.
const SCALE_API: &str = "/api/v1/deployments/";

/// The content type of a refusal.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How much of what a client sent is shown back to it, in characters.
const ESCAPED_MAX: usize = 100;

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    UnknownApp,
    UnknownDeployment,
    InUse,
    WrongPhase,
    Blocked,
    Stopping,
    Unavailable,
    TooManyStreams,
    Conflict,
    NotDone,
    Unauthorized,
    Forbidden,
    TooManyFailures,
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
    /// Every kind.
    #[cfg(test)]
    pub(super) const ALL: [Self; 23] = [
        Self::UnknownApp,
        Self::UnknownDeployment,
        Self::InUse,
        Self::WrongPhase,
        Self::Blocked,
        Self::Stopping,
        Self::Unavailable,
        Self::TooManyStreams,
        Self::Conflict,
        Self::NotDone,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TooManyFailures,
        Self::UnknownPath,
        Self::WrongMethod,
        Self::BadRequest,
        Self::BodyTooLong,
        Self::BodyTooSlow,
        Self::NotJson,
        Self::ForeignHost,
        Self::ForeignOrigin,
        Self::TimedOut,
        Self::Internal,
    ];

    /// The end of `type`.
    pub(super) fn name(self) -> &'static str {
        self.describe().0
    }

    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::UnknownApp => ("unknown-app", StatusCode::NOT_FOUND, "There is no such app"),
            Self::UnknownDeployment => {
                ("unknown-deployment", StatusCode::NOT_FOUND, "Deployment or namespace not found")
            }
            Self::InUse => ("in-use", StatusCode::CONFLICT, "The app is in use"),
            Self::WrongPhase => ("wrong-phase", StatusCode::CONFLICT, "Not possible in the app's phase"),
            Self::Blocked => ("wake-blocked", StatusCode::SERVICE_UNAVAILABLE, "The app's wakes fail"),
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE, "Reveille is stopping"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Not possible now"),
            Self::TooManyStreams => {
                ("too-many-streams", StatusCode::SERVICE_UNAVAILABLE, "Too many streams of events")
            }
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "Scaling was refused"),
            Self::NotDone => ("not-done", StatusCode::INTERNAL_SERVER_ERROR, "Scaling failed"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "A key is needed"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The key is not good for this"),
            Self::TooManyFailures => {
                ("too-many-failures", StatusCode::TOO_MANY_REQUESTS, "Too many calls without a good key")
            }
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
    /// The `WWW-Authenticate` to send.
    challenge: Option<String>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_s: None, challenge: None }
    }

    /// Says when another attempt may be made. 0 would ask for one at once, which is refused again if the clock has not
    /// moved on.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Says by what the caller may show who it is.
    pub(super) fn challenge(mut self, challenge: String) -> Self {
        self.challenge = Some(challenge);
        self
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = |kind| Self::new(kind, refusal.to_string());
        match &refusal {
            Refusal::UnknownApp(_) => problem(Kind::UnknownApp),
            Refusal::InUse { .. } => problem(Kind::InUse),
            Refusal::WrongPhase { .. } => problem(Kind::WrongPhase),
            Refusal::Blocked { retry_in_s, .. } => problem(Kind::Blocked).retry_after(*retry_in_s),
            Refusal::NotPossible { .. } => problem(Kind::Conflict),
            Refusal::OutOfReach { .. } => problem(Kind::Unavailable),
            Refusal::Stopping => problem(Kind::Stopping),
        }
    }
}

impl From<DeploymentError> for Problem {
    fn from(error: DeploymentError) -> Self {
        match error {
            DeploymentError::NotFound(detail) => Self::new(Kind::UnknownDeployment, detail),
            DeploymentError::Invalid(detail) => Self::new(Kind::BadRequest, detail),
            DeploymentError::Conflict(detail) => Self::new(Kind::Conflict, detail),
            DeploymentError::Failed(detail) => Self::new(Kind::NotDone, detail),
            DeploymentError::Unavailable { reason, retry_in_s } => {
                let problem = Self::new(Kind::Unavailable, reason);
                match retry_in_s {
                    Some(seconds) => problem.retry_after(seconds),
                    None => problem,
                }
            }
        }
    }
}

impl From<NoReader> for Problem {
    fn from(error: NoReader) -> Self {
        match error {
            NoReader::TooMany => Self::new(Kind::TooManyStreams, error.to_string()).retry_after(1),
            NoReader::Closed => Self::new(Kind::Stopping, error.to_string()),
        }
    }
}

/// The Scale API says what is refused in its own words: [`Failed`] instead of [`ProblemBody`], whoever refused it.
pub(super) async fn in_words_of_the_scale_api(request: Request, next: Next) -> Response {
    let is_scale_api = request.uri().path().starts_with(SCALE_API);
    let mut response = next.run(request).await;
    if is_scale_api && let Some(Said(problem)) = response.extensions_mut().remove() {
        let failed = Failed {
            status: "error".to_owned(),
            message: problem.title,
            error: problem.detail,
            timestamp: jiff::Timestamp::now(),
        };
        let (mut head, body) = axum::Json(failed).into_response().into_parts();
        head.status = response.status();
        for (name, value) in response.headers() {
            if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
                head.headers.insert(name, value.clone());
            }
        }
        return Response::from_parts(head, body);
    }
    response
}

/// What a response refuses, kept beside its body.
#[derive(Clone)]
struct Said(ProblemBody);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.kind.describe();
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
        };
        let mut response = (status, axum::Json(&body)).into_response();
        response.extensions_mut().insert(Said(body));
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
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
