//! `reveille controller`: its options, and what they say. Each can be given by an environment variable, as a pod's manifest
//! gives them.

use std::{collections::BTreeSet, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::Args;
use reveille_controller::cluster::{ApiConfig, Config, MOST_PORTS};
use reveille_core::{app::check_name, quantity::HumanDuration};

use crate::args::LogFormat;

/// The longest that nodes may take to learn of changed endpoints.
const MAX_SLEEP_DELAY: Duration = Duration::from_secs(60);
/// The lowest port that may be given away: below, only root may listen.
const LOWEST_PORT: u16 = 1024;
/// Where the API is served unless it is said.
const DEFAULT_API_PORT: u16 = 8080;

/// `reveille controller`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  reveille controller --namespace reveille --identity $(hostname)
  reveille controller --give-back-all    # wakes every app, and leaves it to the cluster

SIGTERM gives the Lease back, so that a controller which stands by leads at once.

Exit codes:
  0  told to stop, or everything was given back     1  it cannot go on, or something is left
  64 wrong configuration; nothing was started")]
pub struct ControllerArgs {
    /// The namespace that Reveille runs in [default: that of POD_NAMESPACE]
    #[arg(long, env = "REVEILLE_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// The name of this pod, by which it takes part in the election [default: that of POD_NAME]
    #[arg(long, env = "REVEILLE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// The Lease by which one controller leads
    #[arg(long, env = "REVEILLE_LEASE_NAME", value_name = "NAME", default_value = "reveille-controller")]
    pub lease_name: String,

    /// Which pods of the namespace are the activators
    #[arg(
        long,
        env = "REVEILLE_ACTIVATOR_SELECTOR",
        value_name = "LABELS",
        default_value = "app.kubernetes.io/name=reveille,app.kubernetes.io/component=activator"
    )]
    pub activator_selector: String,

    /// The activators' control port
    #[arg(long, env = "REVEILLE_CONTROL_PORT", value_name = "PORT", default_value_t = 9443)]
    pub control_port: u16,

    /// The authority by which the activators' certificate is checked, PEM
    #[arg(
        long,
        env = "REVEILLE_CONTROL_CA",
        value_name = "FILE",
        default_value = "/etc/reveille/control/ca.crt"
    )]
    pub control_ca: PathBuf,

    /// The token that the activators are shown; read again as it is renewed
    #[arg(
        long,
        env = "REVEILLE_CONTROL_TOKEN",
        value_name = "FILE",
        default_value = "/var/run/secrets/reveille.dev/token"
    )]
    pub control_token: PathBuf,

    /// The ConfigMap that keeps which listener port is whose
    #[arg(long, env = "REVEILLE_PORTS_CONFIG_MAP", value_name = "NAME", default_value = "reveille-ports")]
    pub ports_config_map: String,

    /// The listener ports to give away, FIRST-LAST
    #[arg(long, env = "REVEILLE_PORT_RANGE", value_name = "RANGE", default_value = "20000-29999")]
    pub port_range: String,

    /// How long the nodes take to learn of changed endpoints, at most 60s
    #[arg(long, env = "REVEILLE_SLEEP_DELAY", value_name = "DURATION", default_value = "5s")]
    pub sleep_delay: HumanDuration,

    /// Where to serve /metrics, /livez and /readyz
    #[arg(long, env = "REVEILLE_ADMIN", value_name = "ADDR", default_value = "0.0.0.0:9090")]
    pub admin: SocketAddr,

    /// Where to serve the Scale API and the dashboard [default: 0.0.0.0:8080 with --keys or --allow-anonymous]
    #[arg(long, env = "REVEILLE_API", value_name = "ADDR")]
    pub api: Option<SocketAddr>,

    /// The keys by which the API may be called, a line each; see `reveille key new`
    #[arg(long, env = "REVEILLE_KEYS", value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Let anybody call the API who reaches it
    #[arg(long, env = "REVEILLE_ALLOW_ANONYMOUS", conflicts_with = "keys")]
    pub allow_anonymous: bool,

    /// A host by which the API may be called besides its Service's names and localhost, as of an Ingress; can be repeated
    #[arg(long, env = "REVEILLE_API_HOST", value_name = "HOST", value_delimiter = ',')]
    pub api_host: Vec<String>,

    /// The only namespaces whose apps are looked after; can be repeated [default: all]
    #[arg(long, env = "REVEILLE_WATCH_NAMESPACE", value_name = "NAME", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,

    /// How to log; auto is pretty on a terminal, JSON otherwise
    #[arg(long, env = "REVEILLE_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,

    /// Delete every ScaledApp, wait until its app was woken and given back by the controller that runs, and end
    #[arg(long)]
    pub give_back_all: bool,
}

impl ControllerArgs {
    /// The namespaces to look at, which is all that giving back needs; none means all.
    ///
    /// # Errors
    /// What is wrong.
    pub fn scope(&self) -> Result<Vec<String>, String> {
        // An empty variable is how a manifest says that there is none.
        let named = self.watch_namespace.iter().filter(|name| !name.is_empty());
        let named: Result<BTreeSet<String>, String> =
            named.map(|name| checked("--watch-namespace", name.clone())).collect();
        Ok(named?.into_iter().collect())
    }

    /// Whether and how the API is served: not before somebody has said who may call it.
    fn api(&self) -> Result<Option<ApiConfig>, String> {
        if self.keys.is_none() && !self.allow_anonymous {
            return match self.api {
                None => Ok(None),
                Some(_) => Err("--api: say who may call it: --keys FILE (`reveille key new` makes them), or --allow-anonymous for everybody who reaches it".to_owned()),
            };
        }
        let listen = self.api.unwrap_or(SocketAddr::from(([0, 0, 0, 0], DEFAULT_API_PORT)));
        if listen == self.admin {
            return Err(format!("--api: {listen} is that of --admin"));
        }
        let hosts: Vec<_> = self.api_host.iter().filter(|host| !host.is_empty()).cloned().collect();
        if let Some(wrong) = hosts.iter().find(|host| !is_host(host)) {
            return Err(format!(
                "--api-host: {wrong:?} is no host: write a name alone, such as scale.example.com, without scheme, port or *"
            ));
        }
        Ok(Some(ApiConfig { listen, keys: self.keys.clone(), hosts }))
    }

    /// The configuration. `variable` reads the environment that the pod's own fields come by.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn config(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Config, Vec<String>> {
        let mut problems = Vec::new();
        let mut own = |option: &str, given: &Option<String>, name: &str| {
            let value = given.clone().or_else(|| variable(name)).filter(|value| !value.is_empty());
            let missing = format!("{option} is missing; give it, or set {name} from the pod's own fields");
            value.ok_or(missing).map_err(|why| problems.push(why)).ok()
        };
        let namespace = own("--namespace", &self.namespace, "POD_NAMESPACE");
        let identity = own("--identity", &self.identity, "POD_NAME");
        let namespace = namespace.and_then(|name| noted(&mut problems, checked("--namespace", name)));
        let watch_namespaces = noted(&mut problems, self.scope());
        let port_range = noted(&mut problems, ports(&self.port_range));
        let api = noted(&mut problems, self.api()).flatten();
        if self.sleep_delay.0 > MAX_SLEEP_DELAY {
            problems.push(format!("--sleep-delay: {} is out of range: 0s to 1m", self.sleep_delay));
        }
        if self.control_port == 0 {
            problems.push("--control-port: 0 is no port".to_owned());
        }
        for (option, file) in [("--control-ca", &self.control_ca), ("--control-token", &self.control_token)] {
            if let Err(error) = std::fs::File::open(file) {
                problems.push(format!("{option}: {} cannot be read: {error}", file.display()));
            }
        }
        for (option, text) in [
            ("--lease-name", &self.lease_name),
            ("--ports-config-map", &self.ports_config_map),
            ("--activator-selector", &self.activator_selector),
        ] {
            if text.trim().is_empty() {
                problems.push(format!("{option} is empty"));
            }
        }
        match (namespace, identity, watch_namespaces, port_range) {
            (Some(namespace), Some(identity), Some(watch_namespaces), Some(port_range))
                if problems.is_empty() =>
            {
                Ok(Config {
                    namespace,
                    identity,
                    lease_name: self.lease_name.clone(),
                    activator_selector: self.activator_selector.clone(),
                    control_port: self.control_port,
                    control_ca: self.control_ca.clone(),
                    control_token: self.control_token.clone(),
                    ports_config_map: self.ports_config_map.clone(),
                    port_range,
                    sleep_delay: self.sleep_delay.0,
                    admin: self.admin,
                    api,
                    watch_namespaces,
                })
            }
            _ => Err(problems),
        }
    }
}

fn noted<T>(problems: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|why| problems.push(why)).ok()
}

fn checked(option: &str, name: String) -> Result<String, String> {
    check_name(&name).map_err(|why| format!("{option}: {name:?} is no namespace: {why}"))?;
    Ok(name)
}

/// A name as browsers and clients write it in `Host`, which is compared as it stands.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        letters && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let read = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    let good = read.filter(|range: &RangeInclusive<u16>| {
        (1..=MOST_PORTS).contains(&range.len()) && *range.start() >= LOWEST_PORT
    });
    good.ok_or_else(|| {
        format!(
            "--port-range: {text:?} is no range: write FIRST-LAST, from {LOWEST_PORT} on, at most {MOST_PORTS} ports, such as 20000-29999"
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(more: &[&str]) -> ControllerArgs {
        let words = ["reveille", "controller", "--control-token", "/dev/null"];
        match Cli::try_parse_from(words.into_iter().chain(more.iter().copied())).unwrap().command {
            Command::Controller(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn of_the_pod(name: &str) -> Option<String> {
        Some(if name == "POD_NAME" { "controller-1" } else { "reveille" }.to_owned())
    }

    #[test]
    fn the_pods_own_fields_fill_in_what_is_not_given() {
        let config = args(&["--sleep-delay", "3s", "--control-ca", "/dev/null"]).config(of_the_pod).unwrap();
        assert_eq!((config.namespace.as_str(), config.identity.as_str()), ("reveille", "controller-1"));
        assert_eq!((config.port_range, config.sleep_delay.as_secs()), (20_000..=29_999, 3));
        assert_eq!((config.watch_namespaces.len(), config.api), (0, None));
        let given = args(&["--namespace", "other", "--watch-namespace", "team", "--control-ca", "/dev/null"])
            .config(of_the_pod)
            .unwrap();
        assert_eq!(
            (given.namespace.as_str(), given.watch_namespaces.as_slice()),
            ("other", ["team".to_owned()].as_slice())
        );
    }

    #[test]
    fn the_api_is_served_once_it_is_said_who_may_call() {
        let api = |more: &[&str]| {
            let words = ["--control-ca", "/dev/null"].into_iter().chain(more.iter().copied());
            args(&words.collect::<Vec<_>>()).config(of_the_pod).map(|config| config.api)
        };
        let listen = "0.0.0.0:8080".parse().unwrap();
        let keys = Some("/keys".into());
        assert_eq!(
            api(&["--keys", "/keys", "--api-host", "scale.example"]).unwrap(),
            Some(ApiConfig { listen, keys, hosts: vec!["scale.example".into()] })
        );
        for wrong in ["https://b.example", "c.example:443", "*.example", "a..b", "-a"] {
            let problems = api(&["--allow-anonymous", &format!("--api-host={wrong}")]).unwrap_err();
            assert!(problems[0].starts_with("--api-host: ") && problems[0].contains(wrong), "{problems:?}");
        }
        let anybody = api(&["--allow-anonymous", "--api", "127.0.0.1:1"]).unwrap().unwrap();
        assert_eq!((anybody.listen.port(), anybody.keys), (1, None));
        let problems = api(&["--api", "0.0.0.0:8080"]).unwrap_err();
        assert!(problems[0].starts_with("--api: say who may call it"), "{problems:?}");
        assert!(api(&["--keys", "/keys", "--api", "0.0.0.0:9090"]).is_err());
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let wrong = args(&[
            "--port-range",
            "5-2",
            "--sleep-delay",
            "2m",
            "--watch-namespace",
            "A",
            "--control-ca",
            "/nowhere/ca",
        ]);
        let problems = wrong.config(|_| None).unwrap_err();
        for option in [
            "--namespace",
            "--identity",
            "--port-range",
            "--sleep-delay",
            "--watch-namespace",
            "--control-ca",
        ] {
            assert!(problems.iter().any(|problem| problem.starts_with(option)), "{option}: {problems:?}");
        }
        assert!(ports("80-90").is_err() && ports("20000").is_err() && ports("2000-2000").is_ok());
        assert!(ports("20000-29999").is_ok() && ports("20000-30000").is_err());
    }
}
