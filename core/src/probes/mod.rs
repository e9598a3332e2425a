//! Which calls are probes: they are answered from what is known while an app sleeps, never wake it, and
//! count as no activity.
//!
//! A probe is told by its user agent (kubelet, load balancers, monitoring) or by its path (the preset's and
//! the user's), which for gRPC is the method's full name. gRPC's own health check is a probe of every app. The
//! HTTP method is no signal.
//!
//! | module | holds |
//! |---|---|
//! | [`Pattern`] | what a path is compared with |
//! | [`shape`](shape()) | the shape in which the caller expects its answer |
//! | [`triton`] | Triton's calls as data |

mod pattern;
mod shape;
pub mod triton;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    pattern::Pattern,
    shape::{Shape, shape},
};
use crate::{policy::Probes, schema};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prober {
    /// kubelet or a load balancer: it wants to know whether to send traffic, and Reveille takes it.
    Balancer,
    /// Monitoring, or whoever calls a probe path: it wants to know about the app itself.
    Monitor,
}

/// How probes are answered while an app is not awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::undescribed)]
pub enum ProbeAnswer {
    /// With 200.
    #[serde(rename = "200")]
    Ok,
    /// With 503 and the phase.
    #[serde(rename = "503")]
    Unavailable,
    /// Not at all: such a call wakes the app, and counts as activity, like any other.
    #[serde(rename = "wake")]
    Wake,
}

/// Prefixes of the user agents of kubelet, load balancers and monitoring, with who they are.
pub const KNOWN_AGENTS: [(&str, Prober); 9] = [
    ("kube-probe/", Prober::Balancer),        // kubelet
    ("GoogleHC/", Prober::Balancer),          // Google Cloud load balancers
    ("ELB-HealthChecker/", Prober::Balancer), // AWS load balancers
    ("Amazon-Route53-Health-Check", Prober::Balancer),
    ("Load Balancer Agent", Prober::Balancer), // Azure Load Balancer
    ("Edge Health Probe", Prober::Balancer),   // Azure Front Door
    ("Prometheus/", Prober::Monitor),
    ("Blackbox Exporter/", Prober::Monitor),
    ("Datadog Agent/", Prober::Monitor),
];

impl Probes {
    /// Tells whether a call is a probe, by its path (without query) and user agent. Every request asks this:
    /// nothing is allocated.
    pub fn classify(&self, path: &str, user_agent: Option<&str>) -> Option<Prober> {
        if self.answer == Some(ProbeAnswer::Wake) {
            return None;
        }
        if let Some(agent) = user_agent {
            if let Some((_, prober)) = KNOWN_AGENTS.iter().find(|(prefix, _)| agent.starts_with(prefix)) {
                return Some(*prober);
            }
            if self.user_agents.iter().any(|prefix| agent.starts_with(prefix.as_str())) {
                return Some(Prober::Monitor);
            }
        }
        let is_probe = shape::is_health(path) || self.paths.iter().any(|pattern| pattern.matches(path));
        is_probe.then_some(Prober::Monitor)
    }

    /// How a probe is answered while the app is not awake: `true` is 200, `false` 503.
    pub fn answers_ok(&self, prober: Prober) -> bool {
        match self.answer {
            Some(ProbeAnswer::Ok) => true,
            Some(ProbeAnswer::Unavailable | ProbeAnswer::Wake) => false,
            None => prober == Prober::Balancer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, PolicySpec};

    fn probes(json: &str) -> Probes {
        serde_json::from_str::<PolicySpec>(json).unwrap().resolve(Mode::Local).unwrap().probes
    }

    #[test]
    fn agents_and_paths_tell_probes_from_work() {
        let probes =
            probes(r#"{"probes": {"paths": ["/healthz", "/status/*"], "userAgents": ["my-monitor"]}}"#);
        let asks = |path, agent| probes.classify(path, agent);
        assert_eq!(asks("/", Some("kube-probe/1.37")), Some(Prober::Balancer));
        assert_eq!(asks("/", Some("Prometheus/3.1")), Some(Prober::Monitor));
        assert_eq!(asks("/", Some("my-monitor/2")), Some(Prober::Monitor));
        assert_eq!(asks("/healthz", Some("curl/8")), Some(Prober::Monitor));
        assert_eq!(asks("/status/deep", None), Some(Prober::Monitor));
        for (path, agent) in
            [("/", None), ("/healthz2", None), ("/status", None), ("/", Some("curl/8 kube-probe/"))]
        {
            assert_eq!(asks(path, agent), None, "{path} {agent:?}");
        }
    }

    #[test]
    fn balancers_get_200_and_monitors_503_unless_told_otherwise() {
        let default = probes("{}");
        assert!(default.answers_ok(Prober::Balancer) && !default.answers_ok(Prober::Monitor));
        assert!(probes(r#"{"probes": {"answer": "200"}}"#).answers_ok(Prober::Monitor));
        assert!(!probes(r#"{"probes": {"answer": "503"}}"#).answers_ok(Prober::Balancer));
        let wake = probes(r#"{"probes": {"answer": "wake"}}"#);
        assert_eq!(wake.classify("/", Some("kube-probe/1")), None, "told to wake: a call like any other");
    }

    #[test]
    fn grpc_health_is_a_probe_of_every_app() {
        for preset in ["http", "grpc", "triton", "tcp"] {
            let probes = probes(&format!(r#"{{"preset": "{preset}"}}"#));
            for (method, expected) in [
                ("Check", Some(Prober::Monitor)),
                ("Watch", Some(Prober::Monitor)),
                ("Checks", None),
                ("", None),
            ] {
                let path = format!("/grpc.health.v1.Health/{method}");
                assert_eq!(probes.classify(&path, None), expected, "{preset} {path}");
            }
            let kubelet =
                probes.classify("/grpc.health.v1.Health/Check", Some("kube-probe/1.37 grpc-go/1.70"));
            assert_eq!(kubelet, Some(Prober::Balancer));
        }
    }

    #[test]
    fn patterns_cover_segments_and_grpc_methods() {
        let probes = probes(r#"{"probes": {"paths": ["/v1/*/status", "/shop.v1.Cart/Get*"]}}"#);
        for (path, is_probe) in [
            ("/v1/a/status", true),
            ("/v1/a/b/status", false),
            ("/shop.v1.Cart/GetHealth", true),
            ("/shop.v1.Cart/Add", false),
        ] {
            assert_eq!(probes.classify(path, None).is_some(), is_probe, "{path}");
        }
    }
}
