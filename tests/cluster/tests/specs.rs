//! What is wrong is said where the user looks, with the remedy, and harms no other app.

use k8s_openapi::api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, core::v1::Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use reveille_tests_cluster::{Context, ScaledApp, ms, secs, until, workload::service_without_selector};
use serde_json::json;

use crate::{
    apps::{Mode, nginx},
    support::{scale, url},
};

/// What there is not, yet: the condition names it, and goes when it is made.
pub(crate) async fn what_is_made_later(t: Context) {
    t.reveille().await;
    let namespace = t.namespace().await;
    let made = nginx(Mode::Proxy);
    let app = ScaledApp::create(&namespace, "web", &made.scaled_app()).await;
    let message = app.until_condition("Ready", false, "TargetNotFound").await;
    assert!(message.contains("web") && message.contains("spec.target"), "{message}");
    made.workload(&namespace).await;
    app.until_phase("Asleep", secs(30)).await;
    namespace.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    let message = app.until_condition("Ready", false, "ServiceNotFound").await;
    assert!(message.contains("create the Service"), "{message}");
    let service: Service = namespace.create(service_without_selector("web")).await;
    app.until("ready again", secs(30), |status| status.is_ready()).await;
    let client = namespace.client_pod("client").await;
    until("it is woken", secs(60), async || {
        client.get(&url(&service), secs(5)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    namespace.api::<Deployment>().delete("web", &DeleteParams::default()).await.unwrap();
    app.until_condition("Ready", false, "TargetNotFound").await;
}

/// Services that cannot be taken over, two apps for one of anything, and traffic past Reveille without a signal.
pub(crate) async fn what_cannot_be(t: Context) {
    let good = nginx(Mode::Proxy).make(&t).await;
    let namespace = t.namespace().await;
    let made = nginx(Mode::Bypass);
    made.workload(&namespace).await;

    let mut headless = service_without_selector("headless");
    headless["spec"]["clusterIP"] = "None".into();
    namespace.create::<Service>(headless).await;
    let spec = |service: &str| json!({ "target": { "name": "web" }, "service": service });
    let app = ScaledApp::create(&namespace, "headless", &spec("headless")).await;
    let message = app.until_condition("Ready", false, "UnsupportedService").await;
    assert!(message.contains("headless"), "{message}");
    app.delete().await;
    until("it is gone", secs(30), async || app.object().await.is_none()).await;

    let app = ScaledApp::create(&namespace, "signalless", &spec("web")).await;
    let message = app.until_condition("Ready", false, "NoIdleSignal").await;
    assert!(message.contains("idle.scrape"), "{message}");
    // Which is the older one is known to the second.
    tokio::time::sleep(ms(1_100)).await;
    let second = ScaledApp::create(&namespace, "second", &spec("web")).await;
    second.until_condition("Ready", false, "TargetConflict").await;
    app.delete().await;
    second.until_condition("Ready", false, "NoIdleSignal").await;

    good.call().await;
    let status = good.scaled.until_phase("Awake", secs(30)).await;
    assert!(status.is_ready(), "the other app is as it was: {}", status.0);
}

/// A wake that cannot succeed fails at once, with the reason, for whoever waits; the app is at zero again, and blocked.
pub(crate) async fn a_hopeless_wake(t: Context) {
    let made = nginx(Mode::Proxy).pod(|pod| pod["containers"][0]["image"] = "reveille.test/nowhere:1".into());
    let app = made.make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    let started = std::time::Instant::now();
    let answer = app.client.get(&app.url("/"), secs(60)).await.unwrap();
    let failed = started.elapsed();
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(answer.body.contains("image"), "{}", answer.body);
    app.scaled.until_condition("WakeFailed", true, "ImageNotPulled").await;
    let status = app.scaled.until_phase("Asleep", secs(30)).await;
    assert!(status.0["wakeBlocked"]["message"].is_string(), "{}", status.0);
    assert_eq!(app.replicas().await, 0);
    let again = app.client.get(&app.url("/"), secs(5)).await.unwrap();
    assert_eq!(again.status, 502, "it is not tried again at once");
    t.figure(&format!("a wake without an image fails after {}", crate::support::seconds(failed)));
    // Whoever mends it need not wait.
    let patch = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "app", "image": reveille_tests_cluster::Image::nginx().name() }] } } } });
    app.namespace
        .api::<Deployment>()
        .patch("web", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    app.scaled.change(json!({ "wake": { "deadline": "4m" } })).await;
    until("it is woken", secs(60), async || {
        app.client.get(&app.url("/"), secs(5)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
}

/// Others who write the count: by hand, an autoscaler, and one who keeps setting it back.
pub(crate) async fn other_writers(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "5s" } })).make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    // By hand: awake, and put to sleep as any other when it is idle.
    scale(&app.namespace, "web", 2).await;
    let status = app.scaled.until_phase("Awake", secs(30)).await;
    assert_eq!(status.number("replicas"), Some(2));
    app.until_asleep().await;
    assert_eq!(app.scaled.status().await.number("formerReplicas"), Some(2));
    app.call().await;
    assert_eq!(app.replicas().await, 2, "it is woken to what it had");
    // By hand to zero: a sleep without protocol, undone by the next request.
    scale(&app.namespace, "web", 0).await;
    app.until_asleep().await;
    app.call().await;
    assert_eq!(app.replicas().await, 2);
    // An autoscaler that keeps to 1..n is left alone; one that would scale to zero is refused.
    let hpa = |min: u32| {
        json!({ "metadata": { "name": "web" }, "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": min, "maxReplicas": 3 } })
    };
    app.namespace.create::<HorizontalPodAutoscaler>(hpa(1)).await;
    app.until_asleep().await;
    app.call().await;
    app.scaled.until("ready with an autoscaler", secs(30), |status| status.is_ready()).await;
}

/// A suspended app is left alone.
pub(crate) async fn suspended(t: Context) {
    let app = nginx(Mode::Proxy).replicas(1).make(&t).await;
    app.scaled.change(json!({ "suspend": true })).await;
    app.scaled.until_condition("Ready", false, "Suspended").await;
    app.call().await;
    tokio::time::sleep(secs(5)).await; // more than twice its idle time: what must not happen needs time to happen
    assert_eq!(app.replicas().await, 1, "nobody puts it to sleep");
    app.scaled.change(json!({ "suspend": false })).await;
    app.until_asleep().await;
}
