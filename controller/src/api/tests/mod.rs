//! The admin port against a fake set of apps.

mod access;
mod addresses;
mod bodies;
mod calls;
mod deployments;
mod description;
mod events;
mod origin;
mod server;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use http::{Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use reveille_core::{
    api::{AppStatus, ProblemBody, SleepRequest},
    app::AppId,
    phase::Phase,
    scale::{DeploymentStatus, ScaleState, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::{Access, AllowedHosts, ApiState, router};
use crate::{
    feed::Feed,
    keys::KeyRing,
    traits::{Apps, BoxFuture, DeploymentError, Deployments, Refusal},
};

/// One app, `local/web`; what was asked of it is noted.
#[derive(Default)]
struct FakeApps {
    refusal: Option<Refusal>,
    /// What every call about a Deployment fails with.
    failure: Option<DeploymentError>,
    draining: bool,
    /// Another one may lead.
    stands_by: bool,
    /// What was called, with the reason.
    calls: Mutex<Vec<String>>,
    /// If set, a sleep lasts until this is notified.
    hold_sleep: Option<Arc<Notify>>,
    feed: Arc<Feed>,
    keys: Option<Arc<KeyRing>>,
}

fn status(app: &AppId, phase: Phase) -> AppStatus {
    AppStatus {
        id: app.clone(),
        phase,
        since: Timestamp::UNIX_EPOCH,
        replicas: 0,
        in_flight: 0,
        held: 0,
        sleeps_in_ms: None,
        ttl: "30s".into(),
        listen: vec!["127.0.0.1:8081".into()],
        hosts: vec![],
        wake: None,
        wake_on_request: true,
        retry_in_ms: None,
        awake_until: None,
        schedule: None,
        asleep_ms: 0,
        saved: None,
        problem: None,
        pending: None,
    }
}

impl FakeApps {
    fn answer(&self, app: &AppId, call: String, phase: Phase) -> Result<AppStatus, Refusal> {
        self.calls.lock().unwrap().push(call);
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None if *app != AppId::local("web") => Err(Refusal::UnknownApp(app.clone())),
            None => Ok(status(app, phase)),
        }
    }
}

impl Apps for FakeApps {
    fn list(&self) -> BoxFuture<'_, Vec<AppStatus>> {
        Box::pin(async { vec![status(&AppId::local("web"), Phase::Asleep)] })
    }

    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>> {
        Box::pin(async move { (*app == AppId::local("web")).then(|| status(app, Phase::Asleep)) })
    }

    fn wake<'a>(
        &'a self,
        app: &'a AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        let keep = keep.map(|keep| format!(" for {} s", keep.as_secs())).unwrap_or_default();
        Box::pin(async move { self.answer(app, format!("wake by {trigger}{keep}"), Phase::Waking) })
    }

    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            if let Some(hold) = &self.hold_sleep {
                hold.notified().await;
            }
            self.answer(app, format!("{request:?}"), Phase::Asleep)
        })
    }

    fn is_ready(&self) -> bool {
        !self.draining
    }
}

impl FakeApps {
    fn scale<T>(&self, of: &AppId, call: String, answer: T) -> Result<T, DeploymentError> {
        self.calls.lock().unwrap().push(call);
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if *of != AppId::local("web") => {
                Err(DeploymentError::NotFound(format!("there is no Deployment {of}")))
            }
            None => Ok(answer),
        }
    }
}

impl Deployments for FakeApps {
    fn ready(&self) -> BoxFuture<'_, Result<&'static str, String>> {
        let ready = if self.draining { Err("it drains".to_owned()) } else { Ok("connected") };
        Box::pin(std::future::ready(ready))
    }

    fn status<'a>(&'a self, of: &'a AppId) -> BoxFuture<'a, Result<DeploymentStatus, DeploymentError>> {
        let status = DeploymentStatus {
            name: of.name.to_string(),
            namespace: of.namespace.to_string(),
            deployment: of.name.to_string(),
            current_replicas: 0,
            desired_replicas: 2,
            available_replicas: 0,
            status: ScaleState::of(0, 2),
            last_scale_time: None,
            scheduled_scale_up: None,
            phase: None,
        };
        Box::pin(async move { self.scale(of, "status".into(), status) })
    }

    fn scale_to_zero<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleToZero,
    ) -> BoxFuture<'a, Result<ScaledToZero, DeploymentError>> {
        let (call, reason) = (format!("{order:?}"), order.reason);
        let scaled = ScaledToZero {
            name: which.name.to_string(),
            namespace: which.namespace.to_string(),
            previous_replicas: 2,
            current_replicas: 0,
            target_replicas: 0,
            target_status: "scaled-to-zero".into(),
            scaling_reason: reason,
            scheduled_scale_up: order.scheduled_scale_up,
            phase: None,
        };
        Box::pin(async move { self.scale(which, call, scaled) })
    }

    fn scale_up<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleUp,
    ) -> BoxFuture<'a, Result<ScaledUp, DeploymentError>> {
        let call = format!("{order:?}");
        let scaled = ScaledUp {
            name: which.name.to_string(),
            namespace: which.namespace.to_string(),
            previous_replicas: 0,
            current_replicas: 0,
            target_replicas: order.replicas,
            target_status: "scaling-up".into(),
            scaling_reason: order.reason,
            phase: None,
        };
        Box::pin(async move { self.scale(which, call, scaled) })
    }
}

fn router_of(apps: Arc<FakeApps>) -> Router {
    let bound = "192.0.2.7:9090".parse().unwrap();
    let allowed_hosts = AllowedHosts::new(bound, ["Box.Example".to_owned()]);
    let registry = prometheus::Registry::new();
    let counter = prometheus::IntCounter::new("reveille_test_total", "A counter – of tests.").unwrap();
    registry.register(Box::new(counter)).unwrap();
    let access = Access::new(apps.keys.clone(), &registry).unwrap();
    let (feed, deployments) = (apps.feed.clone(), apps.clone());
    let may_stand_by = apps.stands_by;
    let (witnesses, time_limit) = (None, super::LOCAL_TIME_LIMIT);
    router(ApiState {
        apps,
        deployments,
        feed,
        access,
        registry,
        allowed_hosts,
        witnesses,
        time_limit,
        may_stand_by,
    })
}

/// A request for `localhost` with more headers.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header(header::HOST, "localhost:9090");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn send(apps: FakeApps, request: Request<Body>) -> Response {
    router_of(Arc::new(apps)).oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Expects a refusal and returns it.
async fn problem(response: Response, status: u16) -> ProblemBody {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let body: ProblemBody = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body.status, status);
    assert!(!body.detail.is_empty() && body.kind.starts_with("https://"), "{body:?}");
    body
}
