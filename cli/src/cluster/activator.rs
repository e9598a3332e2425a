//! `reveille activator`: the data plane of a cluster.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroUsize, time::Duration};

use reveille_activator::{
    cluster::{self, CertFiles, ClusterActivator},
    config,
};
use reveille_controller::api;
use reveille_core::app::check_name;
use tokio::net::TcpListener;

use super::{
    admin::{self, Readiness, Ready},
    args::ActivatorArgs,
};
use crate::{
    exit::{CliError, Exit},
    file::conflict,
    process::{
        self, Finished, cannot, logging, metrics,
        signals::{Signal, Signals},
    },
};

/// How long it goes on accepting after SIGTERM, at least: the controller takes its address out of all slices, and every
/// node has to hear of it.
const ACCEPT_FOR: Duration = Duration::from_secs(10);

/// Runs an activator until it is told to stop.
///
/// # Errors
/// If the options are wrong: nothing was started. If there is no cluster in reach, or the process cannot go on.
pub fn run(args: &ActivatorArgs) -> Result<Exit, CliError> {
    check(args)?;
    logging::start(args.log_format);
    if process::raise_open_files().is_none() {
        tracing::warn!("the limit on open files cannot be read");
    }
    process::end_with_this_thread("the activator");
    process::run(serve(args))
}

/// # Errors
/// What is wrong with the options, taken together and with what they name.
fn check(args: &ActivatorArgs) -> Result<(), CliError> {
    let wrong = |message: String| CliError::new(Exit::BadConfig, message).hint("nothing was started");
    let named: Vec<(&str, SocketAddr)> =
        [("--gateway", args.gateway), ("--admin", Some(args.admin)), ("--control", Some(args.control))]
            .into_iter()
            .filter_map(|(name, address)| Some((name, address?)))
            .collect();
    for (i, (name, address)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..i].iter().find(|(_, other)| conflict(*other, *address)) {
            return Err(wrong(format!("{name} and {other} are both {address}: choose another port for one")));
        }
    }
    let account = args.controller_user.strip_prefix("system:serviceaccount:");
    let parts = account.and_then(|account| account.split_once(':'));
    if !parts.is_some_and(|(namespace, name)| check_name(namespace).is_ok() && !name.is_empty()) {
        return Err(wrong(format!(
            "--controller-user is {:?}: write system:serviceaccount:NAMESPACE:NAME",
            args.controller_user
        )));
    }
    for namespace in &args.watch_namespace {
        check_name(namespace).map_err(|why| wrong(format!("--watch-namespace is {namespace:?}: {why}")))?;
    }
    cert(args).check().map_err(|why| wrong(format!("--control-cert and --control-key are of no use: {why}")))
}

fn cert(args: &ActivatorArgs) -> CertFiles {
    CertFiles { cert: args.control_cert.clone(), key: args.control_key.clone() }
}

async fn serve(args: &ActivatorArgs) -> Result<Exit, CliError> {
    let mut signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    let registry = metrics::registry();
    let admin = TcpListener::bind(args.admin).await.map_err(|error| cannot("open the admin port", &error))?;
    let ready = Readiness::starting();
    let (stop_admin, admin_stopped) = tokio::sync::oneshot::channel::<()>();
    let admin = tokio::spawn(api::serve(admin, admin::router(registry.clone(), ready.clone()), async {
        // A dropped sender is a reason to stop, too.
        let _ = admin_stopped.await;
    }));
    let built = tokio::select! {
        built = cluster::build(config(args), &registry) => built,
        () = signals.stop() => {
            tracing::info!("stopped before it was ready");
            return Ok(Exit::Ok);
        }
    };
    let mut activator = built.map_err(|error| {
        cannot("start the activator", &error)
            .hint("it needs a cluster with Reveille's chart: its ScaledApp definition and its roles")
    })?;
    ready.set(Ready::Now);
    tracing::info!(
        admin = %args.admin,
        control = %activator.control(),
        gateway = activator.activator().gateway().map(tracing::field::display),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    let outcome = until_told(&mut signals, &mut activator).await;
    ready.set(Ready::NoMore);
    if outcome.is_ok() {
        let drain = |forced| {
            activator.drain(async {
                let _: Result<(), _> = forced.await;
            })
        };
        let how = process::finish(&mut signals, drain).await;
        tracing::info!(at_once = how == Finished::AtOnce, "stopped");
    }
    drop(stop_admin);
    drop(admin.await);
    outcome
}

async fn until_told(signals: &mut Signals, activator: &mut ClusterActivator) -> Result<Exit, CliError> {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => return Ok(Exit::Ok),
                Signal::Reload => tracing::info!("there is nothing to reload: options are for the next start"),
            },
            what = activator.failed() => {
                return Err(CliError::new(Exit::Failed, format!("{what}; the activator cannot go on")));
            }
        }
    }
}

fn config(args: &ActivatorArgs) -> cluster::Config {
    let default = config::Config::default();
    cluster::Config {
        activator: config::Config {
            workers: args.workers.and_then(|n| NonZeroUsize::new(n.into())).unwrap_or(default.workers),
            gateway: args.gateway,
            trusted_proxies: args.trusted_proxies.clone(),
            hold: config::HoldLimits {
                max_requests: args.hold_max_requests.into(),
                max_bytes: args.hold_max_bytes.0,
            },
            drain: config::Drain { grace: args.drain.0, accept_for: ACCEPT_FOR, ..default.drain },
            access_log: args.access_log,
            ..default
        },
        bind: args.bind_address,
        control: args.control,
        cert: cert(args),
        controller_user: args.controller_user.clone(),
        namespaces: BTreeSet::from_iter(args.watch_namespace.iter().cloned()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(more: &str) -> ActivatorArgs {
        let line = format!(
            "reveille activator --control-cert /nowhere/tls.crt --control-key /nowhere/tls.key {more}"
        );
        let Command::Activator(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!()
        };
        args
    }

    const USER: &str = "--controller-user system:serviceaccount:reveille:controller";

    #[test]
    fn it_has_its_defaults() {
        let args = args(USER);
        assert_eq!((args.drain.0, args.gateway), (Duration::from_secs(900), None));
        let config = config(&args);
        assert_eq!((config.bind.to_string().as_str(), config.namespaces.len()), ("0.0.0.0", 0));
        assert_eq!((config.control.port(), args.admin.port()), (9443, 9090));
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_started() {
        for (more, says) in [
            (format!("{USER} --admin 0.0.0.0:9443"), "--control and --admin are both"),
            (format!("{USER} --gateway 127.0.0.1:9090"), "--admin and --gateway"),
            ("--controller-user me".to_owned(), "write system:serviceaccount:NAMESPACE:NAME"),
            (format!("{USER} --watch-namespace A"), "--watch-namespace is \"A\""),
            (USER.to_owned(), "/nowhere/tls.crt cannot be read"),
        ] {
            let error = check(&args(&more)).unwrap_err();
            assert_eq!(error.exit(), Exit::BadConfig, "{more}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn proxies_are_listed_with_commas() {
        let args = args(&format!("{USER} --trusted-proxies 10.0.0.0/8,192.168.1.1"));
        let nets: Vec<_> = args.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["10.0.0.0/8", "192.168.1.1/32"]);
    }
}
