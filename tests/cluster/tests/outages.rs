//! A control plane that is gone, hangs or forgets. These have the cluster to themselves.

use std::time::Instant;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, LogParams, PostParams, VersionMatch, WatchEvent, WatchParams};
use reveille_tests_cluster::{Connections, Context, Plan, Tally, ms, secs, until};
use serde_json::json;

use crate::{
    apps::{Mode, nginx, paced},
    support::{scale, seconds, since, until_answer, web},
};

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

/// With the API server gone for half a minute an awake app is served as before, and what is held for a sleeping one is
/// answered once the server is back.
pub(crate) async fn api_server_with_apps(t: Context) {
    let awake = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "10m" } })).make(&t).await;
    awake.call().await;
    let asleep = nginx(Mode::Proxy).named("asleep").make(&t).await;
    asleep.until_asleep().await;
    // What the planes' watches have seen last is forgotten: they are told 410, and have to list anew.
    t.cluster.compact_etcd().await;
    t.cluster.stop_api_server().await;
    let flowing =
        awake.client.load(&paced(Plan { clients: 2, connections: Connections::Kept, ..awake.plan() }));
    let held = asleep.client.at_once(&Plan { clients: 20, patience: secs(200), ..asleep.plan() });
    tokio::time::sleep(secs(30)).await; // that long is what is to be shown
    let started = Instant::now();
    t.cluster.start_api_server().await;
    until("the held ones have woken it", secs(120), async || asleep.replicas().await > 0).await;
    let woken = started.elapsed();
    let tally = held.join().await;
    let served = started.elapsed();
    let flowed = flowing.end().await;
    t.figure(&format!(
        "API server gone for 30 s: awake: {}; the sleeping app's count was raised {} after the server's start, and Kubernetes \
         had a pod for it after {}: {}",
        flowed.text(),
        seconds(woken),
        seconds(served),
        tally.text()
    ));
    flowed.assert_whole();
    tally.assert_whole();
    asleep.until_asleep().await;
    asleep.call().await;
    asleep.until_asleep().await;
    let planes = [awake.reveille.activators().await, awake.reveille.controllers().await].concat();
    let mut anew = 0;
    for pod in &planes {
        let name = pod.metadata.name.as_deref().unwrap();
        let log = awake.reveille.pods_api().logs(name, &LogParams::default()).await.unwrap();
        assert!(!log.contains("panicked"), "{name} panicked");
        anew += log.matches("too old resource version").count();
    }
    t.figure(&format!(
        "{anew} watches of the planes were told that what they had seen is forgotten, and began anew"
    ));
    assert!(anew > 0, "nothing was compacted that they had seen");
}

/// An etcd that hangs at each step of falling asleep: a commit that comes late loses nothing.
pub(crate) async fn etcd_hangs_as_an_app_falls_asleep(t: Context) {
    const STEPS: u64 = 8;
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "500ms" } })).make(&t).await;
    let mut all = Tally::default();
    let mut falling = 0;
    for step in 0..STEPS {
        app.call().await;
        if step % 2 == 0 {
            // It has been announced; and then further into the protocol each time.
            app.scaled.comes_to("FallingAsleep").await;
            tokio::time::sleep(ms(step * 5)).await;
        } else {
            // About when its idle time is over, before the announcement and after it.
            tokio::time::sleep(ms(480 + step * 20)).await;
        }
        t.cluster.pause_etcd().await;
        // What the API server has heard of etcd so far.
        falling += u64::from(app.scaled.remembered_status().await.phase() == Some("FallingAsleep"));
        let held = app.client.at_once(&Plan { clients: 4, patience: secs(60), ..app.plan() });
        tokio::time::sleep(secs(3)).await; // that long is what is to be shown
        t.cluster.resume_etcd().await;
        all = all.and(held.join().await);
    }
    t.figure(&format!(
        "etcd hung for 3 s at {STEPS} moments, at {falling} of them as the app fell asleep: {}",
        all.text()
    ));
    assert!(falling > 0, "it never fell asleep then: that tells nothing");
    all.assert_whole();
    app.until_asleep().await;
    app.call().await;
}
