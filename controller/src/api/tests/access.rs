//! Keys: who may call, what, and how often somebody without one.

use super::*;
use crate::keys::{Namespaces, NewKey, Right, new};

const LIST: &str = "/api/v1/apps";
const WAKE: &str = "/api/v1/apps/local/web/wake";
const STATUS: &str = "/api/v1/deployments/local/web/status";

struct Keyed {
    router: Router,
    ring: Arc<KeyRing>,
    all: NewKey,
    reader: NewKey,
    elsewhere: NewKey,
}

fn keyed() -> Keyed {
    let these = |name: &str| Namespaces::These(vec![name.to_owned()]);
    let all = new("admin", Namespaces::All, Right::Scale).unwrap();
    let reader = new("grafana", these("local"), Right::Read).unwrap();
    let elsewhere = new("ml-ci", these("ml"), Right::Scale).unwrap();
    let ring = KeyRing::new(vec![all.kept.clone(), reader.kept.clone(), elsewhere.kept.clone()]);
    let apps = FakeApps { keys: Some(ring.clone()), ..FakeApps::default() };
    Keyed { router: router_of(Arc::new(apps)), ring, all, reader, elsewhere }
}

impl Keyed {
    async fn call(&self, method: &str, path: &str, key: Option<&str>) -> Response {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.router.clone().oneshot(request(method, path, &headers, "")).await.unwrap()
    }

    async fn metric(&self, reason: &str) -> String {
        let metrics = text(self.call("GET", "/metrics", None).await).await;
        let name = format!("reveille_api_auth_failures_total{{reason=\"{reason}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    }
}

#[tokio::test]
async fn without_a_key_only_health_and_metrics_answer() {
    let keyed = keyed();
    for path in ["/livez", "/readyz", "/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(keyed.call("GET", path, None).await.status(), 200, "{path}");
    }
    for (method, path) in [("GET", LIST), ("GET", "/api/v1/events"), ("POST", WAKE), ("GET", STATUS)] {
        let response = keyed.call(method, path, None).await;
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"reveille\"");
    }
    let response = keyed.call("GET", LIST, Some("wrong")).await;
    let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(challenge, "Bearer realm=\"reveille\", error=\"invalid_token\"");
    let body = problem(response, 401).await;
    assert!(body.kind.ends_with("unauthorized") && !body.detail.contains("wrong"), "{body:?}");
    assert_eq!((keyed.metric("missing").await, keyed.metric("unknown").await), ("4".into(), "1".into()));
    // In the words of the Scale API.
    let body: serde_json::Value =
        serde_json::from_str(&text(keyed.call("GET", STATUS, None).await).await).unwrap();
    assert_eq!((&body["status"], &body["message"]), (&"error".into(), &"A key is needed".into()));
}

#[tokio::test]
async fn a_key_is_good_for_what_its_line_says() {
    let keyed = keyed();
    for (key, list, read, wake) in
        [(&keyed.all, 1, 200, 202), (&keyed.reader, 1, 200, 403), (&keyed.elsewhere, 0, 403, 403)]
    {
        let name = &key.kept.name;
        let response = keyed.call("GET", LIST, Some(&key.told)).await;
        let apps: reveille_core::api::AppList = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(apps.apps.len(), list, "{name} sees the apps of its namespaces");
        assert_eq!(
            keyed.call("GET", "/api/v1/apps/local/web", Some(&key.told)).await.status(),
            read,
            "{name}"
        );
        assert_eq!(keyed.call("POST", WAKE, Some(&key.told)).await.status(), wake, "{name}");
    }
    let body = problem(keyed.call("POST", WAKE, Some(&keyed.elsewhere.told)).await, 403).await;
    assert_eq!(body.detail, "the key ml-ci is not good for the namespace local; it is for ml");
    let body = problem(keyed.call("POST", WAKE, Some(&keyed.reader.told)).await, 403).await;
    assert!(body.detail.contains("may only read in the namespace local"), "{body:?}");
    assert_eq!(keyed.metric("forbidden").await, "5");
    let response = keyed.call("GET", STATUS, Some(&keyed.elsewhere.told)).await;
    assert_eq!(response.status(), 403);
    assert!(text(response).await.contains("namespace local"));
}

#[tokio::test]
async fn a_key_is_sent_as_bearer_and_once() {
    let keyed = keyed();
    let good = &keyed.all.told;
    for (values, status) in [
        (vec![format!("Bearer {good}")], 200),
        (vec![format!("bearer  {good} ")], 200),
        (vec![good.clone()], 401),
        (vec![format!("Basic {good}")], 401),
        (vec!["Bearer ".to_owned()], 401),
        (vec![format!("Bearer {good}"), format!("Bearer {good}")], 401),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", value.as_str())).collect();
        let response = keyed.router.clone().oneshot(request("GET", LIST, &headers, "")).await.unwrap();
        assert_eq!(response.status(), status, "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_fails_too_often_is_told_so_and_a_good_key_still_passes() {
    let keyed = keyed();
    for _ in 0..10 {
        problem(keyed.call("GET", LIST, Some("guess")).await, 401).await;
    }
    let response = keyed.call("GET", LIST, Some("guess")).await;
    assert_eq!(response.headers()["retry-after"], "6");
    problem(response, 429).await;
    assert_eq!(keyed.call("GET", LIST, Some(&keyed.all.told)).await.status(), 200);
    assert_eq!(keyed.metric("limited").await, "1");
    tokio::time::advance(Duration::from_secs(6)).await;
    problem(keyed.call("GET", LIST, None).await, 401).await;
    problem(keyed.call("GET", LIST, None).await, 429).await;
}

#[tokio::test]
async fn a_key_that_is_taken_out_is_good_no_longer() {
    let keyed = keyed();
    assert_eq!(keyed.call("GET", LIST, Some(&keyed.all.told)).await.status(), 200);
    keyed.ring.replace(vec![keyed.reader.kept.clone()]);
    assert_eq!(keyed.call("GET", LIST, Some(&keyed.all.told)).await.status(), 401);
    assert_eq!(keyed.call("GET", LIST, Some(&keyed.reader.told)).await.status(), 200);
}

#[tokio::test]
async fn a_request_has_an_id() {
    let id = async |headers: &[(&str, &str)]| {
        let response = send(FakeApps::default(), request("GET", "/nowhere", headers, "")).await;
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(&[("x-request-id", "ci-run/7")]).await, "ci-run/7");
    for bad in ["", "with space", &"x".repeat(129)] {
        assert_eq!(id(&[("x-request-id", bad)]).await.len(), 32, "{bad:?}");
    }
    assert_ne!(id(&[]).await, id(&[]).await);
}
