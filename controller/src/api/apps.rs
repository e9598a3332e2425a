//! The calls about apps: list, show, wake, put to sleep.

use axum::{Json, extract::State};
use http::StatusCode;
use reveille_core::{
    api::{AppHistory, AppList, AppStatus, ProblemBody, SleepRequest, WakeRequest, check_keep, check_reason},
    text::steers,
};

use super::{
    ApiState,
    audit::Change,
    body::OptionalJson,
    caller::Caller,
    problem::{Kind, Problem},
    target::{ReadApp, ScaleApp},
};
use crate::traits::Refusal;

/// Every app
///
/// Sorted by namespace and name; with a key, those of its namespaces.
#[utoipa::path(get, path = "/api/v1/apps", tag = "apps", operation_id = "listApps",
    responses((status = 200, body = AppList)))]
pub(super) async fn list(State(state): State<ApiState>, caller: Caller) -> Json<AppList> {
    Json(visible(&state, &caller).await)
}

/// The apps that the caller may see.
pub(super) async fn visible(state: &ApiState, caller: &Caller) -> AppList {
    let mut apps = state.apps.list().await;
    apps.retain(|app| caller.may_read(&app.id.namespace));
    AppList { time: jiff::Timestamp::now(), apps }
}

/// One app
#[utoipa::path(get, path = "/api/v1/apps/{namespace}/{name}", tag = "apps", operation_id = "getApp",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    responses(
        (status = 200, body = AppStatus),
        (status = 404, description = "There is no such app", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    State(state): State<ApiState>,
    ReadApp(app): ReadApp,
) -> Result<Json<AppStatus>, Problem> {
    match state.apps.get(&app).await {
        Some(status) => Ok(Json(status)),
        None => Err(Refusal::UnknownApp(app).into()),
    }
}

/// What happened to an app lately
///
/// Its last wakes and what went wrong, since Reveille, in a cluster its leader, has started.
#[utoipa::path(get, path = "/api/v1/apps/{namespace}/{name}/history", tag = "apps", operation_id = "appHistory",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    responses(
        (status = 200, body = AppHistory),
        (status = 404, description = "There is no such app", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn history(
    State(state): State<ApiState>,
    ReadApp(app): ReadApp,
) -> Result<Json<AppHistory>, Problem> {
    match state.apps.get(&app).await {
        Some(_) => Ok(Json(state.feed.history(&app))),
        None => Err(Refusal::UnknownApp(app).into()),
    }
}

/// Wake an app
///
/// Starts a wake or joins the one in progress, and does not wait for its end. Lets requests wake the app again. Calls off
/// a wake that is scheduled.
#[utoipa::path(post, path = "/api/v1/apps/{namespace}/{name}/wake", tag = "apps", operation_id = "wakeApp",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    request_body(content = Option<WakeRequest>, description = "May be left out"),
    responses(
        (status = 202, description = "The app as it stands", body = AppStatus),
        (status = 404, description = "There is no such app", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Its spec or its workload stands in the way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The pause after a failed wake is not over, or Reveille is stopping", body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds; of the pause"))),
    ))]
pub(super) async fn wake(
    State(state): State<ApiState>,
    ScaleApp(app, caller): ScaleApp,
    OptionalJson(request): OptionalJson<WakeRequest>,
) -> Result<(StatusCode, Json<AppStatus>), Problem> {
    let reason = printable_reason(request.reason)?;
    let keep = request.keep.map(check_keep).transpose();
    let keep = keep.map_err(|why| Problem::new(Kind::BadRequest, format!("`for` is wrong: {why}")))?;
    let keep = keep.map(|keep| keep.0);
    let trigger = match &reason {
        Some(reason) => format!("admin API: {reason}"),
        None => "admin API".to_owned(),
    };
    let reason = reason.unwrap_or_default();
    let change =
        Change { caller, action: "wake", app: app.clone(), reason, witnesses: state.witnesses.clone() };
    let status = change.make(async move { Ok(state.apps.wake(&app, trigger, keep).await?) }).await?;
    Ok((StatusCode::ACCEPTED, Json(status)))
}

/// Put an app to sleep
///
/// Skips its idle time and waits up to 10 s for work in flight; answers once it is decided that it sleeps. Ends what a wake
/// with `for` asked, and calls off a wake that is scheduled.
#[utoipa::path(post, path = "/api/v1/apps/{namespace}/{name}/sleep", tag = "apps", operation_id = "sleepApp",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    request_body(content = Option<SleepRequest>, description = "May be left out"),
    responses(
        (status = 200, description = "The app as it stands", body = AppStatus),
        (status = 404, description = "There is no such app", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It is in use, waking, or falling asleep already, or something else stands in the way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Reveille is stopping", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn sleep(
    State(state): State<ApiState>,
    ScaleApp(app, caller): ScaleApp,
    OptionalJson(mut request): OptionalJson<SleepRequest>,
) -> Result<Json<AppStatus>, Problem> {
    request.reason = printable_reason(request.reason)?;
    let reason = request.reason.clone().unwrap_or_default();
    let change =
        Change { caller, action: "sleep", app: app.clone(), reason, witnesses: state.witnesses.clone() };
    change.make(async move { Ok(Json(state.apps.sleep(&app, request).await?)) }).await
}

/// The reason as it may stand in a log line.
fn printable_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let Some(reason) = reason else { return Ok(None) };
    check_reason(&reason).map_err(|why| Problem::new(Kind::BadRequest, why))?;
    let line = printable(&reason);
    Ok((!line.is_empty()).then_some(line))
}

/// Text that a client sent, as it may stand in a log line.
pub(super) fn printable(text: &str) -> String {
    let line: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    line.trim().to_owned()
}
