//! From what is written to what holds.

use std::sync::Arc;

use super::{ScaledApp, ScaledAppSpec, Scrape, ScrapeSpec, TargetSpec, rules};
use crate::{
    app::check_name,
    directory::{Protocol, first_http},
    host,
    policy::{Checker, Mode, Policy, PortRef, Preset, Problem, Ttl, ranges},
};

/// What holds for an app of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterApp {
    /// What sleeps and wakes.
    pub target: TargetSpec,
    /// The Service by which clients reach it.
    pub service: String,
    /// The hosts by which the gateway knows it, as requests are compared with them.
    pub hosts: Arc<[String]>,
    /// Whether it is left alone.
    pub suspend: bool,
    /// Where activity is seen that does not pass Reveille.
    pub scrape: Option<Scrape>,
    /// How many replicas a wake sets. None: as many as it had, else 1.
    pub wake_replicas: Option<u32>,
    /// How many replicas a wake sets at most.
    pub max_replicas: Option<u32>,
    /// What it shares with apps of local mode.
    pub policy: Arc<Policy>,
}

impl ClusterApp {
    /// How many replicas a wake sets, for an app that had `former` before it fell asleep. At least 1.
    pub fn replicas(&self, former: Option<u32>) -> u32 {
        let wanted = self.wake_replicas.or(former).unwrap_or(1).max(1);
        self.max_replicas.map_or(wanted, |max| wanted.min(max))
    }
}

impl ScaledApp {
    /// Fills in the defaults and checks everything, what the API server has checked among it, but for the bounds of
    /// lists and texts that only keep its rules cheap: a cluster's definition may be older than this program, and its
    /// rules do not hold for what was stored before them.
    ///
    /// # Errors
    /// Every field that is wrong, such as `spec.idle.ttl`, each with its reason.
    pub fn resolve(&self) -> Result<ClusterApp, Vec<Problem>> {
        let mut check = Checker::default();
        if let Err(reason) = check_name(self.metadata.name.as_deref().unwrap_or_default()) {
            check.problem("metadata.name", reason);
        }
        let spec = self.spec.resolve().map_err(|problems| {
            let within = |problem: Problem| Problem { field: format!("spec.{}", problem.field), ..problem };
            check.extend(problems.into_iter().map(within).collect());
        });
        check.finish(spec).map(|spec| spec.expect("it is right without problems"))
    }
}

impl ScaledApp {
    /// What is written and can have no effect, as the Service's ports speak only these protocols. The API server cannot
    /// see it: that is said by the Service.
    pub fn without_effect(&self, protocols: &[Protocol]) -> Vec<Problem> {
        if protocols.is_empty() || first_http(protocols.iter().copied()).is_some() {
            return Vec::new();
        }
        let mut check = Checker::default();
        if !self.spec.traffic.hosts.is_empty() {
            let reason = "the gateway routes HTTP only, and no port of the Service speaks it; set appProtocol: http at \
                          the one that does, or remove the hosts";
            check.problem("spec.traffic.hosts", reason);
        }
        for field in self.spec.policy().http_settings() {
            let reason = "is about HTTP, and no port of the Service speaks it; remove it, or set appProtocol: http at \
                          the one that does";
            check.problem(format!("spec.{field}"), reason);
        }
        // With preset tcp the API server has asked for a port already.
        let readiness = self.spec.wake.readiness.as_ref();
        let http = readiness.and_then(|readiness| readiness.http.as_ref()).map(|http| http.port.is_none());
        let grpc = readiness.and_then(|readiness| readiness.grpc.as_ref()).map(|grpc| grpc.port.is_none());
        let by_preset = readiness.is_none() && matches!(self.spec.preset, Preset::Grpc | Preset::Triton);
        if http == Some(true) || grpc == Some(true) || by_preset {
            let reason = "asks the first port that speaks HTTP, and no port of the Service does; name the port that \
                          answers, or write tcp: {}";
            check.problem("spec.wake.readiness", reason);
        }
        check.finish(()).err().unwrap_or_default()
    }
}

impl ScaledAppSpec {
    fn resolve(&self) -> Result<ClusterApp, Vec<Problem>> {
        let mut check = Checker::default();
        self.target(&mut check);
        if let Err(reason) = check_name(&self.service) {
            check.problem("service", format!("{:?} is no name of a Service: {reason}", self.service));
        }
        let hosts = self.hosts(&mut check);
        let scrape = self.idle.scrape.as_ref().and_then(|scrape| self.scrape(scrape, &mut check));
        self.replicas(&mut check);
        self.readiness(&mut check);
        let policy = self.policy().resolve(Mode::Cluster).map_err(|problems| check.extend(problems));
        let policy = check.finish(policy)?;
        Ok(ClusterApp {
            target: self.target.clone(),
            service: self.service.clone(),
            hosts: hosts.into(),
            suspend: self.suspend,
            scrape,
            wake_replicas: self.wake.replicas,
            max_replicas: self.wake.max_replicas,
            policy: Arc::new(policy.expect("it is right without problems")),
        })
    }

    fn target(&self, check: &mut Checker) {
        let TargetSpec { api_version, kind, name } = &self.target;
        let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_name = |text: &str, max: usize| {
            let inside = |c: char| is_end(c) || matches!(c, '-' | '.');
            text.len() <= max
                && text.starts_with(is_end)
                && text.ends_with(is_end)
                && text.chars().all(inside)
        };
        let (group, version) = match api_version.split_once('/') {
            Some((group, version)) => (Some(group), version),
            None => (None, api_version.as_str()),
        };
        let is_version = check_name(version).is_ok() && version.starts_with(|c: char| c.is_ascii_lowercase());
        if !is_version || group.is_some_and(|group| !is_name(group, 253)) {
            let reason = format!("{api_version:?} is no group and version, such as apps/v1");
            check.problem("target.apiVersion", reason);
        }
        let is_kind = |c: char| c.is_ascii_alphanumeric();
        if kind.len() > 63
            || !kind.starts_with(|c: char| c.is_ascii_uppercase())
            || !kind.chars().all(is_kind)
        {
            check.problem("target.kind", format!("{kind:?} is no kind, such as Deployment"));
        } else if rules::NOT_SCALABLE.contains(&kind.as_str()) {
            let reason =
                format!("a {kind} has no replicas to count: name a workload with a /scale subresource");
            check.problem("target.kind", reason);
        }
        if !is_name(name, 253) {
            check.problem("target.name", format!("{name:?} is no name: it is made of a-z, 0-9, '-' and '.'"));
        }
    }

    fn hosts(&self, check: &mut Checker) -> Vec<String> {
        let mut hosts = Vec::with_capacity(self.traffic.hosts.len());
        for (i, written) in self.traffic.hosts.iter().enumerate() {
            let field = format!("traffic.hosts[{i}]");
            match host::normalize(written) {
                Ok(host) if hosts.contains(&host) => {
                    check.problem(field, format!("{host} is listed already; remove it"));
                }
                Ok(host) => hosts.push(host),
                Err(reason) => check.problem(field, format!("{written:?} is no host; {reason}")),
            }
        }
        hosts
    }

    fn scrape(&self, spec: &ScrapeSpec, check: &mut Checker) -> Option<Scrape> {
        if self.idle.ttl == Some(Ttl::Never) {
            check.problem("idle.scrape", "has no effect, as idle.ttl is never: remove one of the two");
        }
        let (name, scrape) = match (&spec.prometheus, &spec.nginx) {
            (Some(prometheus), None) => ("prometheus", prometheus.complete()),
            (None, Some(nginx)) => ("nginx", nginx.complete()),
            (None, None) => {
                let reason = "say what is scraped: prometheus: {port: 8002, metrics: [requests_total]} or nginx: \
                              {port: 8080}";
                check.problem("idle.scrape", reason);
                return None;
            }
            (Some(_), Some(_)) => {
                check.problem("idle.scrape", "prometheus and nginx exclude each other: keep one");
                return None;
            }
        };
        let port = format!("idle.scrape.{name}.port");
        check.port_name(&port, &scrape.port);
        if scrape.port == PortRef::Number(0) {
            check.problem(port, "0 is no port");
        }
        check.path(&format!("idle.scrape.{name}.path"), &scrape.path);
        if let Some(prometheus) = &spec.prometheus {
            check.metrics(&prometheus.metrics);
        }
        Some(scrape)
    }

    fn replicas(&self, check: &mut Checker) {
        let wake = &self.wake;
        for (field, count) in [("wake.replicas", wake.replicas), ("wake.maxReplicas", wake.max_replicas)] {
            if let Some(count) = count {
                check.range(field, count, ranges::REPLICAS);
            }
        }
        if let (Some(replicas), Some(max)) = (wake.replicas, wake.max_replicas)
            && replicas > max
        {
            let reason =
                format!("{replicas} is more than wake.maxReplicas, {max}: lower it, or raise maxReplicas");
            check.problem("wake.replicas", reason);
        }
    }

    /// What the policy alone does not tell: how ports are named, and what they speak, in a cluster.
    fn readiness(&self, check: &mut Checker) {
        let Some(readiness) = &self.wake.readiness else { return };
        let http = readiness.http.as_ref().map(|http| ("http", &http.port));
        let tcp = readiness.tcp.as_ref().map(|tcp| ("tcp", &tcp.port));
        let grpc = readiness.grpc.as_ref().map(|grpc| ("grpc", &grpc.port));
        for (by, port) in [http, tcp, grpc].into_iter().flatten() {
            if let Some(port) = port {
                check.port_name(&format!("wake.readiness.{by}.port"), port);
            } else if by != "tcp" && self.preset.default_protocol() == Protocol::Tcp {
                let reason = format!(
                    "ports of preset {} speak no HTTP unless the app says so: name the one that answers \
                     (wake.readiness.{by}.port), or write tcp: {{}}",
                    self.preset
                );
                check.problem("wake.readiness", reason);
            }
        }
    }
}

impl Checker {
    fn port_name(&mut self, field: &str, port: &PortRef) {
        let PortRef::Name(name) = port else { return };
        if check_name(name).is_err() || !name.contains(|c: char| c.is_ascii_lowercase()) {
            self.problem(field, format!("{name:?} is no port: write its number, or its name in the Service"));
        }
    }

    fn metrics(&mut self, metrics: &[String]) {
        let field = "idle.scrape.prometheus.metrics";
        if metrics.is_empty() {
            self.problem(field, "name at least one metric");
        }
        for (i, metric) in metrics.iter().enumerate() {
            let is_head = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
            let is_name = |c: char| is_head(c) || c.is_ascii_digit();
            if !metric.starts_with(is_head) || !metric.chars().all(is_name) {
                let reason = format!("{metric:?} is no name of a metric: write it alone, without labels");
                self.problem(format!("{field}[{i}]"), reason);
            }
        }
    }
}
