//! Apps as tests observe them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::{Client, client::Body};
use reveille_core::{
    app::AppId,
    control::AppPort,
    resource::{Reason, ScaledApp},
};
use serde_json::{Value, json};

use super::{
    observe::{Observed, Problem},
    phase,
    pods::{PodView, from_json},
    service,
    traits::{ActivatorPod, Scale, Standing},
};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

pub(crate) fn app(spec: Value, status: Value) -> ScaledApp {
    let mut app = json!({
        "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
        "metadata": {"name": "web", "namespace": "team", "uid": "u1", "generation": 1},
        "spec": {"target": {"name": "web"}, "service": "web"},
    });
    let Value::Object(fields) = spec else { panic!("a spec is an object") };
    app["spec"].as_object_mut().unwrap().extend(fields);
    app["status"] = status;
    serde_json::from_value(app).unwrap()
}

pub(crate) fn pod(n: u32, ready: bool, gate: Option<bool>) -> PodView {
    let gates = gate.map(|_| json!([{"conditionType": "reveille.dev/direct"}])).unwrap_or(json!([]));
    from_json(json!({
        "metadata": {"name": format!("web-{n}"), "uid": format!("p{n}"), "resourceVersion": "5"},
        "spec": {"nodeName": "n", "readinessGates": gates, "containers": []},
        "status": {
            "podIP": "10.1.0.1",
            "conditions": [
                {"type": "ContainersReady", "status": if ready { "True" } else { "False" }},
                {"type": "reveille.dev/direct", "status": if gate == Some(true) { "True" } else { "False" }},
            ],
        },
    }))
}

fn activator() -> ActivatorPod {
    let port = AppPort { app: AppId::new("team", "web"), port: 20_000 };
    ActivatorPod {
        name: "activator-1".into(),
        uid: "a1".into(),
        addresses: vec![[10, 0, 0, 1].into()],
        node: None,
        standing: Standing::Ready,
        open: Arc::new([port].into()),
    }
}

/// An app with its Service, one activator, and these replicas.
pub(crate) fn observed(app: ScaledApp, selector: bool, replicas: u32, pods: Vec<PodView>) -> Observed {
    let mut spec = json!({"ports": [{"port": 80, "targetPort": 8080}]});
    if selector {
        spec["selector"] = json!({"app": "web"});
    }
    let kube = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
    let view = service::view(&kube, None).unwrap();
    let ports = serde_json::from_value(json!([
        {"servicePort": 80, "port": 20_000, "protocol": "http", "upstream": 8080}]))
    .unwrap();
    let resolved = app.resolve().map_err(|_| Problem::new(Reason::InvalidSpec, "wrong"));
    Observed {
        app,
        resolved,
        conflict: None,
        host_conflict: None,
        service: Ok(view),
        ports: Ok(ports),
        scale: Ok(Scale {
            replicas,
            existing: replicas,
            selector: Some("app=web".into()),
            version: "1".into(),
        }),
        pods,
        foreign: Vec::new(),
        events: Vec::new(),
        slices: Vec::new(),
        shown: false,
        private: None,
        activators: [activator()].into(),
        to_zero: None,
        unchanged_for: phase::REST,
        contested: None,
        silent: None,
    }
}

/// What an API server was asked: method, path and body.
pub(crate) type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A client of an API server that gives these answers, one after the other, and never answers again.
pub(crate) fn api_server(answers: impl IntoIterator<Item = (u16, Value)>) -> (Client, Asked) {
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
    let asked = Asked::default();
    let note = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answers, note) = (Arc::clone(&answers), Arc::clone(&note));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            note.lock().unwrap().push((head.method.to_string(), head.uri.to_string(), body));
            let next = answers.lock().unwrap().pop_front();
            let Some((status, body)) = next else { return std::future::pending().await };
            let answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
            Ok::<_, Infallible>(answer.body(Body::from(body.to_string().into_bytes())).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

/// The scale of the Deployment `team/web`, as an API server answers it.
pub(crate) fn scale(version: &str, spec: &Value) -> (u16, Value) {
    let body = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": "web", "namespace": "team", "resourceVersion": version},
        "spec": spec, "status": {"replicas": 2, "selector": "app=web"},
    });
    (200, body)
}

/// How an API server refuses.
pub(crate) fn problem(code: u16, reason: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "says why",
    });
    (code, body)
}
