//! The label by which the Service of the API finds the controller that leads. A Service with a selector is what
//! `kubectl port-forward` needs.
//!
//! It is written through the pods' `/status`, where Kubernetes takes labels: that is a right that the controller has anyway,
//! while the right to write pods would let it change what they run.

use std::time::Duration;

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

/// Puts the label onto the leader's pod, then takes it off those that led before. Tries until that is done.
pub(super) async fn mark(client: &Client, namespace: &str, own: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    while let Err(error) = try_to_mark(&pods, own).await {
        tracing::warn!(pod = own, %error, "the Service of the API cannot be led here yet");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn try_to_mark(pods: &Api<Pod>, own: &str) -> Result<(), kube::Error> {
    label(pods, own, Some("true")).await?;
    let marked = ListParams::default().labels(&format!("{}=true", names::LEADER_LABEL));
    for pod in pods.list(&marked).await?.items {
        let name = pod.metadata.name.unwrap_or_default();
        if name != own {
            super::apply::ignore_gone(label(pods, &name, None).await)?;
        }
    }
    Ok(())
}

async fn label(pods: &Api<Pod>, name: &str, value: Option<&str>) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"labels": {names::LEADER_LABEL: value}}});
    pods.patch_status(name, &own_patch(), &Patch::Merge(patch)).await.map(|_| ())
}
