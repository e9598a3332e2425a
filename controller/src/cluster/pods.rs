//! A pod, as far as it tells how an app stands.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use reveille_core::resource::names;

use super::owners::{self, Belongs};

/// A replica's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Changes with every write.
    pub(crate) version: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) node: Option<String>,
    /// It was told to stop, or has ended for good.
    pub(crate) ending: bool,
    pub(crate) place: Place,
    /// Every container is ready. Not the pod's own readiness: that waits for the gate of the direct path.
    pub(crate) usable: bool,
    pub(crate) gate: Gate,
    /// Init containers first, in their order.
    pub(crate) containers: Vec<ContainerView>,
    /// The ports that its containers name.
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) belongs: Belongs,
}

impl PodView {
    /// Whether it can answer requests.
    pub(crate) fn serves(&self) -> bool {
        self.usable && !self.ending
    }
}

/// Whether a pod has a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has.
    Found,
    /// Not yet: since when, and the scheduler's words.
    Wanted { since: Option<Timestamp>, why: Option<String> },
}

/// Whether a pod takes direct traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Its template has no readiness gate: it takes it whenever it is ready.
    None,
    /// Not.
    Off,
    /// It does, once it is ready.
    On,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) state: ContainerState,
    pub(crate) restarts: u32,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerState {
    /// It waits: the kubelet's reason and words.
    Waiting {
        reason: String,
        message: Option<String>,
    },
    Running,
    /// It has ended, with this code.
    Ended(i32),
}

/// What of a pod counts.
pub(crate) fn view(pod: &Pod) -> PodView {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let condition = |name: &str| conditions.iter().find(|condition| condition.type_ == name);
    let holds = |name: &str| condition(name).is_some_and(|condition| condition.status == "True");
    let spec = pod.spec.as_ref();
    let gates = spec.and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let gate = match gates.iter().any(|gate| gate.condition_type == names::DIRECT_GATE) {
        false => Gate::None,
        true if holds(names::DIRECT_GATE) => Gate::On,
        true => Gate::Off,
    };
    let node = spec.and_then(|spec| spec.node_name.clone());
    let init = status.init_container_statuses.iter().flatten();
    let phase = status.phase.as_deref();
    PodView {
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        version: pod.metadata.resource_version.clone().unwrap_or_default(),
        addresses: addresses(status),
        ending: pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed")),
        place: place(node.is_some(), condition("PodScheduled")),
        node,
        usable: holds("ContainersReady"),
        gate,
        containers: init.chain(status.container_statuses.iter().flatten()).map(container).collect(),
        ports: ports(pod),
        belongs: owners::belongs(&pod.metadata),
    }
}

fn addresses(status: &PodStatus) -> Vec<IpAddr> {
    let all = status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok());
    let mut addresses: Vec<IpAddr> = all.collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    addresses
}

fn place(has_node: bool, scheduled: Option<&PodCondition>) -> Place {
    if has_node {
        return Place::Found;
    }
    let since = scheduled.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
    Place::Wanted { since, why: scheduled.and_then(|condition| condition.message.clone()) }
}

fn container(status: &ContainerStatus) -> ContainerView {
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let state = if state.is_some_and(|state| state.running.is_some()) {
        ContainerState::Running
    } else if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        ContainerState::Ended(ended.exit_code)
    } else {
        ContainerState::Waiting {
            reason: waiting.and_then(|waiting| waiting.reason.clone()).unwrap_or_default(),
            message: waiting.and_then(|waiting| waiting.message.clone()),
        }
    };
    ContainerView { state, restarts: u32::try_from(status.restart_count).unwrap_or_default() }
}

fn ports(pod: &Pod) -> BTreeMap<String, u16> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)));
    // The first one of a name is the one that Kubernetes takes.
    named.fold(BTreeMap::new(), |mut all, (name, port)| {
        all.entry(name).or_insert(port);
        all
    })
}

#[cfg(test)]
pub(crate) fn from_json(json: serde_json::Value) -> PodView {
    view(&serde_json::from_value(json).unwrap())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_only_waits_for_the_direct_path_serves() {
        let pod = from_json(json!({
            "metadata": {"name": "web-1", "uid": "u", "resourceVersion": "7"},
            "spec": {
                "nodeName": "n",
                "readinessGates": [{"conditionType": "reveille.dev/direct"}],
                "containers": [
                    {"name": "c", "ports": [{"name": "http", "containerPort": 8080}]},
                    {"name": "d", "ports": [{"name": "http", "containerPort": 9090}]},
                ],
            },
            "status": {
                "podIP": "10.0.0.1",
                "conditions": [
                    {"type": "ContainersReady", "status": "True"},
                    {"type": "Ready", "status": "False"},
                ],
                "containerStatuses": [
                    {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 2, "state": {"running": {}}},
                ],
            },
        }));
        assert!(pod.serves());
        assert_eq!((pod.gate, pod.ports["http"], &pod.place), (Gate::Off, 8080, &Place::Found));
        assert_eq!(pod.containers, [ContainerView { state: ContainerState::Running, restarts: 2 }]);
        assert_eq!(pod.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_pod_that_stops_serves_no_more() {
        let pod = from_json(json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "ContainersReady", "status": "True"}]},
        }));
        assert!(!pod.serves());
        let over = from_json(json!({"status": {"phase": "Failed",
            "conditions": [{"type": "ContainersReady", "status": "True"}]}}));
        assert!(!over.serves());
    }
}
