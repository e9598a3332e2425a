//! What the stand-in decides by: whether a pod would fit on a node of the pool, and whether a node is needed.

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use crate::node::NodeSpec;

/// Whether the scheduler found no node for it.
pub(super) fn is_unschedulable(pod: &core::Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        })
}

/// Whether it would run on such a node; if not, the reason in the real one's words.
pub(super) fn fits(pod: &core::Pod, node: &NodeSpec) -> Result<(), String> {
    let spec = pod.spec.as_ref().expect("a pod has a spec");
    let mut selector = spec.node_selector.iter().flatten();
    if !selector.all(|(key, value)| node.labels.get(key) == Some(value)) {
        return Err("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    let tolerated = |taint: &core::Taint| {
        spec.tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint))
    };
    if let Some(taint) = node.taints.iter().find(|taint| !tolerated(taint)) {
        let value = taint.value.as_deref().unwrap_or_default();
        return Err(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key));
    }
    if capacity(pod, node) == 0 {
        let name = devices(pod).find(|(name, count)| node.resources.get(name).copied().unwrap_or(0) < *count);
        return Err(format!("Insufficient {}", name.expect("one of them is why there is no room").0));
    }
    Ok(())
}

/// How many such pods a new node has room for, by the devices that they ask for.
pub(super) fn capacity(pod: &core::Pod, node: &NodeSpec) -> usize {
    let rooms = devices(pod).filter(|(_, count)| *count > 0).map(|(name, count)| {
        let there = node.resources.get(&name).copied().unwrap_or(0);
        usize::try_from(there / count).expect("a count of devices is small")
    });
    rooms.min().unwrap_or(usize::MAX)
}

/// What it asks for besides processors, memory and disk.
fn devices(pod: &core::Pod) -> impl Iterator<Item = (String, u32)> {
    let spec = pod.spec.as_ref().expect("a pod has a spec");
    let requests =
        spec.containers.iter().filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let requests = requests.flatten().filter(|(name, _)| name.contains('/'));
    requests
        .map(|(name, count)| (name.clone(), count.0.parse().expect("devices are counted in whole numbers")))
}

fn tolerates(toleration: &core::Toleration, taint: &core::Taint) -> bool {
    let key = toleration.key.as_deref().is_none_or(|key| key == taint.key);
    let effect =
        toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let exists = toleration.operator.as_deref() == Some("Exists");
    let value = toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    key && effect && (exists || (toleration.key.is_some() && value))
}

/// Whether a node is needed for it: not for what every node has, nor for what has ended.
pub(super) fn holds_its_node(pod: &core::Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let owners = pod.metadata.owner_references.iter().flatten();
    !matches!(phase, Some("Succeeded" | "Failed"))
        && !owners.into_iter().any(|owner| owner.kind == "DaemonSet")
}

/// The taints that a node has.
pub(super) fn taints(node: &core::Node) -> impl Iterator<Item = Value> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.map(|taint| serde_json::to_value(taint).expect("a taint is JSON"))
}
