//! Which slices of ours lead the public Service's traffic: pure.
//!
//! | mode | not awake | awake |
//! |---|---|---|
//! | Proxy | the activators | the activators; the pods directly if there is none |
//! | Bypass | the activators | none, once the cluster's own slices show the pods |
//!
//! An activator counts once it has said that it listens on all ports of the app, if it has an address of a family of the
//! Service, and no more once it drains.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    core::v1::ObjectReference,
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use kube::api::ObjectMeta;
use reveille_core::{
    app::AppId,
    control::AppPort,
    policy::PortRef,
    resource::{PortStatus, ScaledApp, TrafficMode, names},
};

use super::{
    objects::{self, owner},
    pods::PodView,
    service::{Family, ServiceView},
    traits::{ActivatorPod, Standing},
};

/// The label by which a slice belongs to a Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who manages a slice.
pub(crate) const SLICE_MANAGER: &str = "endpointslice.kubernetes.io/managed-by";

/// The most endpoints that a slice may have.
const MAX_ENDPOINTS: usize = 1000;

/// Where traffic should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// To the activators, or to the pods if there is no activator and they serve.
    Activators,
    /// Where the cluster's own slices lead.
    Nowhere,
}

/// What leads an app's traffic.
pub(crate) struct Ways<'a> {
    pub(crate) app: &'a ScaledApp,
    pub(crate) service: &'a ServiceView,
    pub(crate) ports: &'a [PortStatus],
    pub(crate) activators: &'a [ActivatorPod],
    pub(crate) pods: &'a [PodView],
}

/// What should be.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Slices {
    pub(crate) slices: Vec<EndpointSlice>,
    /// How many activators take the app's traffic, or could.
    pub(crate) takers: usize,
}

/// The activators that listen on all ports of the app and that its Service's clients can reach.
fn takers<'a>(
    app: &AppId,
    ports: &[PortStatus],
    families: &[Family],
    activators: &'a [ActivatorPod],
) -> Vec<&'a ActivatorPod> {
    let has_one =
        |activator: &ActivatorPod| activator.addresses.iter().any(|at| families.iter().any(|of| of.has(*at)));
    let listens = |activator: &&ActivatorPod| {
        activator.standing == Standing::Ready
            && has_one(activator)
            && ports
                .iter()
                .all(|port| activator.open.contains(&AppPort { app: app.clone(), port: port.port }))
    };
    if ports.is_empty() { Vec::new() } else { activators.iter().filter(listens).collect() }
}

/// The slices that should exist.
pub(crate) fn slices(ways: &Ways<'_>, lead: Lead) -> Slices {
    let id = objects::id(&ways.app.metadata);
    let takers = takers(&id, ways.ports, &ways.service.families, ways.activators);
    let slices = match lead {
        Lead::Nowhere => Vec::new(),
        Lead::Activators if takers.is_empty() => ways.to_pods(&id),
        Lead::Activators => ways.to_activators(&id, &takers),
    };
    Slices { slices, takers: takers.len() }
}

impl Ways<'_> {
    fn to_activators(&self, id: &AppId, takers: &[&ActivatorPod]) -> Vec<EndpointSlice> {
        let ports: Vec<_> = self.ports.iter().map(|port| self.port(port, port.port)).collect();
        let endpoints = |family: Family| {
            let of = |activator: &&ActivatorPod| {
                let address = *activator.addresses.iter().find(|address| family.has(**address))?;
                Some(endpoint(address, activator.node.as_ref(), &activator.name, &activator.uid))
            };
            takers.iter().filter_map(of).collect::<Vec<_>>()
        };
        let slice = |family: &Family| self.slice(id, *family, "", ports.clone(), endpoints(*family));
        self.service.families.iter().filter_map(slice).collect()
    }

    /// Straight to the pods: one slice for each set of ports, as a port's name may stand for another number in each pod.
    /// With a selector the cluster does that itself.
    fn to_pods(&self, id: &AppId) -> Vec<EndpointSlice> {
        if self.service.mode == TrafficMode::Bypass {
            return Vec::new();
        }
        let mut by_ports: BTreeMap<Vec<u16>, Vec<&PodView>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.serves()) {
            let number = |port: &PortStatus| match &port.upstream {
                PortRef::Number(number) => Some(*number),
                PortRef::Name(name) => pod.ports.get(name).copied(),
            };
            if let Some(numbers) = self.ports.iter().map(number).collect::<Option<Vec<_>>>() {
                by_ports.entry(numbers).or_default().push(pod);
            }
        }
        let mut slices = Vec::new();
        for (nth, (numbers, pods)) in by_ports.iter().enumerate() {
            let ports: Vec<_> =
                self.ports.iter().zip(numbers).map(|(port, number)| self.port(port, *number)).collect();
            for family in &self.service.families {
                let of = |pod: &&PodView| {
                    let address = *pod.addresses.iter().find(|address| family.has(**address))?;
                    Some(endpoint(address, pod.node.as_ref(), &pod.name, &pod.uid))
                };
                let endpoints = pods.iter().filter_map(of).collect();
                slices.extend(self.slice(id, *family, &format!("-direct-{nth}"), ports.clone(), endpoints));
            }
        }
        slices
    }

    fn port(&self, port: &PortStatus, number: u16) -> EndpointPort {
        let of_service = self.service.ports.iter().find(|of| of.number == port.service_port);
        EndpointPort {
            // A Service's only port may have none, which slices write as the empty one.
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number.into()),
            protocol: Some("TCP".to_owned()),
            app_protocol: of_service.and_then(|of| of.app_protocol.clone()),
        }
    }

    /// None without endpoints: an empty slice says nothing.
    fn slice(
        &self,
        id: &AppId,
        family: Family,
        suffix: &str,
        ports: Vec<EndpointPort>,
        mut endpoints: Vec<Endpoint>,
    ) -> Option<EndpointSlice> {
        if endpoints.is_empty() {
            return None;
        }
        endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        endpoints.truncate(MAX_ENDPOINTS);
        let name = format!("{}-{}{suffix}", names::private_service(&id.name), family.as_str().to_lowercase());
        let labels = [
            (SERVICE_NAME, &*self.app.spec.service),
            (SLICE_MANAGER, names::MANAGED_BY),
            (names::APP_LABEL, &id.name),
        ];
        Some(EndpointSlice {
            address_type: family.as_str().to_owned(),
            endpoints: Some(endpoints),
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(id.namespace.to_string()),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                owner_references: Some(vec![owner(self.app)]),
                ..ObjectMeta::default()
            },
            ports: Some(ports),
        })
    }
}

fn endpoint(address: std::net::IpAddr, node: Option<&String>, pod: &str, uid: &str) -> Endpoint {
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(true),
            serving: Some(true),
            terminating: Some(false),
        }),
        node_name: node.cloned(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(pod.to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

/// What has to be written, and which slices of ours have to go, by name.
pub(crate) fn changes<'a>(
    exist: &[impl std::borrow::Borrow<EndpointSlice>],
    wanted: &'a [EndpointSlice],
) -> (Vec<&'a EndpointSlice>, Vec<String>) {
    let part = |slice: &EndpointSlice| {
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned();
        (
            slice.address_type.clone(),
            slice.endpoints.clone().unwrap_or_default(),
            slice.ports.clone().unwrap_or_default(),
            [SERVICE_NAME, SLICE_MANAGER, names::APP_LABEL].map(label),
        )
    };
    let name = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
    let find = |wanted: &&EndpointSlice| {
        let same = exist.iter().map(std::borrow::Borrow::borrow).find(|slice| name(slice) == name(wanted));
        same.is_none_or(|slice| part(slice) != part(wanted))
    };
    let names: BTreeSet<_> = wanted.iter().map(name).collect();
    let gone = exist.iter().map(|slice| name(slice.borrow())).filter(|name| !names.contains(name)).collect();
    (wanted.iter().filter(find).collect(), gone)
}

/// Whether a slice is ours, for this app.
pub(crate) fn is_ours(slice: &EndpointSlice, app: &ScaledApp) -> bool {
    let labels = slice.metadata.labels.as_ref();
    let is = |name: &str, value: Option<&str>| {
        labels.and_then(|labels| labels.get(name)).map(String::as_str) == value
    };
    is(SLICE_MANAGER, Some(names::MANAGED_BY))
        && is(names::APP_LABEL, app.metadata.name.as_deref())
        && objects::is_owned(&slice.metadata, app)
}

/// Whether slices of the cluster's own show one of these pods as ready: only then may ours go.
pub(crate) fn show_one(slices: &[EndpointSlice], pods: &[PodView]) -> bool {
    let is_own = |slice: &&EndpointSlice| {
        let labels = slice.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(SLICE_MANAGER))
            .is_some_and(|manager| manager != names::MANAGED_BY)
    };
    let serving: BTreeSet<&str> =
        pods.iter().filter(|pod| pod.serves()).map(|pod| pod.uid.as_str()).collect();
    let endpoints = slices.iter().filter(is_own).flat_map(|slice| slice.endpoints.iter().flatten());
    let mut ready = endpoints.filter(|endpoint| {
        endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready.unwrap_or(true))
    });
    ready.any(|endpoint| {
        let pod = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
        pod.is_some_and(|uid| serving.contains(uid))
    })
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
