//! Nodes from nothing, with their devices, and gone again.

use std::time::Instant;

use k8s_openapi::api::{apps::v1::Deployment, core::v1 as core};
use kube::{Api, api::DeleteParams};
use reveille_tests_cluster::{
    Autoscaler, Context, Image, Namespace, NodeSpec, Pool, ms, secs, until, until_some,
    workload::{deployment, nginx_pod},
};
use serde_json::{Value, json};

use crate::support::{scale, seconds, since};

/// A node as cloud pools of GPUs have them.
pub(crate) fn gpu_node(pool: &str) -> NodeSpec {
    NodeSpec::new(pool)
        .label("accelerator", "nvidia")
        .label("agentpool", pool)
        .taint("sku", "gpu", "NoSchedule")
        .resource("nvidia.com/gpu", 1)
}

/// A pod that runs there and nowhere else.
pub(crate) fn gpu_pod(pool: &str) -> Value {
    let mut pod = nginx_pod();
    pod["nodeSelector"] = json!({ "accelerator": "nvidia", "agentpool": pool });
    pod["tolerations"] =
        json!([{ "key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule" }]);
    pod["containers"][0]["resources"] = json!({ "limits": { "nvidia.com/gpu": 1 } });
    pod
}

/// The name of the one pod of `model`.
async fn pod_name(namespace: &Namespace) -> String {
    until_some("the Deployment makes a pod", secs(30), async || {
        namespace.pods("model").await.into_iter().find_map(|pod| pod.metadata.name)
    })
    .await
}

/// From no node at all to a pod that answers, and back.
pub(crate) async fn gpu_from_zero(t: Context) {
    const POOL: &str = "gpu";
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    let pool =
        Pool::new(POOL, gpu_node(POOL)).only(namespace.name()).max(5).provision(secs(1)).unneeded(secs(2));
    let autoscaler = Autoscaler::start(&t.cluster, pool);
    namespace.create::<Deployment>(deployment("model", 0, &gpu_pod(POOL))).await;

    let started = Instant::now();
    scale(&namespace, "model", 1).await;
    let name = pod_name(&namespace).await;
    namespace.event(&name, "FailedScheduling: 0/1 nodes are available").await;
    let triggered = namespace.event(&name, "TriggeredScaleUp: ").await;
    assert_eq!(triggered, "TriggeredScaleUp: pod triggered scale-up: [{gpu 0->1 (max: 5)}]");
    let asked = started.elapsed();
    let pod = namespace.ready_pod("model").await;
    let ready = started.elapsed();
    let node = pod.spec.unwrap().node_name.unwrap();
    assert_eq!(node, "gpu-1");
    assert_eq!(autoscaler.size().await, 1);

    scale(&namespace, "model", 0).await;
    until("the pod is gone", secs(30), async || namespace.pods("model").await.is_empty()).await;
    let started = Instant::now();
    autoscaler.until_empty(secs(30)).await;
    let nodes: Api<core::Node> = Api::all(t.cluster.client());
    assert!(nodes.get_opt("gpu-1").await.unwrap().is_none(), "the Node object went with its machine");
    t.figure(&format!(
        "GPU from zero: scale-up triggered after {}, with a machine 1 s later the pod is ready after {}; \
         the empty node (2 s) is gone after {}",
        seconds(asked),
        seconds(ready),
        since(started)
    ));
}

/// A cloud that has no machine to give: the pod stays Pending and says why, until there is one.
pub(crate) async fn a_pool_that_has_no_machine(t: Context) {
    const POOL: &str = "scarce";
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    let autoscaler = Autoscaler::start(
        &t.cluster,
        Pool::new(POOL, gpu_node(POOL)).only(namespace.name()).unneeded(ms(500)),
    );
    autoscaler.exhausted(true).await;
    namespace.create::<Deployment>(deployment("model", 1, &gpu_pod(POOL))).await;
    let name = pod_name(&namespace).await;
    let said = namespace.event(&name, "NotTriggerScaleUp: ").await;
    assert!(said.ends_with("1 in backoff after failed scale-up"), "{said}");
    autoscaler.exhausted(false).await;
    namespace.ready_pod("model").await;
    // There is room for one on a node, and for one node.
    scale(&namespace, "model", 2).await;
    let waiting = until_some("the second pod", secs(30), async || {
        let pods = namespace.pods("model").await;
        pods.into_iter().filter_map(|pod| pod.metadata.name).find(|other| *other != name)
    })
    .await;
    let said = namespace.event(&waiting, "NotTriggerScaleUp: ").await;
    assert!(said.ends_with("1 max node group size reached"), "{said}");
    scale(&namespace, "model", 0).await;
    autoscaler.until_empty(secs(30)).await;
}

/// A machine that lost its power neither answers nor refuses.
pub(crate) async fn a_killed_one_is_silent(t: Context) {
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    t.cluster
        .start_node(NodeSpec::new("doomed").label("pool", "doomed").taint("pool", "doomed", "NoSchedule"))
        .await;
    let mut pod = nginx_pod();
    pod["nodeSelector"] = json!({ "pool": "doomed" });
    pod["tolerations"] = json!([{ "key": "pool", "operator": "Exists" }]);
    namespace.create::<Deployment>(deployment("model", 1, &pod)).await;
    let client = namespace.client_pod("client").await;
    let pod = namespace.ready_pod("model").await;
    let url = format!("http://{}/", pod.status.unwrap().pod_ip.unwrap());
    assert_eq!(client.get(&url, secs(5)).await.unwrap().status, 200);
    t.cluster.kill_node("doomed").await;
    // While its processes end, the kernel may still refuse for them.
    until("nobody is there", secs(20), async || {
        client.get(&url, secs(1)).await.is_err_and(|silence| silence.contains("timed out"))
    })
    .await;
    let nodes: Api<core::Node> = Api::all(t.cluster.client());
    assert!(nodes.get_opt("doomed").await.unwrap().is_some(), "nobody told the API server yet");
    nodes.delete("doomed", &DeleteParams::default()).await.unwrap();
}
