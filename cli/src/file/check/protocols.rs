//! What only HTTP has, in apps whose ports pass bytes on as they are.
//!
//! A setting that can have no effect is refused: whoever wrote it relies on it.

use reveille_controller::local::config::LocalPort;
use reveille_core::{
    directory::{Protocol, UpstreamProtocol, first_http},
    policy::{Policy, PolicySpec, Readiness},
};

use super::Checker;
use crate::file::path::FieldPath;

impl Checker<'_> {
    /// Hosts, probes and whatever else is about requests need a port that speaks HTTP.
    pub(super) fn http_settings(
        &mut self,
        hosts: &[String],
        policy: &PolicySpec,
        protocols: &[Protocol],
        app: &FieldPath,
    ) {
        if self.may_speak_http(protocols, app) {
            return;
        }
        if !hosts.is_empty() {
            let reason = "the gateway routes HTTP only, and none of this app's ports speaks it; write protocol: http \
                          at the one that does, or remove the hosts";
            self.doc.report(&app.key("hosts"), reason);
        }
        for field in policy.http_settings() {
            let reason = "is about HTTP, and none of this app's ports speaks it; remove it, or write protocol: http at the \
                          one that does";
            self.doc.report(&app.join(field), reason);
        }
    }

    /// An app that is spoken to over HTTP/2 alone is never asked for another protocol (RFC 9113, 8.6).
    pub(super) fn upgrades(&mut self, policy: &PolicySpec, ports: &[LocalPort], app: &FieldPath) {
        let mut http = ports.iter().filter(|port| port.protocol == Protocol::Http).peekable();
        let only_http2 =
            http.peek().is_some() && http.all(|port| port.upstream_protocol == UpstreamProtocol::H2c);
        if only_http2 && policy.upgrades.as_ref().is_some_and(|upgrades| !upgrades.is_empty()) {
            let reason = "need HTTP/1.1, and every port of this app for HTTP has upstreamProtocol: h2c; remove them, \
                          or write upstreamProtocol: auto or h1 at the port that takes them";
            self.doc.report(&app.key("upgrades"), reason);
        }
    }

    /// Readiness by HTTP or gRPC asks the first port that speaks HTTP. A port for TCP is asked if it is named:
    /// Reveille asks the app itself, and whoever names the port knows what is spoken there.
    pub(super) fn readiness_protocol(
        &mut self,
        policy: &Policy,
        is_written: bool,
        protocols: &[Protocol],
        app: &FieldPath,
    ) {
        let readiness = &policy.wake.readiness;
        if !readiness.needs_http() || readiness.port().is_some() || self.may_speak_http(protocols, app) {
            return;
        }
        let (field, by) = match readiness {
            Readiness::Grpc { .. } => ("wake.readiness.grpc", "gRPC"),
            Readiness::Http { .. } | Readiness::Tcp { .. } => ("wake.readiness.http", "HTTP"),
        };
        if is_written {
            let reason = format!(
                "none of this app's ports has protocol: http; name the one that answers {by} (port: …), or write \
                 tcp: {{}} instead"
            );
            self.doc.report(&app.join(field), reason);
        } else {
            let preset = policy.preset;
            let reason = format!(
                "the preset {preset} asks by {by}, and none of this app's ports has protocol: http; write it at the \
                 one that answers, or readiness: {{tcp: {{}}}}"
            );
            self.doc.report(&app.join("wake.readiness"), reason);
        }
    }

    /// Whether a port speaks HTTP, or might if what could not be read were right.
    fn may_speak_http(&self, protocols: &[Protocol], app: &FieldPath) -> bool {
        let unknown = ["ports", "preset"].iter().any(|field| self.doc.has_hole(&app.key(field)));
        unknown || protocols.is_empty() || first_http(protocols.iter().copied()).is_some()
    }
}
