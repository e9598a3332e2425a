//! What a pod that cannot start says: what the reasons of failed wakes are made of.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use reveille_tests_cluster::{
    Context, Image, Namespace, secs, until_some,
    workload::{deployment, nginx_pod, pod},
};

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
