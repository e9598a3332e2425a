//! Why an app is not as it should be, in kinds that programs tell apart, and what a person can do about it.

use std::fmt;

/// Why a condition is as it is. Each has a remedy, which `docs/reference/scaledapp.md` repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is as it should be.
    AsDeclared,
    /// The spec is wrong in a way that the API server does not see.
    InvalidSpec,
    /// `spec.suspend` is set.
    Suspended,
    /// There is no workload of this kind and name.
    TargetNotFound,
    /// The workload has no `/scale`, or its selector is more than equalities.
    TargetNotScalable,
    /// Another `ScaledApp` has the same target, and is older.
    TargetConflict,
    /// There is no Service of this name.
    ServiceNotFound,
    /// The Service is of a kind that cannot be taken over.
    UnsupportedService,
    /// Another, older app claims one of the hosts.
    HostConflict,
    /// Another, older `ScaledApp` has the same Service, or no port is left for it.
    PortConflict,
    /// Traffic goes past Reveille, and nothing says when the app is idle.
    NoIdleSignal,
    /// The pods cannot be taken out of direct traffic before they sleep.
    NoReadinessGate,
    /// An autoscaler of the target would scale it to zero itself.
    HpaScalesToZero,
    /// Somebody else keeps setting the count of replicas.
    ReplicasContested,
    /// The API server forbids what would have to be done.
    NotPermitted,
    /// The workload's selector matches pods that are not the workload's.
    ForeignPods,
    /// The Service names a port that the pods lack.
    PortNotFound,
    /// No activator is ready.
    NoActivator,
    /// An activator that exists does not report what it sees.
    ActivatorSilent,
    /// A pod that is asked for what it counts does not say it.
    ScrapeFailed,
    /// A wake was not ready within its deadline.
    DeadlineExceeded,
    /// No node has a place for a replica, and none is coming.
    NoNode,
    /// An image could not be pulled.
    ImageNotPulled,
    /// The app's containers end before they can answer.
    KeepsCrashing,
    /// The API server refuses the replicas' pods, for want of quota or by an admission rule.
    PodsRefused,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 25] = [
        Self::AsDeclared,
        Self::InvalidSpec,
        Self::Suspended,
        Self::TargetNotFound,
        Self::TargetNotScalable,
        Self::TargetConflict,
        Self::ServiceNotFound,
        Self::UnsupportedService,
        Self::HostConflict,
        Self::PortConflict,
        Self::NoIdleSignal,
        Self::NoReadinessGate,
        Self::HpaScalesToZero,
        Self::ReplicasContested,
        Self::NotPermitted,
        Self::ForeignPods,
        Self::PortNotFound,
        Self::NoActivator,
        Self::ActivatorSilent,
        Self::ScrapeFailed,
        Self::DeadlineExceeded,
        Self::NoNode,
        Self::ImageNotPulled,
        Self::KeepsCrashing,
        Self::PodsRefused,
    ];

    /// The one that is written so, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsDeclared => "AsDeclared",
            Self::InvalidSpec => "InvalidSpec",
            Self::Suspended => "Suspended",
            Self::TargetNotFound => "TargetNotFound",
            Self::TargetNotScalable => "TargetNotScalable",
            Self::TargetConflict => "TargetConflict",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::UnsupportedService => "UnsupportedService",
            Self::HostConflict => "HostConflict",
            Self::PortConflict => "PortConflict",
            Self::NoIdleSignal => "NoIdleSignal",
            Self::NoReadinessGate => "NoReadinessGate",
            Self::HpaScalesToZero => "HpaScalesToZero",
            Self::ReplicasContested => "ReplicasContested",
            Self::NotPermitted => "NotPermitted",
            Self::ForeignPods => "ForeignPods",
            Self::PortNotFound => "PortNotFound",
            Self::NoActivator => "NoActivator",
            Self::ActivatorSilent => "ActivatorSilent",
            Self::ScrapeFailed => "ScrapeFailed",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NoNode => "NoNode",
            Self::ImageNotPulled => "ImageNotPulled",
            Self::KeepsCrashing => "KeepsCrashing",
            Self::PodsRefused => "PodsRefused",
        }
    }

    /// What to do about it: one sentence, without a full stop. Belongs behind what happened.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::AsDeclared => "nothing needs to be done",
            Self::InvalidSpec => "correct the fields that are named",
            Self::Suspended => "set spec.suspend to false to have the app sleep and wake again",
            Self::TargetNotFound => {
                "create the workload, or correct spec.target: it is looked for in this namespace"
            }
            Self::TargetNotScalable => {
                "name a Deployment, a StatefulSet or another workload with a /scale subresource whose selector is \
                 matchLabels alone"
            }
            Self::TargetConflict => {
                "delete one of the two: a workload is woken and put to sleep by one ScaledApp"
            }
            Self::ServiceNotFound => {
                "create the Service, or correct spec.service: it is looked for in this namespace"
            }
            Self::UnsupportedService => {
                "use a Service with a cluster IP and TCP ports, neither headless nor ExternalName, without Endpoints \
                 made by hand"
            }
            Self::HostConflict => "remove the host from one of the two apps",
            Self::PortConflict => {
                "use a Service of its own for each app; if ports ran out, widen the range of the activators"
            }
            Self::NoIdleSignal => {
                "use a Service without a selector (recommended), or set spec.idle.scrape, or spec.idle.ttl to never"
            }
            Self::NoReadinessGate => {
                "add the readiness gate reveille.dev/direct to the pod template, or use a Service without a selector"
            }
            Self::HpaScalesToZero => "set the autoscaler's minReplicas to 1 or more",
            Self::ReplicasContested => {
                "leave spec.replicas out of what the named manager applies, or set spec.suspend"
            }
            Self::NotPermitted => {
                "grant what is named to Reveille's ServiceAccount: the chart's roles hold all of it"
            }
            Self::ForeignPods => {
                "delete that pod or change its labels, or give the workload a selector that matches its own pods alone: \
                 it gets no requests from Reveille, but counts for whatever else goes by the selector"
            }
            Self::PortNotFound => {
                "give a containerPort that name, or correct the Service's targetPort: until then that port does not answer"
            }
            Self::NoActivator => {
                "see why no pod of the activator is ready; awake apps get their traffic directly"
            }
            Self::ActivatorSilent => {
                "see why the named activator does not answer: nothing falls asleep until it does, or is gone"
            }
            Self::ScrapeFailed => {
                "correct spec.idle.scrape, or see why the named pod does not answer there: the app stays awake until it does"
            }
            Self::DeadlineExceeded => {
                "see where its pods stand; raise spec.wake.deadline if they only need longer"
            }
            Self::NoNode => {
                "see the events of its pods: ask for less, make room, or let the autoscaler add a node that fits"
            }
            Self::ImageNotPulled => "correct the image's name or the pull secret",
            Self::KeepsCrashing => "see the logs of its pods",
            Self::PodsRefused => "raise the quota, or correct what the refusal names",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_are_written_as_they_are_named_and_have_a_remedy() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"));
            assert_eq!(Reason::of(reason.as_str()), Some(reason));
            let remedy = reason.remedy();
            assert!(
                remedy.starts_with(|c: char| c.is_ascii_lowercase()) && !remedy.ends_with('.'),
                "{reason}"
            );
        }
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
