//! A control plane that is gone, hangs or forgets. These have the cluster to themselves.

use std::time::Instant;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, VersionMatch, WatchEvent, WatchParams};
use reveille_tests_cluster::{Context, secs, until};
use serde_json::json;

use crate::support::{scale, seconds, since, until_answer, web};

/// Without its API server what runs goes on; with it again, everything does.
pub(crate) async fn api_server(t: Context) {
    let (namespace, url) = web(&t, 1).await;
    let client = namespace.client_pod("client").await;
    let pod = namespace.ready_pod("web").await.metadata.name.unwrap();
    until_answer(&client, &url, |body| body.trim() == pod).await;

    t.cluster.stop_api_server().await;
    let gone = namespace.api::<ConfigMap>().list(&ListParams::default()).await;
    assert!(matches!(gone, Err(error) if !matches!(error, kube::Error::Api(_))), "nobody is there to answer");
    for _ in 0..10 {
        assert_eq!(client.get(&url, secs(1)).await.unwrap().body.trim(), pod, "awake apps serve");
    }

    let started = Instant::now();
    t.cluster.start_api_server().await;
    let ready = started.elapsed();
    scale(&namespace, "web", 0).await;
    until("the controllers are back", secs(60), async || namespace.pods("web").await.is_empty()).await;
    t.figure(&format!(
        "the API server is ready {} after its start, the controllers act after {}",
        seconds(ready),
        since(started)
    ));
}

/// An etcd that hangs is an API server that does not answer, which is worse than one that is gone.
pub(crate) async fn etcd_hangs(t: Context) {
    let namespace = t.namespace().await;
    let map = serde_json::from_value(json!({ "metadata": { "name": "written" } })).unwrap();
    let parameters = PostParams::default();
    let api = namespace.api::<ConfigMap>();
    t.cluster.pause_etcd().await;
    let write = api.create(&parameters, &map);
    pin_mut!(write);
    assert!(tokio::time::timeout(secs(2), &mut write).await.is_err(), "a write waits for etcd");
    let started = Instant::now();
    t.cluster.resume_etcd().await;
    // Its outcome was unknown; now it is there.
    write.await.unwrap();
    t.figure(&format!("a write that etcd held was done {} after etcd went on", since(started)));
}

/// After a compaction an API server that was just started says of an old version that it is gone, in lists and watches:
/// 410. One that runs still knows what it has seen.
pub(crate) async fn etcd_forgets(t: Context) {
    let namespace = t.namespace().await;
    let api = namespace.api::<ConfigMap>();
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "later" } })).unwrap();
    api.create(&PostParams::default(), &map).await.unwrap();
    let old = ListParams::default().at(&version).matching(VersionMatch::Exact);
    assert!(api.list(&old).await.is_ok(), "an old version can be read");
    t.cluster.compact_etcd().await;
    assert!(api.list(&old).await.is_ok(), "the API server has seen it");

    t.cluster.stop_api_server().await;
    t.cluster.start_api_server().await;
    let gone = api.list(&old).await.map(drop);
    assert!(matches!(&gone, Err(kube::Error::Api(status)) if status.code == 410), "{gone:?}");
    let watch = api.watch(&WatchParams::default(), &version).await;
    let gone = match watch {
        Ok(events) => {
            pin_mut!(events);
            let first =
                tokio::time::timeout(secs(10), events.next()).await.expect("the watch says something");
            matches!(&first, Some(Ok(WatchEvent::Error(status))) if status.code == 410)
        }
        Err(error) => matches!(error, kube::Error::Api(status) if status.code == 410),
    };
    assert!(gone, "the watch is told to list anew");
}
