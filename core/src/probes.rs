//! Which calls are probes: they are answered from what is known while an app sleeps, never wake it, and
//! count as no activity.
//!
//! A probe is told by its user agent (kubelet, load balancers, monitoring) or by its path (the preset's and
//! the user's). The method is no signal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Probes;

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

/// The shape in which a caller of a probe expects its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A status and a JSON body that says more.
    Http,
    /// `grpc.health.v1.HealthCheckResponse`.
    GrpcHealth,
    /// A gRPC message whose field 1 is a bool, such as Triton's `ServerReadyResponse`.
    GrpcBool,
    /// Any other gRPC method: an error is all that can be said.
    Grpc,
    /// gRPC's watch on health: a client that is told that it is not implemented takes the server for healthy
    /// and goes on calling, which is what wakes it.
    GrpcHealthWatch,
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
    /// Tells whether a call is a probe, by its path (without query) and user agent.
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
        let is_probe = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        self.paths.iter().any(is_probe).then_some(Prober::Monitor)
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
    fn triton_health_calls_are_probes_and_inference_is_not() {
        let triton = probes(r#"{"preset": "triton"}"#);
        assert_eq!(triton.classify("/v2/health/ready", None), Some(Prober::Monitor));
        assert_eq!(triton.classify("/v2/models/resnet50/infer", None), None);
    }
}
