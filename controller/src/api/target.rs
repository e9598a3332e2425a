//! The app or Deployment that a path names, once the caller may do with it what the call does.

use axum::extract::{FromRequestParts, Path, rejection::PathRejection};
use http::request::Parts;
use reveille_core::app::{AppId, check_name};

use super::{
    ApiState,
    caller::Caller,
    problem::{Kind, Problem, escaped},
};
use crate::keys::Right;

/// The longest name of a Deployment, which is a DNS name and no single label.
const DEPLOYMENT_MAX: usize = 253;

/// An app that may be read.
pub(super) struct ReadApp(pub(super) AppId);

/// An app that may be woken and put to sleep, and by whom.
pub(super) struct ScaleApp(pub(super) AppId, pub(super) Caller);

/// A Deployment that may be read.
pub(super) struct ReadDeployment(pub(super) AppId);

/// A Deployment that may be scaled, and by whom.
pub(super) struct ScaleDeployment(pub(super) AppId, pub(super) Caller);

impl FromRequestParts<ApiState> for ReadApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let app = app(parts, state).await?;
        allowed(parts, state, Right::Read, &app).await?;
        Ok(Self(app))
    }
}

impl FromRequestParts<ApiState> for ScaleApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let app = app(parts, state).await?;
        let caller = allowed(parts, state, Right::Scale, &app).await?;
        Ok(Self(app, caller))
    }
}

impl FromRequestParts<ApiState> for ReadDeployment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let app = deployment(parts, state).await?;
        allowed(parts, state, Right::Read, &app).await?;
        Ok(Self(app))
    }
}

impl FromRequestParts<ApiState> for ScaleDeployment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let app = deployment(parts, state).await?;
        let caller = allowed(parts, state, Right::Scale, &app).await?;
        Ok(Self(app, caller))
    }
}

/// Its name is well-formed; whether there is such an app is not yet known.
async fn app(parts: &mut Parts, state: &ApiState) -> Result<AppId, Problem> {
    let (namespace, name) = names(parts, state).await?;
    for part in [&namespace, &name] {
        check_name(part).map_err(|why| {
            let app = escaped(&format!("{namespace}/{name}"));
            Problem::new(Kind::UnknownApp, format!("there is no app {app}: {why}"))
        })?;
    }
    Ok(AppId::new(&namespace, &name))
}

async fn deployment(parts: &mut Parts, state: &ApiState) -> Result<AppId, Problem> {
    let (namespace, name) = names(parts, state).await?;
    let is_fit = check_name(&namespace).and_then(|()| check_deployment(&name));
    is_fit.map_err(|why| {
        let named = escaped(&format!("{namespace}/{name}"));
        Problem::new(Kind::UnknownDeployment, format!("there is no Deployment {named}: {why}"))
    })?;
    Ok(AppId::new(&namespace, &name))
}

fn check_deployment(name: &str) -> Result<(), String> {
    if name.len() > DEPLOYMENT_MAX {
        return Err(format!("a name has at most {DEPLOYMENT_MAX} characters"));
    }
    name.split('.').try_for_each(check_name)
}

async fn names(parts: &mut Parts, state: &ApiState) -> Result<(String, String), Problem> {
    let Path(names) = Path::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
        Problem::new(Kind::BadRequest, format!("the path cannot be read: {}", rejection.body_text()))
    })?;
    Ok(names)
}

/// The caller, if it may do that with the app.
async fn allowed(parts: &mut Parts, state: &ApiState, right: Right, app: &AppId) -> Result<Caller, Problem> {
    let caller = Caller::from_request_parts(parts, state).await?;
    if let Err(problem) = caller.check(right, &app.namespace) {
        state.access.count_forbidden();
        let (who, peer, request_id) = (caller.name(), caller.peer, &*caller.request_id.0);
        tracing::warn!(target: "reveille::audit", who, %peer, app = %app, request_id, "refused: {}", problem.detail());
        return Err(problem);
    }
    Ok(caller)
}
