//! Targets of other kinds, such as Reveille may not scale, such as another app or another writer has in hand.

use std::cell::Cell;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Pod, ReplicationController, Service},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use reveille_tests_cluster::{
    Context, Image, Namespace, Network, Plan, ScaledApp, ms, reveille, secs, until,
    workload::{deployment, nginx_pod, service_without_selector},
};
use serde_json::json;

use crate::{
    apps::{Mode, nginx},
    support::{seconds, url},
};

/// A namespace with a client and the Service `web`, whose URL is returned.
async fn bed(t: &Context) -> (Namespace, Network, String) {
    t.reveille().await;
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    let client = namespace.client_pod("client").await;
    let service: Service = namespace.create(service_without_selector("web")).await;
    (namespace, client, url(&service))
}

/// Wakes it by a request, and waits until it is asleep again without pods.
async fn wakes_and_sleeps(namespace: &Namespace, app: &ScaledApp, client: &Network, url: &str) {
    app.until_phase("Asleep", secs(60)).await;
    until("it is woken", secs(60), async || {
        client.get(url, secs(30)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    app.until_phase("Asleep", secs(60)).await;
    until("its pods are gone", secs(60), async || namespace.pods("web").await.is_empty()).await;
}

/// A ReplicaSet wakes and sleeps as a Deployment does.
pub(crate) async fn a_replica_set(t: Context) {
    let (namespace, client, url) = bed(&t).await;
    namespace.create::<ReplicaSet>(deployment("web", 0, &nginx_pod())).await;
    let spec = json!({ "target": { "kind": "ReplicaSet", "name": "web" }, "service": "web",
        "idle": { "ttl": "1s" } });
    let app = ScaledApp::create(&namespace, "web", &spec).await;
    wakes_and_sleeps(&namespace, &app, &client, &url).await;
}

/// A kind for which the chart gives no rights: the condition names what to grant, and the app works once that is done.
pub(crate) async fn what_is_not_permitted(t: Context) {
    let (namespace, client, url) = bed(&t).await;
    let mut manifest = deployment("web", 0, &nginx_pod());
    manifest["spec"]["selector"] = json!({ "app": "web" });
    namespace.create::<ReplicationController>(manifest).await;
    let spec = json!({
        "target": { "apiVersion": "v1", "kind": "ReplicationController", "name": "web" },
        "service": "web", "idle": { "ttl": "1s" },
    });
    let app = ScaledApp::create(&namespace, "web", &spec).await;
    let message = app.until_condition("Ready", false, "NotPermitted").await;
    assert!(message.contains("grant its ServiceAccount the verb get"), "{message}");
    assert!(message.contains("replicationcontrollers"), "{message}");
    app.event("NotPermitted").await;
    t.figure(&format!("a ReplicationController without rights: {message}"));

    let rule = json!({ "apiGroups": [""], "verbs": ["get", "list", "watch", "update", "patch"],
        "resources": ["replicationcontrollers", "replicationcontrollers/scale"] });
    namespace.create::<Role>(json!({ "metadata": { "name": "reveille" }, "rules": [rule] })).await;
    let account = |plane: &str| {
        json!({ "kind": "ServiceAccount", "namespace": reveille::NAMESPACE,
        "name": format!("{}-{plane}", reveille::RELEASE) })
    };
    namespace
        .create::<RoleBinding>(json!({
            "metadata": { "name": "reveille" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reveille" },
            "subjects": [account("activator"), account("controller")],
        }))
        .await;
    app.until("ready once it is granted", secs(60), |status| status.is_ready()).await;
    wakes_and_sleeps(&namespace, &app, &client, &url).await;
}

/// Two apps of one Service: the younger one is refused, the older one goes on, and its end frees the Service.
pub(crate) async fn two_of_one_service(t: Context) {
    let good = nginx(Mode::Proxy).make(&t).await;
    good.namespace.create::<Deployment>(deployment("other", 0, &nginx_pod())).await;
    // Which is the older one is known to the second.
    tokio::time::sleep(ms(1_100)).await;
    let spec = json!({ "target": { "name": "other" }, "service": "web" });
    let second = ScaledApp::create(&good.namespace, "second", &spec).await;
    let message = second.until_condition("Ready", false, "PortConflict").await;
    assert!(message.contains("ScaledApp web") && message.contains("a Service of its own"), "{message}");
    second.event("PortConflict").await;
    good.call().await;
    assert!(good.scaled.status().await.is_ready(), "the other app is as it was");
    good.until_asleep().await;
    assert!(good.namespace.pods("other").await.is_empty(), "the request was for the older one");
    good.scaled.delete().await;
    second.until("ready once the Service is free", secs(60), |status| status.is_ready()).await;
    t.figure(&format!("two apps of one Service: {message}"));
}

/// One who sets the count back whenever it is 0: named in the condition, and requests are served all the time.
pub(crate) async fn one_who_sets_it_back(t: Context) {
    const MANAGER: &str = "keeps-it-at-one";
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "1s" } })).make(&t).await;
    let deployments = app.namespace.api::<Deployment>();
    let times = Cell::new(0_u32);
    let sets_it_back = async {
        let manifest = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web" }, "spec": { "replicas": 1 } });
        let apply = PatchParams::apply(MANAGER).force();
        loop {
            if app.replicas().await == 0 {
                deployments.patch("web", &apply, &Patch::Apply(&manifest)).await.unwrap();
                times.set(times.get() + 1);
            }
            tokio::time::sleep(ms(100)).await;
        }
    };
    let load = app.client.load(&Plan { clients: 2, pause: secs(4), ..app.plan() });
    let started = std::time::Instant::now();
    let message = tokio::select! {
        never = sets_it_back => never,
        message = app.scaled.until_condition("Ready", false, "ReplicasContested") => message,
    };
    let known = started.elapsed();
    assert!(message.contains(MANAGER) && message.contains("spec.suspend"), "{message}");
    let tally = load.end().await;
    t.figure(&format!(
        "set back {} times, said after {}: {message}; meanwhile {}",
        times.get(),
        seconds(known),
        tally.text()
    ));
    tally.assert_whole();
    app.call().await;
}

/// A pod that only looks like the app's: said, left out of its traffic, and no hindrance to sleeping and waking.
pub(crate) async fn a_foreign_pod(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "1s" } })).make(&t).await;
    app.until_asleep().await;
    let mut pod = nginx_pod();
    pod["terminationGracePeriodSeconds"] = 0.into();
    let manifest = json!({ "metadata": { "name": "looks-alike", "labels": { "app": "web" } }, "spec": pod });
    app.namespace.create::<Pod>(manifest).await;
    app.namespace.ready_pod("web").await;
    let started = std::time::Instant::now();
    let message = app.scaled.until_condition("Ready", false, "ForeignPods").await;
    assert!(message.contains("looks-alike"), "{message}");
    t.figure(&format!("a foreign pod is said after {}: {message}", seconds(started.elapsed())));
    app.scaled.event("ForeignPods").await;
    // Nobody but the app's own answers, and it is woken beside that one.
    until("requests are answered by its own pods", secs(60), async || {
        let answer = app.client.get(&app.url("/"), secs(30)).await;
        let own: Vec<_> = app
            .pods()
            .await
            .iter()
            .filter_map(|pod| pod.metadata.name.clone())
            .filter(|name| name != "looks-alike")
            .collect();
        answer.is_ok_and(|answer| answer.status == 200 && own.iter().any(|name| answer.body.contains(name)))
    })
    .await;
    let tally = app.crowd(20).await;
    tally.assert_whole();
    assert!(tally.bodies.iter().all(|body| !body.contains("looks-alike")), "{:?}", tally.bodies);
    app.scaled.until_phase("Asleep", secs(60)).await;
    app.namespace.api::<Pod>().delete("looks-alike", &DeleteParams::default()).await.unwrap();
    app.scaled.until("it is ready", secs(90), |status| status.is_ready()).await;
    app.call().await;
    app.until_asleep().await;
}

/// Ports that lead nowhere are named, with those that there are.
pub(crate) async fn ports_that_lead_nowhere(t: Context) {
    let (namespace, client, _) = bed(&t).await;
    let mut manifest = service_without_selector("named");
    manifest["spec"]["ports"] = json!([
        { "name": "http", "port": 80, "targetPort": 80 }, { "name": "extra", "port": 81, "targetPort": "nowhere" }]);
    let service: Service = namespace.create(manifest).await;
    namespace.create::<Deployment>(deployment("named", 1, &nginx_pod())).await;
    let spec = json!({ "target": { "name": "named" }, "service": "named", "idle": { "ttl": "never" } });
    let app = ScaledApp::create(&namespace, "named", &spec).await;
    let message = app.until_condition("Ready", false, "PortNotFound").await;
    assert!(message.contains("nowhere"), "{message}");
    t.figure(&format!("a port that the pods lack: {message}"));
    until("the other port is served", secs(60), async || {
        client.get(&url(&service), secs(30)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let spec = json!({ "target": { "name": "other" }, "service": "web",
        "wake": { "readiness": { "http": { "port": "nothing", "path": "/" } } } });
    namespace.create::<Deployment>(deployment("other", 0, &nginx_pod())).await;
    let other = ScaledApp::create(&namespace, "other", &spec).await;
    let message = other.until_condition("Ready", false, "InvalidSpec").await;
    assert!(message.contains("nothing"), "{message}");
}
