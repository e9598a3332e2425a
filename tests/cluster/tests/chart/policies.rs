//! What RBAC cannot say: the admission policies of the chart, as the ServiceAccounts of the planes meet them.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Service,
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reveille_tests_cluster::{
    Context, Image, secs, until,
    workload::{deployment, pod, service, service_without_selector, stateful_set},
};
use serde_json::{Value, json};

use super::install;
use crate::support::{patch_scale_as, scale};

const MERGE: &str = "application/merge-patch+json";

/// The compare-and-set of a wake passes; whatever else an activator might do to a count does not.
pub(crate) async fn an_activator_may_only_wake(t: Context) {
    let namespace = t.namespace().await;
    install(&namespace, "chart-wake", &[]).await;
    let account = "chart-wake-reveille-activator";
    let client = t.cluster.client_of_service_account(namespace.name(), account).await;
    // Of an image that is on no node: nothing starts, but the counts are real.
    let nothing = pod(&Image::new("nowhere"));
    namespace.create::<Deployment>(deployment("web", 2, &nothing)).await;
    namespace.create::<StatefulSet>(stateful_set("store", 0, &nothing)).await;
    let set = async |resource: &str, name: &str, kind: &str, patch: Value| {
        patch_scale_as(client.clone(), &namespace, resource, name, kind, &patch).await
    };
    let replicas = |count: i32| json!({ "spec": { "replicas": count } });
    let wake = json!([
        { "op": "test", "path": "/spec/replicas", "value": null },
        { "op": "add", "path": "/spec/replicas", "value": 2 },
    ]);
    let json_patch = "application/json-patch+json";

    until("the policy is known", secs(20), async || {
        set("deployments", "web", MERGE, replicas(2)).await.0 == 403
    })
    .await;
    for count in [0, 1, 5] {
        let (status, answer) = set("deployments", "web", MERGE, replicas(count)).await;
        assert_eq!(status, 403, "2 -> {count}: {answer}");
        assert!(answer.to_string().contains("an activator may only wake"), "{answer}");
    }
    let (status, answer) =
        set("deployments", "web", MERGE, json!({ "metadata": { "labels": { "a": "b" } } })).await;
    assert_eq!(status, 403, "what leaves the count alone is no wake: {answer}");
    let (status, answer) = set("deployments", "web", json_patch, wake.clone()).await;
    assert_eq!(status, 422, "the compare-and-set fails before any policy is asked: {answer}");

    scale(&namespace, "web", 0).await; // by the administrator, whom no policy minds
    let (status, answer) = set("deployments", "web", MERGE, replicas(0)).await;
    assert_eq!(status, 403, "0 -> 0 is no wake: {answer}");
    let (status, answer) = set("deployments", "web", json_patch, wake.clone()).await;
    assert_eq!((status, &answer["spec"]["replicas"]), (200, &json!(2)), "{answer}");
    let (status, answer) = set("statefulsets", "store", json_patch, wake).await;
    assert_eq!((status, &answer["spec"]["replicas"]), (200, &json!(2)), "{answer}");
    t.cluster.helm_uninstall(namespace.name(), "chart-wake").await;
}

/// The controller makes, changes and deletes what carries its label, and leaves alone what does not.
pub(crate) async fn the_controller_writes_its_own(t: Context) {
    let namespace = t.namespace().await;
    install(&namespace, "chart-own", &[]).await;
    let account = "chart-own-reveille-controller";
    let client = t.cluster.client_of_service_account(namespace.name(), account).await;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace.name());
    let slices: Api<EndpointSlice> = Api::namespaced(client, namespace.name());
    namespace.create::<Service>(service("web")).await;
    let slice = |name: &str, by: &str| {
        json!({
            "metadata": { "name": name, "labels": {
                "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": by,
            } },
            "addressType": "IPv4", "endpoints": [], "ports": [],
        })
    };
    namespace.create::<EndpointSlice>(slice("others", "somebody.else")).await;

    let params = (PostParams::default(), PatchParams::default(), DeleteParams::default());
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "a": "b" } } }));
    until("the policy is known", secs(20), async || {
        is_forbidden(services.patch("web", &params.1, &patch).await)
    })
    .await;
    assert!(is_forbidden(services.delete("web", &params.2).await), "a Service of the user's is deleted");
    assert!(
        is_forbidden(slices.patch("others", &params.1, &patch).await),
        "a slice of somebody else's is changed"
    );
    assert!(is_forbidden(slices.delete("others", &params.2).await), "a slice of somebody else's is deleted");
    let unmarked = serde_json::from_value(service_without_selector("mine")).unwrap();
    assert!(is_forbidden(services.create(&params.0, &unmarked).await), "a Service without the label is made");
    let foreign = serde_json::from_value(slice("mine", "somebody.else")).unwrap();
    assert!(is_forbidden(slices.create(&params.0, &foreign).await), "a slice without the label is made");

    let mut own = service_without_selector("mine");
    own["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "reveille.dev" });
    services.create(&params.0, &serde_json::from_value(own).unwrap()).await.unwrap();
    let own = serde_json::from_value(slice("mine", "reveille.dev")).unwrap();
    slices.create(&params.0, &own).await.unwrap();
    services.patch("mine", &params.1, &patch).await.unwrap();
    slices.patch("mine", &params.1, &patch).await.unwrap();
    let unlabel = Patch::Merge(json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null } } }));
    assert!(is_forbidden(services.patch("mine", &params.1, &unlabel).await), "the label is taken off");
    services.delete("mine", &params.2).await.unwrap();
    slices.delete("mine", &params.2).await.unwrap();
    t.cluster.helm_uninstall(namespace.name(), "chart-own").await;
}

/// Whether a policy forbade it; anything else that is wrong fails the test.
fn is_forbidden<T>(outcome: kube::Result<T>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            assert!(status.message.contains("the controller may write only"), "{}", status.message);
            true
        }
        Err(error) => panic!("neither allowed nor forbidden: {error}"),
    }
}
