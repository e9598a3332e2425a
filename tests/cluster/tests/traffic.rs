//! Services, endpoints and pods as clients see them: real containers, real rules, clients in a pod's network.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::api::DeleteParams;
use reveille_tests_cluster::{Context, Network, ms, secs, until, workload::nginx_pod};
use serde_json::json;

use crate::support::{scale, seconds, since, until_answer, web};

/// A real nginx from Debian, asleep at zero, is scaled up, and answers a client by its Service.
pub(crate) async fn nginx_from_zero(t: Context) {
    let (namespace, url) = web(&t, 0).await;
    let client = namespace.client_pod("client").await;

    let started = Instant::now();
    let refused =
        client.get(&url, secs(5)).await.expect_err("a Service without endpoints has nobody to answer");
    assert!(refused.contains("refused") || refused.contains("connect"), "{refused}");
    t.figure(&format!("a Service without endpoints refuses after {}", since(started)));

    let started = Instant::now();
    scale(&namespace, "web", 1).await;
    let pod = namespace.ready_pod("web").await;
    let ready = started.elapsed();
    let name = pod.metadata.name.clone().unwrap();
    until_answer(&client, &url, |body| body.trim() == name).await;
    t.figure(&format!(
        "scaled from 0 to 1: ready after {}, answers by its Service after {}",
        seconds(ready),
        since(started)
    ));

    scale(&namespace, "web", 0).await;
    until("no pod is left", secs(30), async || namespace.pods("web").await.is_empty()).await;
    until("the Service refuses again", secs(10), async || client.get(&url, ms(500)).await.is_err()).await;
}

/// A Service with a selector can have a slice of somebody else's beside its own: both take traffic, and either alone
/// takes all of it.
pub(crate) async fn a_slice_beside_the_selectors(t: Context) {
    let (namespace, url) = web(&t, 1).await;
    let client = namespace.client_pod("client").await;
    namespace
        .create::<Pod>(
            json!({ "metadata": { "name": "other", "labels": { "app": "other" } }, "spec": nginx_pod() }),
        )
        .await;
    let (own, other) = tokio::join!(namespace.ready_pod("web"), namespace.ready_pod("other"));
    let own = own.metadata.name.unwrap();
    until_answer(&client, &url, |body| body.trim() == own).await;

    let started = Instant::now();
    let address = other.status.unwrap().pod_ip.unwrap();
    namespace
        .create::<EndpointSlice>(json!({
            "metadata": {
                "name": "web-other",
                "labels": {
                    "kubernetes.io/service-name": "web",
                    "endpointslice.kubernetes.io/managed-by": "reveille.test",
                },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true }, "nodeName": "node1" }],
        }))
        .await;
    until_answer(&client, &url, |body| body.trim() == "other").await;
    let taken = since(started);
    let mut ours = 0;
    for _ in 0..50 {
        ours += usize::from(client.get(&url, secs(1)).await.expect("both answer").body.trim() == "other");
    }
    assert!((5..=45).contains(&ours), "{ours} of 50 new connections went to the slice of ours");

    scale(&namespace, "web", 0).await;
    until("no pod is left", secs(30), async || namespace.pods("web").await.is_empty()).await;
    // The rules for Services follow a moment later; until then some connections are sent to nobody.
    until_all_answer(&client, &url, "other").await;

    scale(&namespace, "web", 1).await;
    let own = namespace.ready_pod("web").await.metadata.name.unwrap();
    namespace.api::<EndpointSlice>().delete("web-other", &DeleteParams::default()).await.unwrap();
    let direct = until_all_answer(&client, &url, &own).await;
    t.figure(&format!(
        "a slice of ours took traffic after {taken}, {ours} of 50 beside the pod's own; removed, all was direct after {}",
        seconds(direct)
    ));
    let service: Service = namespace.get("web").await;
    assert!(service.spec.unwrap().selector.is_some(), "the Service is as it was");
}

/// Waits until each of ten new connections is answered by the pod of this name.
async fn until_all_answer(client: &Network, url: &str, name: &str) -> Duration {
    until(&format!("{name} takes all traffic"), secs(30), async || {
        for _ in 0..10 {
            match client.get(url, secs(1)).await {
                Ok(answer) if answer.body.trim() == name => {}
                _ => return false,
            }
        }
        true
    })
    .await
}
