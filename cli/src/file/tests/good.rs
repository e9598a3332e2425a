//! Files that are right mean what the reference says.

use std::{path::Path, time::Duration};

use reveille_core::{
    app::AppId,
    directory::{Protocol, UpstreamProtocol},
    policy::{Preset, Readiness, Ttl},
    probes::ProbeAnswer,
};

use super::{GOOD, parse};
use crate::file::load;

#[test]
fn every_field_reaches_the_configuration() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.admin, "127.0.0.1:9099".parse().unwrap());
    assert_eq!(config.gateway, Some("[::1]:8080".parse().unwrap()));
    let proxies: Vec<_> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"]);
    let web = &config.apps[0];
    assert_eq!(web.id, AppId::local("web"));
    assert_eq!(web.command.argv, ["sh", "-c", "exec nginx -p . -c web.conf", "8080", "true", "1.50"]);
    assert!(web.command.program.ends_with("sh") && web.command.program.is_absolute());
    let env: Vec<_> = web.command.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["EMPTY=", "LEVEL=debug", "QUIET=false", "RETRIES=3"]);
    assert_eq!(web.command.working_dir, Path::new("/tmp"));
    assert_eq!(web.command.stop_grace, Duration::from_secs(2));
    assert_eq!(web.ports[0].upstream, Some("127.0.0.1:9081".parse().unwrap()));
    assert_eq!((web.ports[1].name.as_deref(), web.ports[1].upstream), (Some("metrics"), None));
    assert_eq!(web.hosts, ["web.localhost", "www.web.localhost"]);
    assert_eq!(web.policy.preset, Preset::Triton);
    assert_eq!(web.policy.idle.ttl, Ttl::After(Duration::from_secs(30)));
    assert!(matches!(&web.policy.wake.readiness, Readiness::Http { path, .. } if path == "/healthz?full=1"));
    assert_eq!(web.policy.hold.max_bytes, 1 << 20);
    assert_eq!(web.policy.probes.answer, Some(ProbeAnswer::Ok));
    assert_eq!(web.policy.timeouts.total, Some(Duration::from_secs(3)));
    assert_eq!(web.policy.concurrency.unwrap().get(), 8);
    assert_eq!(*web.policy.upgrades, ["websocket".to_owned(), "spdy/3.1".to_owned()]);
    let spoken = |app: usize| {
        let ports = config.apps[app].ports.iter();
        ports.map(|port| (port.protocol, port.upstream_protocol)).collect::<Vec<_>>()
    };
    assert_eq!(spoken(0), [(Protocol::Http, UpstreamProtocol::H1), (Protocol::Tcp, UpstreamProtocol::Auto)]);
    assert_eq!(spoken(1), [(Protocol::Http, UpstreamProtocol::Auto)]);
    assert_eq!(spoken(2), [(Protocol::Tcp, UpstreamProtocol::Auto), (Protocol::Http, UpstreamProtocol::H1)]);
    let db = &config.apps[2].policy;
    assert!(matches!(&db.wake.readiness, Readiness::Grpc { service, .. } if service == "db.v1.Sql"));
    assert!(db.upgrades.is_empty());
    let binds: Vec<_> = config.binds.iter().map(|bind| format!("{} {}", bind.field, bind.address)).collect();
    assert_eq!(
        binds,
        [
            "admin 127.0.0.1:9099",
            "gateway [::1]:8080",
            "apps[0].ports[0].listen 127.0.0.1:8081",
            "apps[0].ports[1].listen 127.0.0.1:8082",
            "apps[1].ports[0].listen 127.0.0.1:8083",
            "apps[2].ports[0].listen 127.0.0.1:8084",
            "apps[2].ports[1].listen 127.0.0.1:8085",
        ]
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "apps: [{name: web, command: [sh], ports: [{listen: 127.0.0.1:8081}]}]";
    let config = parse(text).unwrap();
    assert_eq!(config.admin, "127.0.0.1:9090".parse().unwrap());
    assert_eq!((config.gateway, config.trusted_proxies.len()), (None, 0));
    let web = &config.apps[0];
    assert_eq!((web.ports[0].name.as_ref(), web.ports[0].upstream), (None, None));
    assert_eq!(web.command.stop_grace, Duration::from_secs(10));
    assert_eq!(web.command.working_dir, Path::new("/"));
    assert_eq!(web.policy.idle.ttl, Ttl::After(Duration::from_secs(60)));
    assert_eq!(web.policy.wake.deadline, Duration::from_secs(60));
}

#[test]
fn anchors_repeat_what_they_name() {
    let text = "
apps:
  - {name: a, command: &sh [sh, -c, env], idle: &idle {ttl: 5m}, ports: [{listen: 127.0.0.1:8081}]}
  - {name: b, command: *sh, idle: *idle, ports: [{listen: 127.0.0.1:8082}]}";
    let config = parse(text).unwrap();
    assert_eq!(config.apps[0].command, config.apps[1].command);
    assert_eq!(config.apps[0].policy, config.apps[1].policy);
}

#[test]
fn the_examples_are_right() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for name in ["grpc", "nginx", "python-http", "tcp", "triton", "websocket"] {
        match load(&examples.join(name).join("reveille.yaml")) {
            Ok(config) => assert!(!config.apps.is_empty(), "{name}"),
            // The program itself may be missing on the machine that tests; all else must be right.
            Err(problems) => {
                let missing = problems.list().iter().all(|problem| problem.reason.contains("is not on PATH"));
                assert!(missing, "{problems}");
            }
        }
    }
}
