//! The control port as the controller sees it, but for TLS: over a connection in memory.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1 as client;
use reveille_core::{directory::Change, resource::ScaledApp};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    app::App,
    cluster::{
        api::ApiError,
        auth::Review,
        object::Now,
        slices::{SliceList, testing},
        stance::Scale,
        waker::ClusterWaker,
    },
    config::Config,
    server::{BindError, Shared},
};
use futures_util::future::BoxFuture;
use reveille_core::resource::TargetSpec;

struct NoWakes;

impl Cluster for NoWakes {
    fn slices<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Result<SliceList, ApiError>> {
        Box::pin(async { Ok(testing::list(1, true)) })
    }

    fn scale<'a>(&'a self, _: &'a AppId, _: &'a TargetSpec) -> BoxFuture<'a, Result<Scale, ApiError>> {
        Box::pin(async { Err(ApiError::Unavailable("not asked here".into())) })
    }

    fn raise<'a>(
        &'a self,
        _: &'a AppId,
        _: &'a TargetSpec,
        _: &'a Scale,
        _: u32,
    ) -> BoxFuture<'a, Result<Scale, ApiError>> {
        Box::pin(async { Err(ApiError::Unavailable("not asked here".into())) })
    }
}

/// A token is the user that shows it.
struct ByName;

impl Review for ByName {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<String>, Unknown>> {
        Box::pin(async move {
            match token {
                "late" => Err(Unknown("out of reach".into())),
                "nobody" => Ok(None),
                user => Ok(Some(user.to_owned())),
            }
        })
    }
}

struct World {
    router: Router,
    ports: watch::Sender<Ports>,
    draining: watch::Sender<bool>,
    _shared: Arc<Shared>,
}

impl World {
    /// With the app `team/web`, which is awake.
    fn new() -> Self {
        let (apps, _) = Apps::new([127, 0, 0, 1].into());
        let shared = Shared::for_tests(Config::default(), Arc::new(ClusterWaker::new(apps.clone())));
        apps.join(&shared);
        let object: ScaledApp = serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": "web", "namespace": "team", "uid": "u"},
            "spec": {"target": {"name": "web"}, "service": "web"}, "status": {"phase": "Awake"},
        }))
        .unwrap();
        apps.heard(&AppId::new("team", "web"), &object, Now::read());
        while let Some((change, ..)) = apps.next_change() {
            let Change::App(entry) = change else { continue };
            let app = App::new(entry.clone(), shared.clone());
            shared.apps().insert(entry.id.clone(), app);
        }
        let (ports, ports_seen) = watch::channel(Ports::default());
        let (draining, draining_seen) = watch::channel(false);
        let router = router(Control {
            apps,
            cluster: Arc::new(NoWakes),
            auth: Arc::new(Auth::new(Box::new(ByName), "controller".into())),
            ports: ports_seen,
            draining: draining_seen,
            boot: "b1".into(),
            first_revision: 1 << 16,
        });
        Self { router, ports, draining, _shared: shared }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let service = TowerToHyperService::new(self.router.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(theirs), service));
        let (mut sender, connection) = client::handshake(TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn only_the_controller_is_answered() {
    let world = World::new();
    for (token, status) in [("", 401), ("nobody", 401), ("other", 403), ("late", 503), ("controller", 200)] {
        let (got, body) = world.call("GET", "/v1/ports", token, "").await;
        assert_eq!(got, status, "{token}");
        assert_eq!(body.get("status").is_some(), status != 200, "{body}");
    }
    assert_eq!(world.call("GET", "/v1/nothing", "", "").await.0, 401, "strangers learn of no path");
}

#[tokio::test]
async fn it_is_shut_and_opened_in_order() {
    let world = World::new();
    let app = "/v1/apps/team/web";
    let post =
        async |what: &str, body: &str| world.call("POST", &format!("{app}/{what}"), "controller", body).await;
    let (status, activity) = world.call("GET", &format!("{app}/activity"), "controller", "").await;
    assert_eq!((status, &activity["boot"], &activity["inFlight"]), (200, &json!("b1"), &json!(0)));
    let (status, activity) = post("shut", r#"{"epoch": 2, "leaseMs": 5000, "later": 1}"#).await;
    assert_eq!((status, &activity["started"]), (200, &json!(0)));
    let (status, problem) = post("shut", r#"{"epoch": 1, "leaseMs": 5000}"#).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(post("open", r#"{"epoch": 2, "outcome": "awake"}"#).await.0, 204);
    assert_eq!(post("open", r#"{"epoch": 2, "outcome": "awake"}"#).await.0, 204, "twice is once");
    assert_eq!(post("shut", r#"{"epoch": 2, "leaseMs": 5000}"#).await.0, 409, "its lease has ended");
    assert_eq!(post("shut", r#"{"epoch": 3, "leaseMs": 5000}"#).await.0, 200);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let long = " ".repeat(MAX_BODY + 1);
    for (method, path, body, status) in [
        ("POST", "/v1/apps/team/web/shut", r#"{"epoch": 1, "leaseMs": 0}"#, 400),
        ("POST", "/v1/apps/team/web/shut", r#"{"epoch": 1, "leaseMs": 60001}"#, 400),
        ("POST", "/v1/apps/team/web/shut", "[]", 400),
        ("POST", "/v1/apps/team/web/shut", &long, 413),
        ("POST", "/v1/apps/team/other/shut", r#"{"epoch": 1, "leaseMs": 1}"#, 404),
        ("POST", "/v1/apps/team/A/open", r#"{"epoch": 1, "outcome": "awake"}"#, 404),
        ("GET", "/v1/apps/team/other/activity", "", 404),
        ("GET", "/v1/apps/team/web/shut", "", 405),
        ("GET", "/v1/ports?after=x", "", 400),
        ("GET", "/v2/ports", "", 404),
    ] {
        let (got, problem) = world.call(method, path, "controller", body).await;
        assert_eq!((got, &problem["status"]), (status, &json!(status)), "{method} {path}: {problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_answered_by_the_next_change() {
    let world = World::new();
    let (_, first) = world.call("GET", "/v1/ports", "controller", "").await;
    let path = format!("/v1/ports?after={}", first["revision"]);
    let at: SocketAddr = "0.0.0.0:20000".parse().unwrap();
    let (app, other) = (AppId::new("team", "web"), "0.0.0.0:20001".parse().unwrap());
    let change = async {
        world.ports.send_modify(|ports| {
            ports.revision += 1;
            ports.open.insert(at, app.clone());
            ports.refused.push(BindError { app: app.clone(), listen: other, reason: "in use".into() });
        });
    };
    let ((_, report), ()) = tokio::join!(world.call("GET", &path, "controller", ""), change);
    assert_eq!(report["open"], json!([{"namespace": "team", "name": "web", "port": 20_000}]));
    assert_eq!(report["refused"][0]["reason"], "in use");
    let path = format!("/v1/ports?after={}", report["revision"]);
    let began = tokio::time::Instant::now();
    let (_, same) = world.call("GET", &path, "controller", "").await;
    assert_eq!((same["revision"].clone(), began.elapsed() >= LONG_POLL), (report["revision"].clone(), true));
    world.draining.send_replace(true);
    let (_, draining) = world.call("GET", &path, "controller", "").await;
    assert_eq!(draining["draining"], true);
}
