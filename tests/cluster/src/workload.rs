//! Manifests of what tests deploy most. Each part of them carries the label `app` with the workload's name.

use serde_json::{Value, json};

use crate::image::Image;

/// The spec of a pod with one container.
pub fn pod(image: &Image) -> Value {
    json!({
        "terminationGracePeriodSeconds": 5,
        "containers": [{ "name": "app", "image": image.name(), "imagePullPolicy": "Never" }],
    })
}

/// The spec of a pod with nginx, which is ready when it answers.
pub fn nginx_pod() -> Value {
    let mut pod = pod(&Image::nginx());
    pod["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": 80 }]);
    pod["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1 });
    pod
}

/// A Deployment; a StatefulSet has the same fields and one more.
pub fn deployment(name: &str, replicas: u32, pod: &Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": pod },
        },
    })
}

/// A StatefulSet, whose Service has its name.
pub fn stateful_set(name: &str, replicas: u32, pod: &Value) -> Value {
    let mut manifest = deployment(name, replicas, pod);
    manifest["spec"]["serviceName"] = name.into();
    manifest
}

/// A Service on port 80 for the pods of that name.
pub fn service(name: &str) -> Value {
    let mut manifest = service_without_selector(name);
    manifest["spec"]["selector"] = json!({ "app": name });
    manifest
}

/// A Service on port 80 for whatever endpoints it is given by hand.
pub fn service_without_selector(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 80 }] },
    })
}
