//! Apps that are taken out of Reveille's hands are awake, with traffic of their own.

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use reveille_tests_cluster::{Context, secs, until};
use serde_json::json;

use crate::{
    apps::{App, Mode, nginx},
    support::seconds,
};

/// What Reveille made for the app and did not take away.
async fn left(app: &App) -> Vec<String> {
    let label = ListParams::default().labels("reveille.dev/scaled-app");
    let slices = app.namespace.api::<EndpointSlice>().list(&label).await.unwrap().items;
    let services = app.namespace.api::<Service>().list(&label).await.unwrap().items;
    let names = slices.into_iter().map(|slice| slice.metadata.name);
    names.chain(services.into_iter().map(|service| service.metadata.name)).flatten().collect()
}

/// A deleted `ScaledApp`, asleep: its app is woken, its traffic is its own, nothing of Reveille's is left.
pub(crate) async fn one_that_sleeps(t: Context) {
    let app = nginx(Mode::Bypass).make(&t).await;
    app.until_asleep().await;
    let started = std::time::Instant::now();
    app.scaled.delete().await;
    until("it is gone", secs(60), async || app.scaled.object().await.is_none()).await;
    let took = started.elapsed();
    assert_eq!(app.replicas().await, 1);
    assert_eq!(left(&app).await, Vec::<String>::new());
    app.crowd(10).await.assert_whole();
    t.figure(&format!("a sleeping app was given back awake in {}", seconds(took)));
}

/// A deleted namespace goes, with all that is in it.
pub(crate) async fn a_namespace(t: Context) {
    let app = nginx(Mode::Proxy).make(&t).await;
    app.until_asleep().await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(t.cluster.client());
    namespaces.delete(app.namespace.name(), &DeleteParams::default()).await.unwrap();
    let took = until("the namespace is gone", secs(90), async || {
        namespaces.get_opt(app.namespace.name()).await.is_ok_and(|namespace| namespace.is_none())
    })
    .await;
    t.figure(&format!("its namespace was gone after {}", seconds(took)));
}

/// The whole release is uninstalled: every app is awake, with traffic of its own.
pub(crate) async fn the_release(t: Context) {
    let sleeping = nginx(Mode::Bypass).make(&t).await;
    let awake = nginx(Mode::Bypass).named("other").spec(json!({ "idle": { "ttl": "10m" } })).make(&t).await;
    awake.call().await;
    sleeping.until_asleep().await;
    let started = std::time::Instant::now();
    t.cluster.uninstall_reveille().await;
    let took = started.elapsed();
    for app in [&sleeping, &awake] {
        assert!(app.scaled.object().await.is_none());
        assert_eq!(left(app).await, Vec::<String>::new());
        app.crowd(10).await.assert_whole();
    }
    t.figure(&format!("the release was uninstalled in {}", seconds(took)));
}
