//! What the fields of a `ScaledApp` may be, and how they depend on each other, as rules of its schema. What
//! [`resolve`](super::ScaledApp::resolve) checks, said in CEL.

use crate::schema::{self, Change, both, checked, list, rule, rule_at};

/// The most hosts of an app.
const MAX_HOSTS: u32 = 64;

/// A host as [`host::normalize`](crate::host::normalize) takes it.
pub(super) const HOST_PATTERN: &str = "^[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?\
    ([.][A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*[.]?$";

/// Kinds that have no count of replicas, whatever their group.
pub(super) const NOT_SCALABLE: [&str; 5] = ["CronJob", "DaemonSet", "Job", "Pod", "Service"];

/// The name of the `ScaledApp` itself, which also names its metrics and what the controller makes for it.
pub(super) fn name() -> impl Change {
    rule(
        "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "the name of a ScaledApp has 1 to 63 of a-z, 0-9 and '-', and no '-' at either end",
    )
}

/// Between fields that lie far apart.
pub(super) fn spec() -> impl Change {
    let needs_port = |by: &'static str| {
        rule_at(
            ".wake.readiness",
            &format!(
                "!(has(self.preset) && self.preset == 'tcp' && has(self.wake) && has(self.wake.readiness) && \
                 has(self.wake.readiness.{by}) && !has(self.wake.readiness.{by}.port))"
            ),
            &format!(
                "ports of preset tcp speak no HTTP unless the app says so: name the one that answers \
                 (wake.readiness.{by}.port), or write tcp: {{}}"
            ),
        )
    };
    both(needs_port("http"), needs_port("grpc"))
}

/// What cannot be changed. That may be allowed one day; it could not be forbidden again.
pub(super) fn fixed(field: &str) -> impl Change + use<> {
    let message = format!(
        "the {field} cannot be changed: delete this ScaledApp, which gives the app back awake, and create another"
    );
    rule("self == oldSelf", &message)
}

/// `target.apiVersion`.
pub(super) fn api_version() -> impl Change {
    checked(
        317,
        "self.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "write the group and version as `kubectl api-resources` lists them, such as apps/v1",
    )
}

/// `target.kind`.
pub(super) fn kind() -> impl Change {
    let well_formed = checked(
        63,
        "self.matches('^[A-Z][A-Za-z0-9]*$')",
        "write the kind as `kubectl api-resources` lists it, such as Deployment",
    );
    let listed = NOT_SCALABLE.map(|kind| format!("'{kind}'")).join(", ");
    let scalable = rule(
        &format!("!(self in [{listed}])"),
        "this kind has no replicas to count: name a Deployment, a StatefulSet or another kind with a /scale subresource",
    );
    both(well_formed, scalable)
}

/// `target.name`.
pub(super) fn object_name() -> impl Change {
    checked(
        253,
        "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        "write the workload's name: a-z, 0-9, '-' and '.', and a letter or digit at either end",
    )
}

/// `service`.
pub(super) fn service() -> impl Change {
    let well_formed = checked(
        63,
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "write the Service's name alone: 1 to 63 of a-z, 0-9 and '-', and no '-' at either end",
    );
    both(well_formed, fixed("service"))
}

/// `traffic.hosts`.
pub(super) fn hosts() -> impl Change {
    let host = checked(
        254,
        &format!("self.matches('{HOST_PATTERN}')"),
        "write the host alone, in ASCII, without scheme, port, path and wildcard: web.example.org",
    );
    let once = rule(
        "self.all(a, self.exists_one(b, a.lowerAscii() == b.lowerAscii()))",
        "a host is listed twice; letter case does not matter",
    );
    both(list(MAX_HOSTS, host), once)
}

/// `idle`.
pub(super) fn idle() -> impl Change {
    rule_at(
        ".scrape",
        "!(has(self.scrape) && has(self.ttl) && self.ttl == 'never')",
        "has no effect, as idle.ttl is never: remove one of the two",
    )
}

/// `wake`.
pub(super) fn wake() -> impl Change {
    rule_at(
        ".replicas",
        "!has(self.replicas) || !has(self.maxReplicas) || self.replicas <= self.maxReplicas",
        "is more than wake.maxReplicas: lower it, or raise maxReplicas",
    )
}

/// `idle.scrape`.
pub(super) fn scrape() -> impl Change {
    schema::exactly_one(
        &["prometheus", "nginx"],
        "say what is scraped, by exactly one of: prometheus: {port: 8002, metrics: [requests_total]} or \
         nginx: {port: 8080}",
    )
}

/// `idle.scrape.prometheus.metrics`.
pub(super) fn metrics() -> impl Change {
    let name = checked(
        256,
        "self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')",
        "write the name of a metric alone, without labels: http_requests_total",
    );
    both(
        list(32, name),
        rule(
            "size(self) > 0",
            "name at least one metric: counters that requests move, gauges of what is in flight",
        ),
    )
}
