//! What a pod says of the activator in it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use super::Member;

/// An activator's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) node: Option<String>,
    pub(super) is_ready: bool,
    /// Whether it is told to stop. It counts until it is gone.
    pub(super) is_ending: bool,
}

impl PodFacts {
    /// None for a pod that is over and runs nothing any more.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.clone().unwrap_or_default();
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let all = status.pod_ips.unwrap_or_default().into_iter().map(|address| address.ip);
        let mut addresses: Vec<IpAddr> =
            all.chain(status.pod_ip).filter_map(|address| address.parse().ok()).collect();
        let mut known = std::collections::HashSet::new();
        addresses.retain(|address| known.insert(*address));
        let is_ready = |condition: &k8s_openapi::api::core::v1::PodCondition| {
            condition.type_ == "Ready" && condition.status == "True"
        };
        Some(Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            addresses,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            is_ready: status.conditions.unwrap_or_default().iter().any(is_ready),
            is_ending: pod.metadata.deletion_timestamp.is_some(),
        })
    }

    pub(super) fn member(&self) -> Member {
        Member { name: self.name.clone(), address: self.addresses.first().copied() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a-1", "uid": "u"},
            "spec": {"containers": [], "nodeName": "n"},
            "status": {
                "phase": phase, "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
                "conditions": [{"type": "Ready", "status": "False"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn every_pod_counts_until_it_is_over() {
        for phase in ["Pending", "Running", "Unknown"] {
            let facts = PodFacts::of(&pod(phase)).unwrap();
            assert!(!facts.is_ready && !facts.is_ending);
            assert_eq!(facts.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
            assert_eq!(facts.member().address, Some("10.0.0.7".parse().unwrap()));
        }
        assert_eq!(PodFacts::of(&pod("Succeeded")), None);
        assert_eq!(PodFacts::of(&pod("Failed")), None);
        assert_eq!(PodFacts::of(&Pod::default()).unwrap().member().address, None);
    }
}
