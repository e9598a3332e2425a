//! `reveille controller`: the control plane of a cluster, in one pod.

use std::{
    io::{self, Write},
    time::Duration,
};

use reveille_controller::{
    api,
    cluster::{self, Config, Joined},
};
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    admin::{self, Readiness, Ready},
    controller_args::ControllerArgs,
};
use crate::{
    exit::{CliError, Exit},
    process::{self, cannot, logging, metrics, signals::Signals},
};

/// How long giving the Lease back may take at the end. It ends by itself soon after.
const RELEASE: Duration = Duration::from_secs(3);

/// Runs the control plane until it is told to stop.
///
/// # Errors
/// If the configuration is wrong: nothing was started. If it cannot go on.
pub fn run(args: &ControllerArgs) -> Result<Exit, CliError> {
    let task = match args.give_back_all {
        true => args.scope().map(Task::GiveBackAll).map_err(|problem| vec![problem]),
        false => args.config(|name| std::env::var(name).ok()).map(Box::new).map(Task::Control),
    };
    let task = match task {
        Ok(task) => task,
        Err(problems) => {
            for problem in &problems {
                // If nobody reads it, the exit code still says it.
                let _ = writeln!(io::stderr(), "error: {problem}");
            }
            return Ok(Exit::BadConfig);
        }
    };
    logging::start(args.log_format);
    process::end_with_this_thread("the controller");
    // One thread: what is dropped as the lease is lost has then ended.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let api = kube::Config::infer().await.map_err(|error| {
            CliError::new(Exit::BadConfig, format!("there is no way to an API server: {error}"))
                .hint("run it in a pod, or set KUBECONFIG")
        })?;
        match task {
            Task::GiveBackAll(namespace) => give_back_all(api, namespace.as_deref()).await,
            Task::Control(config) => control(api, &config).await,
        }
    })
}

enum Task {
    GiveBackAll(Option<String>),
    Control(Box<Config>),
}

async fn give_back_all(api: kube::Config, namespace: Option<&str>) -> Result<Exit, CliError> {
    let cannot =
        |error: kube::Error| CliError::new(Exit::Failed, format!("apps cannot be given back: {error}"));
    let client = kube::Client::try_from(api).map_err(cannot)?;
    let left = cluster::give_back_all(&client, namespace).await.map_err(cannot)?;
    if left.is_empty() {
        tracing::info!("every app was given back");
        return Ok(Exit::Ok);
    }
    let names: Vec<_> = left.iter().map(ToString::to_string).collect();
    Err(CliError::new(Exit::Failed, format!("not given back in time: {}", names.join(", ")))
        .hint("see whether a controller runs, and the conditions of these ScaledApps"))
}

async fn control(api: kube::Config, config: &Config) -> Result<Exit, CliError> {
    let mut signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    let joined = cluster::join(api, config).await;
    let Joined { client, parts, election, follow } = joined
        .map_err(|error| CliError::new(Exit::BadConfig, error.to_string()).hint("nothing was started"))?;
    let admin =
        TcpListener::bind(config.admin).await.map_err(|error| cannot("open the admin port", &error))?;
    let registry = metrics::registry();
    let ready = Readiness::starting();
    // It does its part from here on: leading, or standing by.
    ready.set(Ready::Now);
    let router = admin::router(registry.clone(), ready);
    let admin = tokio::spawn(api::serve(admin, router, std::future::pending()));
    let leads = election.leads();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut election = tokio::spawn(election.run(async {
        // A dropped sender is a reason to stop, too.
        let _ = stopped.await;
    }));
    tracing::info!(
        admin = %config.admin, identity = config.identity, version = env!("CARGO_PKG_VERSION"), "ready to lead"
    );
    // Whatever it did as the leader ends with this expression, and only then is the Lease given back.
    let outcome = tokio::select! {
        () = signals.stop() => Ok(Exit::Ok),
        error = cluster::run(client, config, parts, leads, &registry) => {
            let why = match error { Ok(never) => match never {}, Err(error) => error.to_string() };
            Err(CliError::new(Exit::Failed, format!("{why}; the controller cannot go on")))
        }
        never = follow => match never {},
        ended = &mut election => {
            Err(CliError::new(Exit::Failed, format!("the election has failed, which is a bug: {ended:?}")))
        }
    };
    drop(stop);
    if !election.is_finished() && tokio::time::timeout(RELEASE, election).await.is_err() {
        tracing::warn!("the Lease was not given back in time; another controller leads once it is over");
    }
    admin.abort();
    outcome
}
