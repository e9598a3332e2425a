//! The admin port against a fake set of apps.

mod calls;
mod origin;
mod server;

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, response::Response};
use http::{Request, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use reveille_core::{
    api::{AppStatus, ProblemBody, SleepRequest},
    app::AppId,
    phase::Phase,
};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::{AllowedHosts, ApiState, router};
use crate::traits::{Apps, BoxFuture, Refusal};

/// One app, `local/web`; what was asked of it is noted.
#[derive(Default)]
struct FakeApps {
    refusal: Option<Refusal>,
    draining: bool,
    /// What was called, with the reason.
    calls: Mutex<Vec<String>>,
    /// If set, a sleep lasts until this is notified.
    hold_sleep: Option<Arc<Notify>>,
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

    fn wake<'a>(&'a self, app: &'a AppId, trigger: String) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move { self.answer(app, format!("wake by {trigger}"), Phase::Waking) })
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

fn router_of(apps: Arc<FakeApps>) -> Router {
    let bound = "192.0.2.7:9090".parse().unwrap();
    let allowed_hosts = AllowedHosts::new(bound, ["Box.Example".to_owned()]);
    let registry = prometheus::Registry::new();
    let counter = prometheus::IntCounter::new("reveille_test_total", "A counter – of tests.").unwrap();
    registry.register(Box::new(counter)).unwrap();
    router(ApiState { apps, registry, allowed_hosts })
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
