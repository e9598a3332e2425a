//! The hosts by which the gateway knows an app: well-formed, and claimed once.

use std::collections::HashMap;

use reveille_core::host;

use super::super::{document::Document, hint::quote, path::FieldPath};

/// The hosts of the file.
pub(super) struct Hosts {
    has_gateway: bool,
    claimed: HashMap<String, (FieldPath, usize)>,
}

impl Hosts {
    pub(super) fn new(has_gateway: bool) -> Self {
        Self { has_gateway, claimed: HashMap::new() }
    }

    /// Checks the hosts of one app. Returns them as requests are compared with them: in lower case, without
    /// a final dot.
    pub(super) fn check(&mut self, doc: &mut Document, hosts: &[String], at: &FieldPath) -> Vec<String> {
        if !hosts.is_empty() && !self.has_gateway && !doc.has_hole(&FieldPath::default().key("gateway")) {
            doc.report(at, "hosts need the gateway; add gateway: 127.0.0.1:8080 at the top, or remove them");
        }
        let mut checked = Vec::with_capacity(hosts.len());
        for (i, written) in hosts.iter().enumerate() {
            let at = at.index(i);
            let host = match host::normalize(written) {
                Ok(host) => host,
                Err(reason) => {
                    doc.report(&at, format!("{} is no host; {reason}", quote(written)));
                    continue;
                }
            };
            let (path, place) = doc.locate(&at);
            if let Some((first, line)) = self.claimed.get(&host) {
                doc.report(&at, format!("{host} is already claimed by {first} (line {line})"));
                continue;
            }
            self.claimed.insert(host.clone(), (path, place.line));
            checked.push(host);
        }
        checked
    }
}
