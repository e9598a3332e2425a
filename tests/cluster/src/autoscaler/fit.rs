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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> core::Pod {
        let mut spec = spec;
        spec["containers"][0]["name"] = "app".into();
        serde_json::from_value(json!({ "metadata": {}, "spec": spec })).expect("a pod has these fields")
    }

    fn asks_for(gpus: u32) -> Value {
        json!({ "containers": [{ "resources": { "requests": { "nvidia.com/gpu": gpus.to_string(), "cpu": "100m" } } }] })
    }

    #[test]
    fn a_selector_has_to_match() {
        let spec = json!({ "nodeSelector": { "pool": "gpu" }, "containers": [{}] });
        assert!(fits(&pod(spec.clone()), &NodeSpec::new("a").label("pool", "gpu")).is_ok());
        let reason = fits(&pod(spec), &NodeSpec::new("a")).expect_err("it has no such label");
        assert_eq!(reason, "node(s) didn't match Pod's node affinity/selector");
    }

    #[test]
    fn a_taint_has_to_be_tolerated() {
        let node = NodeSpec::new("a").taint("sku", "gpu", "NoSchedule");
        let tolerating = |toleration: Value| pod(json!({ "tolerations": [toleration], "containers": [{}] }));
        assert!(
            fits(&tolerating(json!({ "key": "sku", "value": "gpu", "effect": "NoSchedule" })), &node).is_ok()
        );
        assert!(fits(&tolerating(json!({ "key": "sku", "operator": "Exists" })), &node).is_ok());
        assert!(fits(&tolerating(json!({ "operator": "Exists" })), &node).is_ok());
        assert!(fits(&tolerating(json!({ "key": "sku", "value": "cpu" })), &node).is_err());
        assert!(
            fits(&tolerating(json!({ "key": "sku", "value": "gpu", "effect": "NoExecute" })), &node).is_err()
        );
        let reason = fits(&pod(json!({ "containers": [{}] })), &node).expect_err("nothing tolerates it");
        assert_eq!(reason, "node(s) had untolerated taint {sku: gpu}");
    }

    #[test]
    fn devices_are_counted() {
        let node = NodeSpec::new("a").resource("nvidia.com/gpu", 4);
        assert_eq!(capacity(&pod(asks_for(1)), &node), 4);
        assert_eq!(capacity(&pod(asks_for(3)), &node), 1);
        assert_eq!(fits(&pod(asks_for(5)), &node), Err("Insufficient nvidia.com/gpu".to_owned()));
        assert_eq!(capacity(&pod(json!({ "containers": [{}] })), &node), usize::MAX);
    }
}
