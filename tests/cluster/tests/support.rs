//! What several modules need.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::Request;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::Client;
use reveille_tests_cluster::{
    Context, Image, Namespace, Network, secs, until,
    workload::{deployment, nginx_pod, service},
};
use serde_json::{Value, json};

/// A namespace with a Deployment of nginx, `web`, and a Service for it, whose address is returned.
pub(crate) async fn web(t: &Context, replicas: u32) -> (Namespace, String) {
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    let (_, service) = tokio::join!(
        namespace.create::<Deployment>(deployment("web", replicas, &nginx_pod())),
        namespace.create::<Service>(service("web")),
    );
    let url = url(&service);
    (namespace, url)
}

/// The address of a Service and its first port: there is no DNS.
pub(crate) fn address_of(service: &Service) -> SocketAddr {
    let spec = service.spec.as_ref().expect("a Service has a spec");
    let ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok());
    let port = spec.ports.iter().flatten().next().and_then(|port| u16::try_from(port.port).ok());
    SocketAddr::new(ip.expect("the API server gives each Service an address"), port.expect("it has a port"))
}

/// The URL of a Service by its own address.
pub(crate) fn url(service: &Service) -> String {
    format!("http://{}/", address_of(service))
}

/// Sets the replicas of a Deployment.
pub(crate) async fn scale(namespace: &Namespace, name: &str, replicas: u32) {
    let patch = json!({ "spec": { "replicas": replicas } });
    let (status, answer) =
        patch_scale(namespace, "deployments", name, "application/merge-patch+json", &patch).await;
    assert_eq!(status, 200, "{answer}");
}

/// Patches `/scale` of a workload of `apps/v1` by the bytes that a client would send, and returns what comes back.
pub(crate) async fn patch_scale(
    namespace: &Namespace,
    resource: &str,
    name: &str,
    kind: &str,
    patch: &Value,
) -> (u16, Value) {
    patch_scale_as(namespace.cluster().client(), namespace, resource, name, kind, patch).await
}

/// The same as somebody else.
pub(crate) async fn patch_scale_as(
    client: Client,
    namespace: &Namespace,
    resource: &str,
    name: &str,
    kind: &str,
    patch: &Value,
) -> (u16, Value) {
    let path = format!("/apis/apps/v1/namespaces/{}/{resource}/{name}/scale", namespace.name());
    let request =
        Request::patch(path).header("content-type", kind).body(patch.to_string().into_bytes()).unwrap();
    match client.request::<Value>(request).await {
        Ok(scale) => (200, scale),
        Err(kube::Error::Api(status)) => (status.code, serde_json::to_value(&*status).unwrap()),
        Err(error) => panic!("{resource}/{name}/scale: {error}"),
    }
}

/// Gets a URL until the answer is as wanted, and returns how long that took.
pub(crate) async fn until_answer(client: &Network, url: &str, wanted: impl Fn(&str) -> bool) -> Duration {
    until(&format!("{url} answers as wanted"), secs(60), async || {
        client.get(url, secs(1)).await.is_ok_and(|answer| answer.status == 200 && wanted(&answer.body))
    })
    .await
}

/// As `1.234 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// As `1.234 s`, up to now.
pub(crate) fn since(start: Instant) -> String {
    seconds(start.elapsed())
}
