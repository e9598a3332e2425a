//! The ports of one app, and the one that its readiness asks.

use std::collections::HashMap;

use reveille_controller::local::config::LocalPort;
use reveille_core::{
    app::check_name,
    directory::Protocol,
    policy::{Policy, PortRef, Preset, Readiness},
};

use super::{Checker, addresses::User};
use crate::file::{hint::quote, path::FieldPath, raw::RawPort};

impl Checker<'_> {
    pub(super) fn ports(&mut self, raw: Vec<RawPort>, preset: Preset, app: &FieldPath) -> Vec<LocalPort> {
        let at = app.key("ports");
        if raw.is_empty() {
            self.doc.report(
                &at,
                "no port is given; say where clients reach the app: [{listen: \"127.0.0.1:8081\"}]",
            );
        }
        let mut names = HashMap::new();
        let mut ports = Vec::with_capacity(raw.len());
        for (i, port) in raw.into_iter().enumerate() {
            let at = at.index(i);
            let protocol = port.protocol(preset);
            let upstream_protocol = port.upstream_protocol();
            if protocol == Protocol::Tcp && upstream_protocol.is_some() {
                let reason = "means nothing on a port for TCP: bytes are passed on as they are; remove it, or write \
                              protocol: http";
                self.doc.report(&at.key("upstreamProtocol"), reason);
            }
            self.port_name(port.name.as_deref(), &at.key("name"), &mut names);
            let upstream = port.upstream.map(|address| address.0);
            if let Some(upstream) = upstream {
                if upstream.ip().is_unspecified() {
                    let reason = format!(
                        "{upstream} is no address to connect to; write 127.0.0.1:{}",
                        upstream.port()
                    );
                    self.doc.report(&at.key("upstream"), reason);
                } else {
                    self.addresses.add(self.doc, User::App, at.key("upstream"), upstream);
                }
            }
            let Some(listen) = port.listen.map(|address| address.0) else {
                self.doc.report(
                    &at.key("listen"),
                    "missing; say where clients reach the app, such as 127.0.0.1:8081",
                );
                continue;
            };
            self.addresses.add(self.doc, User::Reveille, at.key("listen"), listen);
            ports.push(LocalPort {
                name: port.name,
                listen,
                upstream,
                protocol,
                upstream_protocol: upstream_protocol.unwrap_or_default(),
            });
        }
        ports
    }

    fn port_name(&mut self, name: Option<&str>, at: &FieldPath, names: &mut HashMap<String, usize>) {
        let Some(name) = name else { return };
        let line = self.doc.locate(at).1.line;
        if let Err(reason) = check_name(name) {
            self.doc.report(at, reason);
        } else if name.bytes().all(|b| b.is_ascii_digit()) {
            self.doc.report(at, "a port's name has a letter, so that it is not taken for a number");
        } else if let Some(first) = names.insert(name.to_owned(), line) {
            self.doc.report(at, format!("{name} is already the name of the port in line {first}"));
        }
    }

    /// The port that readiness asks must be one of the app's.
    pub(super) fn readiness_port(&mut self, policy: &Policy, ports: &[LocalPort], app: &FieldPath) {
        let readiness = &policy.wake.readiness;
        let Some(asked) = readiness.port() else { return };
        let is_it = |port: &LocalPort| match asked {
            PortRef::Name(name) => port.name.as_deref() == Some(name),
            PortRef::Number(number) => port.upstream.is_some_and(|upstream| upstream.port() == *number),
        };
        // Of a port that was left out nothing is known, its name least of all.
        if ports.iter().any(is_it) || self.doc.has_hole(&app.key("ports")) {
            return;
        }
        let field = match readiness {
            Readiness::Tcp { .. } => "wake.readiness.tcp.port",
            Readiness::Http { .. } => "wake.readiness.http.port",
            Readiness::Grpc { .. } => "wake.readiness.grpc.port",
        };
        let reason = match asked {
            PortRef::Number(number) => match ports.iter().find(|port| port.listen.port() == *number) {
                Some(LocalPort { upstream: Some(upstream), .. }) => {
                    format!(
                        "{number} is where Reveille listens; the app itself listens on {}",
                        upstream.port()
                    )
                }
                Some(_) => format!("{number} is where Reveille listens; give the port a name and write that"),
                None => format!("{number} is the upstream of none of this app's ports"),
            },
            PortRef::Name(name) => {
                let names: Vec<_> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
                let instead = match names.is_empty() {
                    true => "none of them has a name".to_owned(),
                    false => crate::file::hint::instead(name, &names, "they are"),
                };
                format!("{} is none of this app's ports; {instead}", quote(name))
            }
        };
        self.doc.report(&app.join(field), reason);
    }
}
