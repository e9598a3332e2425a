//! The label by which the Service of the API finds the controller that leads. A Service with a selector is what
//! `kubectl port-forward` needs.
//!
//! It is written through the pods' `/status`, where Kubernetes takes labels: that is a right that the controller has anyway,
//! while the right to write pods would let it change what they run.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, Patch},
};
use reveille_core::resource::names;
use serde_json::json;

use super::objects::own_patch;

/// How soon it is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often it is looked whether it is still so: a write of one that led before may come late.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Keeps the label on the leader's pod, and off all others.
pub(super) async fn mark(client: &Client, namespace: &str, own: &str) -> Infallible {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    loop {
        let pause = match mark_once(&pods, own).await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(pod = own, %error, "the Service of the API cannot be led here yet");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// First the leader's, so that the Service always leads to somebody.
async fn mark_once(pods: &Api<Pod>, own: &str) -> Result<(), kube::Error> {
    let marked = ListParams::default().labels(&format!("{}=true", names::LEADER_LABEL));
    let marked = pods.list_metadata(&marked).await?.items.into_iter();
    let marked: Vec<_> = marked.filter_map(|pod| pod.metadata.name).collect();
    if !marked.iter().any(|name| name == own) {
        label(pods, own, Some("true")).await?;
    }
    for other in marked.iter().filter(|name| *name != own) {
        super::apply::ignore_gone(label(pods, other, None).await)?;
    }
    Ok(())
}

async fn label(pods: &Api<Pod>, name: &str, value: Option<&str>) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"labels": {names::LEADER_LABEL: value}}});
    pods.patch_status(name, &own_patch(), &Patch::Merge(patch)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cluster::fixtures::api_server;

    fn marked(names: &[&str]) -> (u16, Value) {
        let items: Vec<_> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items});
        (200, list)
    }

    async fn patched(names: &[&str]) -> Vec<(String, Value)> {
        let pod = (200, json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}));
        let (client, asked) = api_server([marked(names), pod.clone(), pod.clone(), pod]);
        let pods: Api<Pod> = Api::namespaced(client, "scale-system");
        mark_once(&pods, "own").await.unwrap();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let patches = asked.into_iter().filter(|(method, ..)| method == "PATCH");
        let pod = |path: &str| path.split('/').nth(6).unwrap_or_default().to_owned();
        patches
            .map(|(_, path, body)| (pod(&path), body["metadata"]["labels"][names::LEADER_LABEL].clone()))
            .collect()
    }

    #[tokio::test]
    async fn the_label_is_put_on_first_and_taken_off_all_others() {
        assert_eq!(patched(&["own"]).await, []);
        let taken_over = patched(&["other", "third"]).await;
        let off = |name: &str| (name.to_owned(), Value::Null);
        assert_eq!(taken_over, [("own".to_owned(), json!("true")), off("other"), off("third")]);
        assert_eq!(patched(&["late", "own"]).await, [off("late")]);
    }
}
