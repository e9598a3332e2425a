//! The Scale API: `/health`, `/ready`, and the calls about Deployments. Clients of it exist: see
//! [`reveille_core::scale`].

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use reveille_core::scale::{
    DeploymentStatus, Failed, Health, NotReady, REASON_MAX, Ready, ScaleToZero, ScaleUp, ScaledToZero,
    ScaledUp, Success,
};

use super::{
    ApiState,
    apps::printable,
    audit::Change,
    body::RequiredJson,
    problem::{Kind, Problem},
    target::{ReadDeployment, ScaleDeployment},
};

/// How far ahead a scale-up may be scheduled: a year, and a leap day.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Whether Reveille runs
#[utoipa::path(get, path = "/health", tag = "health", operation_id = "health", security(()),
    responses((status = 200, description = "It does", body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "healthy".to_owned(), time: Timestamp::now() })
}

/// Whether calls can be served
#[utoipa::path(get, path = "/ready", tag = "health", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "They can", body = Ready),
        (status = 503, description = "They cannot, and why", body = NotReady),
    ))]
pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    let time = Timestamp::now();
    match state.deployments.ready().await {
        Ok(kubernetes) => {
            let (status, kubernetes) = ("ready".to_owned(), kubernetes.to_owned());
            Json(Ready { status, kubernetes, time }).into_response()
        }
        Err(error) => {
            let body = NotReady { status: "not ready".to_owned(), error, time };
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// The replicas of a Deployment
#[utoipa::path(get, path = "/api/v1/deployments/{namespace}/{name}/status", tag = "deployments", operation_id = "deploymentStatus",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    responses(
        (status = 200, body = Success<DeploymentStatus>),
        (status = 404, description = "There is no such Deployment or namespace", body = Failed),
        (status = 500, description = "The API server of Kubernetes refused", body = Failed),
        (status = 503, description = "The API server of Kubernetes is out of reach", body = Failed),
    ))]
pub(super) async fn status(
    State(state): State<ApiState>,
    ReadDeployment(which): ReadDeployment,
) -> Result<Json<Success<DeploymentStatus>>, Problem> {
    let deployment = state.deployments.status(&which).await?;
    Ok(success("Deployment status retrieved successfully".to_owned(), deployment))
}

/// Scale a Deployment to zero
///
/// Waits up to 10 s for work in flight. With `scheduled_scale_up` it is woken at that time, whatever happens meanwhile,
/// unless a later call replaces that; without, a wake that was scheduled before is called off. The next request wakes it,
/// unless `wake_on_request` is false.
#[utoipa::path(post, path = "/api/v1/deployments/{namespace}/{name}/scale-to-zero", tag = "deployments", operation_id = "scaleToZero",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    request_body = ScaleToZero,
    responses(
        (status = 200, body = Success<ScaledToZero>),
        (status = 404, description = "There is no such Deployment or namespace", body = Failed),
        (status = 409, description = "It is in use, or on its way elsewhere", body = Failed),
        (status = 500, description = "It could not be done, or the schedule could not be stored", body = Failed),
        (status = 503, description = "The API server of Kubernetes is out of reach, or Reveille is stopping", body = Failed),
    ))]
pub(super) async fn scale_to_zero(
    State(state): State<ApiState>,
    ScaleDeployment(which, caller): ScaleDeployment,
    RequiredJson(order): RequiredJson<ScaleToZero>,
) -> Result<Json<Success<ScaledToZero>>, Problem> {
    let reason = check_reason(&order.reason)?;
    if let Some(at) = order.scheduled_scale_up {
        check_schedule(at, Timestamp::now())?;
    }
    let change = Change {
        caller,
        action: "scale-to-zero",
        app: which.clone(),
        reason,
        witnesses: state.witnesses.clone(),
    };
    let deployment =
        change.make(async move { Ok(state.deployments.scale_to_zero(&which, order).await?) }).await?;
    Ok(success("Deployment scaled to zero".to_owned(), deployment))
}

/// Scale a Deployment to some replicas
///
/// Scales down, too, though not to zero. Does not wait until they can answer. Calls off a scale-up that is scheduled.
#[utoipa::path(post, path = "/api/v1/deployments/{namespace}/{name}/scale-up", tag = "deployments", operation_id = "scaleUp",
    params(("namespace" = String, Path, example = "local"), ("name" = String, Path, example = "web")),
    request_body = ScaleUp,
    responses(
        (status = 200, body = Success<ScaledUp>),
        (status = 404, description = "There is no such Deployment or namespace", body = Failed),
        (status = 409, description = "It is on its way elsewhere", body = Failed),
        (status = 500, description = "It could not be done", body = Failed),
        (status = 503, description = "Its wakes fail, the API server of Kubernetes is out of reach, or Reveille is stopping", body = Failed,
            headers(("Retry-After" = u64, description = "Seconds until a wake is tried again"))),
    ))]
pub(super) async fn scale_up(
    State(state): State<ApiState>,
    ScaleDeployment(which, caller): ScaleDeployment,
    RequiredJson(order): RequiredJson<ScaleUp>,
) -> Result<Json<Success<ScaledUp>>, Problem> {
    let reason = check_reason(&order.reason)?;
    let replicas = order.replicas;
    if replicas == 0 {
        let detail = "replicas is at least 1; to have none, call scale-to-zero";
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    let change =
        Change { caller, action: "scale-up", app: which.clone(), reason, witnesses: state.witnesses.clone() };
    let deployment = change.make(async move { Ok(state.deployments.scale_up(&which, order).await?) }).await?;
    // The word is the contract's, also of one.
    Ok(success(format!("Deployment scaled to {replicas} replicas"), deployment))
}

fn success<T>(message: String, deployment: T) -> Json<Success<T>> {
    Json(Success { status: "success".to_owned(), message, deployment, timestamp: Timestamp::now() })
}

/// The reason as it may stand in a log line, if it has the length it must have.
fn check_reason(reason: &str) -> Result<String, Problem> {
    let (length, reason) = (reason.chars().count(), printable(reason));
    if reason.is_empty() || length > REASON_MAX {
        let detail = format!(
            "the reason has 1 to {REASON_MAX} characters, this one has {length} (blanks alone say nothing)"
        );
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    Ok(reason)
}

fn check_schedule(at: Timestamp, now: Timestamp) -> Result<(), Problem> {
    let bad = |what: &str| {
        let detail = format!("scheduled_scale_up, {at}, {what}; it is now {now}");
        Err(Problem::new(Kind::BadRequest, detail))
    };
    if at <= now {
        return bad("has passed");
    }
    if at.duration_since(now) > AHEAD_MAX {
        return bad("is more than a year ahead");
    }
    Ok(())
}
