//! `reveille local`: both planes in one process, over processes on this machine.
//!
//! | module | holds |
//! |---|---|
//! | [`planes`] | how the planes are joined: each one's traits, implemented by the other |
//! | [`reload`] | taking over a changed file while serving |
//! | [`access`] | who may call the admin port |
//! | [`state`] | where scheduled wakes are kept |
//! | [`memory`] | giving back what reading the file took |

mod access;
mod memory;
mod planes;
mod reload;
mod state;

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use reveille_activator::{Activator, config};
use reveille_controller::{
    api::{self, Access, AllowedHosts, ApiState},
    local::{Local, Options, upstream},
};
use tokio::net::TcpListener;

use self::{
    planes::{LocalDirectory, LocalFleet, LocalWaker, ServedApps},
    reload::Reloader,
};
use crate::{
    args::LocalArgs,
    exit::{CliError, Exit},
    file::{self, Bind, LocalConfig, Problems},
    process::{
        self, Finished, cannot,
        keys::Keys,
        logging, metrics,
        signals::{Signal, Signals},
    },
};

/// Runs the apps of the file until it is told to stop.
///
/// # Errors
/// If the file is wrong or a port is taken: nothing was started. If the process cannot go on.
pub fn run(args: &LocalArgs) -> Result<Exit, CliError> {
    let file = args.config.path();
    let config = match load(&file, args) {
        Ok(config) => config,
        Err(problems) => {
            // If nobody reads it, the exit code still says it.
            let _ = writeln!(io::stderr(), "{}", problems.display("nothing was started"));
            return Ok(Exit::BadConfig);
        }
    };
    access::check(config.admin, args)?;
    let state = state::file(args.state.as_deref(), &file, |name| std::env::var_os(name));
    let _kept = state::keep(state.as_deref(), args.state.is_some())?;
    logging::start(args.log_format);
    raise_open_files(&config, args);
    process::end_with_this_thread("the control plane");
    process::run(serve(&file, state, args, config))
}

/// The file with what the command line overrides, if every address in it is free.
fn load(file: &Path, args: &LocalArgs) -> Result<LocalConfig, Problems> {
    let mut config = file::load(file)?;
    override_admin(&mut config, args.admin);
    file::check_ports_free(&config)?;
    Ok(config)
}

fn override_admin(config: &mut LocalConfig, admin: Option<SocketAddr>) {
    let Some(admin) = admin else { return };
    config.binds.retain(|bind| bind.field != "admin");
    config.binds.push(Bind { field: "--admin".into(), place: None, address: admin });
    config.admin = admin;
}

/// Takes what the system allows, and says so if that is little.
fn raise_open_files(config: &LocalConfig, args: &LocalArgs) {
    let Some(limit) = process::raise_open_files() else { return };
    let workers = args.workers.map_or_else(|| config::Config::default().workers.get(), usize::from);
    let listeners = (config.binds.len() * workers) as u64;
    if listeners * 2 > limit {
        tracing::warn!(
            listeners,
            limit,
            "the ports alone take half of the limit on open files; raise it (ulimit -n) or use the gateway"
        );
    }
}

async fn serve(
    file: &Path,
    state: Option<PathBuf>,
    args: &LocalArgs,
    config: LocalConfig,
) -> Result<Exit, CliError> {
    let mut signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    let registry = metrics::registry();
    let keys = Keys::read(args.keys.as_deref()).await?;
    let access = Access::new(keys.ring, &registry).expect("a new registry has no names");
    let admin =
        TcpListener::bind(config.admin).await.map_err(|error| cannot("open the admin port", &error))?;
    let options = Options { guardian_exe: PathBuf::from("/proc/self/exe"), state };
    let local = Local::start(config.apps.clone(), options, &registry);
    let activator = reveille_activator::build(
        activator_config(args, &config),
        Box::new(LocalDirectory::new(local.subscribe())),
        Arc::new(LocalWaker::new(&local)),
        &registry,
    );
    let activator = Arc::new(activator.await.map_err(|error| cannot("start the activator", &error))?);
    if let Some(error) = activator.bind_errors().first() {
        // The addresses were free a moment ago.
        let message = format!("{}: {} cannot be opened: {}", error.app, error.listen, error.reason);
        return Err(CliError::new(Exit::BadConfig, message).hint("nothing was started"));
    }
    local.attach(Arc::new(LocalFleet::new(activator.clone())));
    let (stop_admin, admin_stopped) = tokio::sync::oneshot::channel::<()>();
    let served = Arc::new(ServedApps::new(local.clone(), activator.clone()));
    let state = ApiState {
        apps: served.clone(),
        deployments: served,
        feed: local.feed().clone(),
        access,
        registry,
        allowed_hosts: AllowedHosts::new(config.admin, []),
        witnesses: None,
        time_limit: api::LOCAL_TIME_LIMIT,
        may_stand_by: false,
    };
    let admin = tokio::spawn(api::serve(admin, api::router(state), async {
        // A dropped sender is a reason to stop, too.
        let _ = admin_stopped.await;
    }));
    say_hello(&config, args);
    let mut reloader = Reloader::new(file, args.admin, &config);
    // Of the file is kept what somebody needs, and once.
    drop(config);
    memory::give_back();
    let follow_keys = tokio::spawn(keys.follow);
    let outcome = until_told(&mut signals, &mut reloader, &local, &activator).await;
    if outcome.is_ok() {
        stop(&mut signals, &activator, &local).await;
    }
    follow_keys.abort();
    // Whoever watches has seen the apps stop; the streams would go on for ever.
    local.feed().close();
    drop(stop_admin);
    drop(admin.await);
    outcome
}

/// Serves until a signal to stop comes.
async fn until_told(
    signals: &mut Signals,
    reloader: &mut Reloader,
    local: &Local,
    activator: &Activator,
) -> Result<Exit, CliError> {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => return Ok(Exit::Ok),
                Signal::Reload => reloader.reload(local),
            },
            () = reloader.changed() => reloader.reload(local),
            what = activator.failed() => return Err(CliError::new(Exit::Failed, format!("{what}; Reveille cannot go on"))),
        }
    }
}

/// Ends without losing anything; a second signal ends at once.
async fn stop(signals: &mut Signals, activator: &Activator, local: &Local) {
    let drain = |forced| {
        activator.drain(async {
            let _: Result<(), _> = forced.await;
        })
    };
    if process::finish(signals, drain).await == Finished::Gently {
        tokio::select! {
            () = local.shutdown() => {}
            // What is left is killed by its guardian when this process ends.
            () = signals.stop() => {}
        }
    }
    tracing::info!("stopped");
}

fn activator_config(args: &LocalArgs, file: &LocalConfig) -> config::Config {
    let default = config::Config::default();
    config::Config {
        workers: args.workers.and_then(|n| NonZeroUsize::new(n.into())).unwrap_or(default.workers),
        gateway: file.gateway,
        trusted_proxies: file.trusted_proxies.clone(),
        hold: config::HoldLimits {
            max_requests: args.hold_max_requests.into(),
            max_bytes: args.hold_max_bytes.0,
        },
        drain: config::Drain { grace: args.drain.0, ..default.drain },
        access_log: args.access_log,
        ..default
    }
}

fn say_hello(config: &LocalConfig, args: &LocalArgs) {
    access::warn(config.admin, args);
    for app in &config.apps {
        let listen: Vec<_> = app.ports.iter().map(|port| port.listen.to_string()).collect();
        tracing::info!(app = %app.id, listen = listen.join(", "), "asleep, waiting for a request");
    }
    for upstream in config.apps.iter().flat_map(|app| &app.ports).filter_map(|port| port.upstream) {
        if upstream::is_ephemeral(upstream.port()) {
            tracing::warn!(
                %upstream,
                "the kernel may give this port to an outgoing connection, and the app then cannot listen on it; choose one below 32768"
            );
        }
    }
    if let Some(gateway) = config.gateway {
        tracing::info!(listen = %gateway, "the gateway routes by Host");
    }
    tracing::info!(admin = %config.admin, apps = config.apps.len(), version = env!("CARGO_PKG_VERSION"), "ready");
}
