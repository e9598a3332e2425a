//! The compare-and-set by which an app is woken, as the API server really answers it.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use reveille_tests_cluster::{
    Context, Image,
    workload::{deployment, nginx_pod, stateful_set},
};
use serde_json::json;

use crate::support::patch_scale;

/// Zero replicas are left out of a Scale, so `null` is the test for zero: the patch wakes at 0 (200), and changes
/// nothing at 1 or more (422), for Deployments and StatefulSets.
pub(crate) async fn compare_and_set(t: Context) {
    t.cluster.image(&Image::nginx()).await;
    let namespace = t.namespace().await;
    namespace.create::<Deployment>(deployment("web", 0, &nginx_pod())).await;
    namespace.create::<StatefulSet>(stateful_set("web", 0, &nginx_pod())).await;
    for resource in ["deployments", "statefulsets"] {
        let wake = |replicas: u32| {
            let patch = json!([
                { "op": "test", "path": "/spec/replicas", "value": null },
                { "op": "add", "path": "/spec/replicas", "value": replicas },
            ]);
            let namespace = &namespace;
            async move { patch_scale(namespace, resource, "web", "application/json-patch+json", &patch).await }
        };
        let (status, scale) = wake(1).await;
        assert_eq!((status, &scale["spec"]["replicas"]), (200, &json!(1)), "{resource} at 0: {scale}");
        let (status, answer) = wake(2).await;
        assert_eq!(status, 422, "{resource} at 1: {answer}");
        let up = json!({ "spec": { "replicas": 3 } });
        let (_, scale) = patch_scale(&namespace, resource, "web", "application/merge-patch+json", &up).await;
        let version = scale["metadata"]["resourceVersion"].clone();
        assert_eq!(wake(1).await.0, 422, "{resource} at 3");

        // Down again, under the precondition that nobody changed it.
        let down = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "replicas": 0 } });
        let (status, answer) =
            patch_scale(&namespace, resource, "web", "application/merge-patch+json", &down).await;
        assert_eq!(status, 409, "{resource} by an old version: {answer}");
        assert!(version.is_string(), "{scale}");
        let down = json!({ "spec": { "replicas": 0 } });
        let (status, scale) =
            patch_scale(&namespace, resource, "web", "application/merge-patch+json", &down).await;
        assert_eq!((status, &scale["spec"]["replicas"]), (200, &json!(null)), "{resource}: {scale}");
        assert_eq!(wake(2).await.0, 200, "{resource} at 0 again");
    }
    t.figure("the patch that wakes: 200 at 0, 422 at 1 and 3, for Deployment and StatefulSet");
}
