//! The hosts by which the gateway knows an app: well-formed, and claimed once.

use std::collections::HashMap;

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
        let mut checked = Vec::new();
        for (i, written) in hosts.iter().enumerate() {
            let at = at.index(i);
            let host = match normalize(written) {
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

fn normalize(written: &str) -> Result<String, String> {
    if written.contains("://") || written.contains('/') {
        return Err("write the host alone, without scheme and path".to_owned());
    }
    if written.contains('*') {
        return Err("wildcards are not supported; list each host".to_owned());
    }
    if written.contains(':') {
        return Err("write it without a port; the gateway's port is for all hosts".to_owned());
    }
    if !written.is_ascii() {
        return Err("write it in its ASCII form (xn--…)".to_owned());
    }
    let host = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    if host.is_empty() || host.len() > 253 {
        return Err("a host has 1 to 253 characters".to_owned());
    }
    for label in host.split('.') {
        let valid = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if label.is_empty() || label.len() > 63 || !valid || label.starts_with('-') || label.ends_with('-') {
            return Err("write labels of a-z, 0-9, '-' and '_' with dots between: web.localhost".to_owned());
        }
    }
    Ok(host)
}
