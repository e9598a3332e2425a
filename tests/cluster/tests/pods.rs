//! Containers that cannot start, or are killed: what the reasons of failed wakes are made of.

use std::time::Instant;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use nix::sys::signal::Signal;
use reveille_tests_cluster::{
    Context, Image, Namespace, secs, until, until_some,
    workload::{deployment, nginx_pod, pod},
};

use crate::support::{since, until_answer, web};

/// Waits for the reason why the container of `web` waits.
async fn waits_for(namespace: &Namespace, reason: &str) -> Pod {
    until_some(&format!("the container waits: {reason}"), secs(90), async || {
        namespace.pods("web").await.into_iter().find(|pod| {
            let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
            let mut reasons =
                statuses.filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
            reasons.any(|found| found == reason)
        })
    })
    .await
}

/// A command that ends at once is a real `CrashLoopBackOff`.
pub(crate) async fn crash_loop(t: Context) {
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    let mut pod = nginx_pod();
    pod["containers"][0]["args"] = serde_json::json!(["-g", "no_such_directive;"]);
    namespace.create::<Deployment>(deployment("web", 1, &pod)).await;
    let pod = waits_for(&namespace, "CrashLoopBackOff").await;
    let name = pod.metadata.name.unwrap();
    namespace.event(&name, "BackOff: Back-off restarting failed container").await;
    let log = namespace.kubectl(&["logs", &name, "--previous"]).await.ok();
    assert!(log.contains("no_such_directive"), "{log}");
}

/// An image that is not there is a real `ErrImageNeverPull`.
pub(crate) async fn missing_image(t: Context) {
    let namespace = t.namespace().await;
    namespace.create::<Deployment>(deployment("web", 1, &pod(&Image::new("nobody-made-this")))).await;
    waits_for(&namespace, "ErrImageNeverPull").await;
}

/// A container that was killed is started again by its kubelet, in the same pod.
pub(crate) async fn killed_container(t: Context) {
    let (namespace, url) = web(&t, 1).await;
    let client = namespace.client_pod("client").await;
    let pod = namespace.ready_pod("web").await;
    let name = pod.metadata.name.clone().unwrap();
    until_answer(&client, &url, |body| body.trim() == name).await;
    let started = Instant::now();
    t.cluster.signal(&pod, "app", Signal::SIGKILL).await;
    until("it is started again", secs(30), async || {
        let pod: Pod = namespace.get(&name).await;
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        statuses.iter().any(|status| status.restart_count == 1 && status.ready)
    })
    .await;
    until_answer(&client, &url, |body| body.trim() == name).await;
    t.figure(&format!("a killed container answers again after {}", since(started)));
}
