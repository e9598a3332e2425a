//! The public Service of an app: whether it can be taken over, what its ports are, and the private one beside it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Endpoints, Service, ServicePort as KubePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::api::ObjectMeta;
use reveille_core::{
    directory::{Protocol, UpstreamProtocol},
    policy::{PortRef, Preset},
    resource::{ScaledApp, TrafficMode, names},
};

use super::objects::owner;

/// An app's public Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceView {
    pub(crate) mode: TrafficMode,
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) families: Vec<Family>,
}

/// A port of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub(crate) name: Option<String>,
    pub(crate) number: u16,
    /// Of the pods.
    pub(crate) target: PortRef,
    pub(crate) app_protocol: Option<String>,
}

/// A family of addresses: each has slices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// As slices name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    pub(crate) fn has(self, address: std::net::IpAddr) -> bool {
        (self == Self::V4) == address.is_ipv4()
    }
}

/// Reads a Service. `endpoints` is the Endpoints object of its name, which only people make for one without a selector.
///
/// # Errors
/// Why it cannot be taken over.
pub(crate) fn view(service: &Service, endpoints: Option<&Endpoints>) -> Result<ServiceView, String> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let spec = service.spec.as_ref().ok_or_else(|| format!("the Service {name} is empty"))?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err(format!("the Service {name} is an ExternalName"));
    }
    if spec.cluster_ip.as_deref() == Some("None") {
        return Err(format!("the Service {name} is headless"));
    }
    let mode = match spec.selector.as_ref().is_none_or(BTreeMap::is_empty) {
        true => TrafficMode::Proxy,
        false => TrafficMode::Bypass,
    };
    if mode == TrafficMode::Proxy && endpoints.is_some_and(is_mirrored) {
        return Err(format!(
            "the Service {name} has no selector but an Endpoints object, which leads its traffic elsewhere"
        ));
    }
    let ports =
        spec.ports.iter().flatten().map(|port| port_view(name, port)).collect::<Result<Vec<_>, _>>()?;
    if ports.is_empty() {
        return Err(format!("the Service {name} has no ports"));
    }
    Ok(ServiceView { mode, ports, families: families(spec) })
}

/// Whether the cluster copies it into slices.
fn is_mirrored(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    let skips = labels.and_then(|labels| labels.get("endpointslice.kubernetes.io/skip-mirror"));
    skips.is_none_or(|skips| skips != "true") && endpoints.subsets.as_ref().is_some_and(|all| !all.is_empty())
}

fn port_view(service: &str, port: &KubePort) -> Result<ServicePort, String> {
    let number =
        u16::try_from(port.port).map_err(|_| format!("the Service {service} has port {}", port.port))?;
    if let Some(protocol) = port.protocol.as_deref().filter(|protocol| *protocol != "TCP") {
        return Err(format!("port {number} of the Service {service} is {protocol}"));
    }
    let target = match &port.target_port {
        Some(IntOrString::String(name)) if !name.is_empty() => PortRef::Name(name.clone()),
        Some(IntOrString::Int(target)) if *target != 0 => {
            let of = |_| format!("port {number} of the Service {service} has targetPort {target}");
            PortRef::Number(u16::try_from(*target).map_err(of)?)
        }
        Some(_) | None => PortRef::Number(number),
    };
    let name = port.name.clone().filter(|name| !name.is_empty());
    Ok(ServicePort { name, number, target, app_protocol: port.app_protocol.clone() })
}

fn families(spec: &ServiceSpec) -> Vec<Family> {
    let mut families: Vec<_> = spec
        .ip_families
        .iter()
        .flatten()
        .filter_map(|family| [Family::V4, Family::V6].into_iter().find(|one| one.as_str() == family))
        .collect();
    if families.is_empty() {
        families.push(Family::V4);
    }
    families
}

impl ServicePort {
    /// How clients speak to it, and how the app is spoken to. What is not known passes as bytes, which is right for
    /// anything.
    pub(crate) fn protocols(&self, preset: Preset) -> (Protocol, UpstreamProtocol) {
        let said = self.app_protocol.as_deref().map(str::to_ascii_lowercase);
        match said.as_deref() {
            None => (preset.default_protocol(), UpstreamProtocol::Auto),
            Some("http" | "kubernetes.io/ws") => (Protocol::Http, UpstreamProtocol::Auto),
            Some("grpc" | "kubernetes.io/h2c") => (Protocol::Http, UpstreamProtocol::H2c),
            Some(_) => (Protocol::Tcp, UpstreamProtocol::Auto),
        }
    }
}

/// The headless Service by which the app's pods are found.
pub(crate) fn private(
    app: &ScaledApp,
    service: &ServiceView,
    selector: &BTreeMap<String, String>,
) -> Service {
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let labels = [
        (names::APP_LABEL.to_owned(), name.to_owned()),
        ("app.kubernetes.io/managed-by".to_owned(), names::MANAGED_BY.to_owned()),
    ];
    let port = |port: &ServicePort| KubePort {
        name: Some(names::private_port(port.number)),
        port: port.number.into(),
        protocol: Some("TCP".to_owned()),
        target_port: Some(match &port.target {
            PortRef::Number(number) => IntOrString::Int((*number).into()),
            PortRef::Name(name) => IntOrString::String(name.clone()),
        }),
        ..KubePort::default()
    };
    Service {
        metadata: ObjectMeta {
            name: Some(names::private_service(name)),
            namespace: app.metadata.namespace.clone(),
            labels: Some(labels.into()),
            owner_references: Some(vec![owner(app)]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(selector.clone()),
            publish_not_ready_addresses: Some(false),
            ports: Some(service.ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Whether a private Service that exists is as it should be.
pub(crate) fn is_current(exists: &Service, wanted: &Service) -> bool {
    let part = |service: &Service| {
        let spec = service.spec.clone().unwrap_or_default();
        let ports = spec.ports.unwrap_or_default();
        let port = |port: KubePort| (port.name, port.port, port.target_port);
        let labels = service.metadata.labels.clone().unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned();
        (
            spec.selector,
            ports.into_iter().map(port).collect::<Vec<_>>(),
            label(names::APP_LABEL),
            spec.publish_not_ready_addresses.unwrap_or(false),
        )
    };
    part(exists) == part(wanted)
}

/// The selector of a scale, if it is equalities alone.
///
/// # Errors
/// Why it is of no use.
pub(crate) fn equalities(selector: Option<&str>) -> Result<BTreeMap<String, String>, String> {
    let text = selector.filter(|text| !text.trim().is_empty()).ok_or("its /scale names no selector")?;
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let (key, value) = (key.trim(), value.strip_prefix('=').unwrap_or(value).trim());
        let plain = |text: &str| !text.contains(['!', '=', '(', ')', ' ']);
        (!key.is_empty() && plain(key) && plain(value)).then(|| (key.to_owned(), value.to_owned()))
    };
    let pairs: Option<BTreeMap<_, _>> = text.split(',').map(pair).collect();
    pairs.ok_or_else(|| format!("its selector {text:?} is more than equalities"))
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
