//! What is known of one app at the time of a decision, and what of it is a problem by itself: plain data and pure checks.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler, core::v1::Service, discovery::v1::EndpointSlice,
};
use reveille_core::resource::{ClusterApp, PortStatus, Reason, ScaledApp, ScaledAppStatus, TargetSpec};

use super::{
    objects,
    owners::Foreign,
    pods::PodView,
    service::ServiceView,
    traits::{ActivatorPod, Scale},
    wake::EventView,
};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    /// What happened, as a clause.
    pub(crate) happened: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, happened: impl Into<String>) -> Self {
        Self { reason, happened: happened.into() }
    }
}

/// What is known of an app.
pub(crate) struct Observed {
    /// As it was read for this decision.
    pub(crate) app: ScaledApp,
    /// What holds, or what is wrong with the spec.
    pub(crate) resolved: Result<ClusterApp, Problem>,
    /// Another app has its target or its Service.
    pub(crate) conflict: Option<Problem>,
    /// Another app has one of its hosts.
    pub(crate) host_conflict: Option<Problem>,
    pub(crate) service: Result<ServiceView, Problem>,
    pub(crate) ports: Result<Vec<PortStatus>, Problem>,
    pub(crate) scale: Result<Scale, Problem>,
    /// The target's own.
    pub(crate) pods: Vec<PodView>,
    /// Others that its selector matches, each in words.
    pub(crate) foreign: Vec<Foreign>,
    /// Looked at while it wakes.
    pub(crate) events: Vec<EventView>,
    /// Slices of ours.
    pub(crate) slices: Vec<Arc<EndpointSlice>>,
    /// Whether the cluster's own slices show a pod that serves; looked at while ours stand beside them.
    pub(crate) shown: bool,
    /// What has the name of the private Service.
    pub(crate) private: Option<Arc<Service>>,
    pub(crate) activators: Arc<[ActivatorPod]>,
    /// The autoscaler of the target that would scale it to zero.
    pub(crate) to_zero: Option<String>,
    /// How long replicas and pods have not changed.
    pub(crate) unchanged_for: Duration,
    /// Who sets the replicas back.
    pub(crate) contested: Option<String>,
    /// Who has not said for a while what is needed to know whether it is idle.
    pub(crate) silent: Option<Problem>,
}

impl Observed {
    /// The status as it was read.
    pub(crate) fn status(&self) -> ScaledAppStatus {
        self.app.status.clone().unwrap_or_default()
    }
}

/// Whether another, older app has the same target or the same Service, or one of the hosts: the first two, and the third.
pub(crate) fn conflicts(
    app: &ScaledApp,
    others: &[impl std::borrow::Borrow<ScaledApp>],
) -> (Option<Problem>, Option<Problem>) {
    let (mut conflict, mut hosts) = (None, None);
    let wanted: Vec<_> = app.spec.traffic.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    for other in others.iter().map(std::borrow::Borrow::borrow).filter(|other| is_older(other, app)) {
        let (id, near) = (objects::id(&other.metadata), other.metadata.namespace == app.metadata.namespace);
        if near && same_target(&other.spec.target, &app.spec.target) {
            let TargetSpec { kind, name, .. } = &app.spec.target;
            let happened = format!("the {kind} {name} is the target of the older ScaledApp {}", id.name);
            conflict.get_or_insert(Problem::new(Reason::TargetConflict, happened));
        } else if near && other.spec.service == app.spec.service {
            let happened =
                format!("the Service {} is that of the older ScaledApp {}", app.spec.service, id.name);
            conflict.get_or_insert(Problem::new(Reason::PortConflict, happened));
        }
        let theirs = other.spec.traffic.hosts.iter().map(|host| host.to_ascii_lowercase());
        if let Some(host) = theirs.into_iter().find(|host| wanted.contains(host)) {
            let happened = format!("the host {host} is that of the older ScaledApp {id}");
            hosts.get_or_insert(Problem::new(Reason::HostConflict, happened));
        }
    }
    (conflict, hosts)
}

/// Older by creation, then by unique id, so that of two there is always exactly one.
fn is_older(one: &ScaledApp, other: &ScaledApp) -> bool {
    one.metadata.uid != other.metadata.uid && age(one) < age(other)
}

/// By which two apps are told apart: the lesser is the older.
pub(crate) fn age(app: &ScaledApp) -> (jiff::Timestamp, Option<String>) {
    let created = app.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created.unwrap_or(jiff::Timestamp::MAX), app.metadata.uid.clone())
}

/// Versions of a group are views of the same objects.
pub(crate) fn same_target(one: &TargetSpec, other: &TargetSpec) -> bool {
    let group = |target: &TargetSpec| group_of(&target.api_version).to_owned();
    one.kind == other.kind && one.name == other.name && group(one) == group(other)
}

/// The group of `apps/v1`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The autoscaler that would scale the target to zero itself.
pub(crate) fn scales_to_zero(
    target: &TargetSpec,
    autoscalers: &[impl std::borrow::Borrow<HorizontalPodAutoscaler>],
) -> Option<String> {
    autoscalers.iter().map(std::borrow::Borrow::borrow).find_map(|autoscaler| {
        let spec = &autoscaler.spec;
        let of = &spec.scale_target_ref;
        let is_its = of.kind == target.kind
            && of.name == target.name
            && group_of(of.api_version.as_deref().unwrap_or_default()) == group_of(&target.api_version);
        (is_its && spec.min_replicas == Some(0)).then(|| autoscaler.metadata.name.clone().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(name: &str, created: &str, target: &str, service: &str, hosts: &[&str]) -> ScaledApp {
        serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": name, "namespace": "team", "uid": name, "creationTimestamp": created},
            "spec": {"target": {"name": target}, "service": service, "traffic": {"hosts": hosts}},
        }))
        .unwrap()
    }

    #[test]
    fn the_older_app_keeps_what_two_claim() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let one = app("a", early, "web", "web", &["x.example"]);
        let two = app("b", late, "web", "web2", &[]);
        let three = app("c", late, "web3", "web", &["X.example"]);
        let all = [one.clone(), two.clone(), three.clone()];
        let reason = |app: &ScaledApp| conflicts(app, &all).0.map(|problem| problem.reason);
        assert_eq!(reason(&one), None);
        assert_eq!(reason(&two), Some(Reason::TargetConflict));
        assert_eq!(reason(&three), Some(Reason::PortConflict));
        assert_eq!(conflicts(&three, &all).1.unwrap().reason, Reason::HostConflict);
        let twin = app("0", early, "web", "x", &[]);
        let twins = [one.clone(), twin.clone()];
        assert!(conflicts(&one, &twins).0.is_some() && conflicts(&twin, &twins).0.is_none(), "by uid");
    }

    #[test]
    fn an_autoscaler_of_the_target_may_not_scale_it_to_zero() {
        let hpa = |kind: &str, min: i32| -> HorizontalPodAutoscaler {
            serde_json::from_value(json!({
                "metadata": {"name": "h"},
                "spec": {"maxReplicas": 3, "minReplicas": min,
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "web"}},
            }))
            .unwrap()
        };
        let target = app("a", "2026-01-01T00:00:00Z", "web", "web", &[]).spec.target;
        assert_eq!(scales_to_zero(&target, &[hpa("Deployment", 0)]), Some("h".into()));
        assert_eq!(scales_to_zero(&target, &[hpa("Deployment", 1), hpa("StatefulSet", 0)]), None);
    }
}
