//! The calls about apps: list, show, wake, put to sleep.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State, rejection::PathRejection},
};
use http::{StatusCode, request::Parts};
use reveille_core::{
    api::{AppList, AppStatus, SleepRequest, WakeRequest},
    app::{AppId, check_name},
};

use super::{
    ApiState,
    body::OptionalJson,
    problem::{Kind, Problem, escaped},
};
use crate::traits::Refusal;

/// The longest reason that is taken, in characters: it ends up in a log line.
const REASON_MAX: usize = 200;

/// The app that the path names. Its name is well-formed; whether there is such an app is not yet known.
pub(super) struct AppPath(AppId);

impl<S: Send + Sync> FromRequestParts<S> for AppPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((namespace, name)): Path<(String, String)> =
            Path::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
                Problem::new(Kind::BadRequest, format!("the path cannot be read: {}", rejection.body_text()))
            })?;
        for part in [&namespace, &name] {
            check_name(part).map_err(|why| {
                let app = escaped(&format!("{namespace}/{name}"));
                Problem::new(Kind::UnknownApp, format!("there is no app {app}: {why}"))
            })?;
        }
        Ok(Self(AppId::new(&namespace, &name)))
    }
}

/// `GET /api/v1/apps`
pub(super) async fn list(State(state): State<ApiState>) -> Json<AppList> {
    let apps = state.apps.list().await;
    Json(AppList { time: jiff::Timestamp::now(), apps })
}

/// `GET /api/v1/apps/{namespace}/{name}`
pub(super) async fn get(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
) -> Result<Json<AppStatus>, Problem> {
    match state.apps.get(&app).await {
        Some(status) => Ok(Json(status)),
        None => Err(Refusal::UnknownApp(app).into()),
    }
}

/// `POST /api/v1/apps/{namespace}/{name}/wake`
pub(super) async fn wake(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    OptionalJson(request): OptionalJson<WakeRequest>,
) -> Result<(StatusCode, Json<AppStatus>), Problem> {
    let trigger = match printable_reason(request.reason)? {
        Some(reason) => format!("admin API: {reason}"),
        None => "admin API".to_owned(),
    };
    let status = state.apps.wake(&app, trigger).await?;
    Ok((StatusCode::ACCEPTED, Json(status)))
}

/// `POST /api/v1/apps/{namespace}/{name}/sleep`
pub(super) async fn sleep(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    OptionalJson(mut request): OptionalJson<SleepRequest>,
) -> Result<Json<AppStatus>, Problem> {
    request.reason = printable_reason(request.reason)?;
    // In a task of its own: this handler is dropped when its client leaves or its time is up, and the sleep
    // protocol must come to its end, one way or the other.
    let apps = Arc::clone(&state.apps);
    let outcome = tokio::spawn(async move { apps.sleep(&app, request).await }).await;
    match outcome {
        Ok(answer) => Ok(Json(answer?)),
        Err(error) => {
            tracing::error!(%error, "the task that puts an app to sleep ended");
            Err(Problem::new(Kind::Internal, "the call ended without a result; see Reveille's log"))
        }
    }
}

/// The reason as it may stand in a log line.
fn printable_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let Some(reason) = reason else { return Ok(None) };
    if reason.chars().nth(REASON_MAX).is_some() {
        let detail = format!("the reason may have at most {REASON_MAX} characters; shorten it");
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}
