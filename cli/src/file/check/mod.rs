//! What the types cannot say: rules within an app and between apps.

mod addresses;
mod hosts;
mod ports;
mod program;
mod protocols;

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use reveille_controller::local::config::{Command, LocalApp};
use reveille_core::{
    app::{AppId, check_name},
    policy::{Mode, Policy, PolicySpec},
    quantity::HumanDuration,
};

use self::{addresses::Addresses, hosts::Hosts};
use super::{
    LocalConfig,
    document::Document,
    path::FieldPath,
    raw::{RawApp, RawFile},
};

/// The admin port unless said otherwise.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);
/// How many policies an app's is compared with.
const COMPARED: usize = 16;
const MAX_STOP_GRACE: Duration = Duration::from_secs(600);

/// Checks the file and completes it. What is wrong is reported to `doc`; the result is worth nothing then.
pub(super) fn file(raw: RawFile, doc: &mut Document, path: &Path, base_dir: &Path) -> LocalConfig {
    let root = FieldPath::default();
    let admin = raw.admin.map_or(DEFAULT_ADMIN, |address| address.0);
    let gateway = raw.gateway.map(|address| address.0);
    if raw.apps.is_empty() {
        doc.report(&root.key("apps"), "no app is given; add one with a name, a command and a port");
    }
    let mut checker = Checker {
        addresses: Addresses::new(doc, raw.admin.is_some(), admin, gateway),
        hosts: Hosts::new(gateway.is_some()),
        names: HashMap::new(),
        policies: Vec::new(),
        programs: program::Found::default(),
        doc,
        base_dir,
    };
    let mut apps = Vec::new();
    for (i, app) in raw.apps.into_iter().enumerate() {
        apps.extend(checker.app(app, &root.key("apps").index(i)).map(Arc::new));
    }
    LocalConfig {
        file: path.to_owned(),
        admin,
        gateway,
        trusted_proxies: raw.trusted_proxies.into_iter().map(|proxy| proxy.0).collect(),
        apps,
        binds: checker.addresses.finish(checker.doc),
    }
}

struct Checker<'a> {
    doc: &'a mut Document,
    base_dir: &'a Path,
    addresses: Addresses,
    hosts: Hosts,
    /// The names of apps and the lines that gave them.
    names: HashMap<String, (FieldPath, usize)>,
    /// The different policies so far, the newest last: most apps share one of few.
    policies: Vec<Arc<Policy>>,
    programs: program::Found,
}

impl Checker<'_> {
    /// Every check runs, whatever the others found.
    fn app(&mut self, mut raw: RawApp, at: &FieldPath) -> Option<LocalApp> {
        let name = self.name(raw.name.take(), &at.key("name"));
        let command = self.command(&mut raw, at);
        let protocols: Vec<_> = raw.ports.iter().map(|port| port.protocol(raw.preset)).collect();
        let ports = self.ports(std::mem::take(&mut raw.ports), raw.preset, at);
        let hosts = self.hosts.check(self.doc, &raw.hosts, &at.key("hosts"));
        let spec = raw.policy();
        self.http_settings(&raw.hosts, &spec, &protocols, at);
        self.upgrades(&spec, &ports, at);
        let readiness_is_written = spec.wake.readiness.is_some();
        let policy = self.policy(&spec, at);
        if let Some(policy) = &policy {
            self.readiness_protocol(policy, readiness_is_written, &protocols, at);
            self.readiness_port(policy, &ports, at);
        }
        let policy = self.shared(policy?);
        Some(LocalApp { id: AppId::local(&name?), command: command?, ports, hosts, policy })
    }

    /// The one of an equal policy before, or this one.
    fn shared(&mut self, policy: Policy) -> Arc<Policy> {
        if let Some(known) = self.policies.iter().rev().take(COMPARED).find(|known| ***known == policy) {
            return Arc::clone(known);
        }
        let policy = Arc::new(policy);
        self.policies.push(Arc::clone(&policy));
        policy
    }

    fn name(&mut self, name: Option<String>, at: &FieldPath) -> Option<String> {
        let Some(name) = name else {
            self.doc.report(at, "missing; every app has a name of its own");
            return None;
        };
        if let Err(reason) = check_name(&name) {
            self.doc.report(at, reason);
            return None;
        }
        let (path, place) = self.doc.locate(at);
        if let Some((first, line)) = self.names.get(&name) {
            self.doc
                .report(at, format!("{name} is already the name of {first} (line {line}); choose another"));
            return None;
        }
        let mut app = path;
        app.0.pop();
        self.names.insert(name.clone(), (app, place.line));
        Some(name)
    }

    fn command(&mut self, raw: &mut RawApp, at: &FieldPath) -> Option<Command> {
        let env = self.env(std::mem::take(&mut raw.env), &at.key("env"));
        let stop_grace = self.stop_grace(raw.stop_grace, &at.key("stopGrace"));
        let working_dir = self.working_dir(raw.working_dir.as_deref(), &at.key("workingDir"));
        let at = at.key("command");
        let argv = raw.command.take().map(|argv| argv.0).unwrap_or_default();
        for (i, argument) in argv.iter().enumerate() {
            if !argument.contains('\0') {
                continue;
            }
            let name = if i == 0 { "a program's name" } else { "an argument" };
            self.doc.report(&at.index(i), format!("{name} cannot contain a NUL character"));
        }
        let Some(name) = argv.first() else {
            self.doc.report(&at, "no program is given; write it with its arguments: [nginx, -c, web.conf]");
            return None;
        };
        let working_dir = working_dir?;
        match self.programs.find(name, env.get("PATH").map(String::as_str), &working_dir) {
            Ok(program) => Some(Command { program, argv, env, working_dir, stop_grace }),
            // A program that was taken out moved an argument to its place.
            Err(_) if self.doc.has_hole(&at) => None,
            Err(reason) => {
                self.doc.report(&at.index(0), reason);
                None
            }
        }
    }

    fn env(&mut self, env: BTreeMap<String, String>, at: &FieldPath) -> BTreeMap<String, String> {
        for (name, value) in &env {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit())
            {
                let reason = "a variable's name is made of letters, digits and '_', and begins with no digit";
                self.doc.report(&at.key(name), reason);
            } else if name == "PORT" || name.starts_with("PORT_") {
                let reason = "set by Reveille to the number of the app's port; remove it, or use upstream to choose the port";
                self.doc.report(&at.key(name), reason);
            }
            if value.contains('\0') {
                self.doc.report(&at.key(name), "a value cannot contain a NUL character");
            }
        }
        env
    }

    fn stop_grace(&mut self, stop_grace: Option<HumanDuration>, at: &FieldPath) -> Duration {
        let stop_grace = stop_grace.map_or(DEFAULT_STOP_GRACE, |duration| duration.0);
        if stop_grace > MAX_STOP_GRACE {
            let written = HumanDuration(stop_grace);
            self.doc
                .report(at, format!("{written} is out of range: 0s to {}", HumanDuration(MAX_STOP_GRACE)));
        }
        stop_grace
    }

    fn working_dir(&mut self, written: Option<&str>, at: &FieldPath) -> Option<std::path::PathBuf> {
        let dir = self.base_dir.join(written.unwrap_or("."));
        match program::working_dir(&dir) {
            // The file's own folder was there when the file was read: only what is written can be wrong.
            _ if written.is_none() => Some(self.base_dir.to_owned()),
            Ok(()) => Some(dir),
            Err(reason) => {
                self.doc.report(at, reason);
                None
            }
        }
    }

    fn policy(&mut self, spec: &PolicySpec, at: &FieldPath) -> Option<Policy> {
        let problems = match spec.resolve(Mode::Local) {
            Ok(policy) => return Some(policy),
            Err(problems) => problems,
        };
        for problem in problems {
            self.doc.report(&at.join(&problem.field), problem.reason);
        }
        None
    }
}
