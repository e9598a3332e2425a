//! `reveille controller`: the control plane of a cluster, in one pod.

use std::{
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use reveille_controller::{
    api::{self, Access, AllowedHosts, ApiState},
    cluster::{
        self, ApiConfig, Config, Joined,
        by_hand::{Board, ByHand},
        deployments::{KubeDeployments, Witness},
    },
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{
    admin::{self, Readiness, Ready},
    controller_args::ControllerArgs,
};
use crate::{
    exit::{CliError, Exit},
    process::{self, cannot, keys::Keys, logging, metrics, signals::Signals},
};

/// How long giving the Lease back may take at the end. It ends by itself soon after.
const RELEASE: Duration = Duration::from_secs(3);
/// The name of the API's Service: clients of it exist.
const API_SERVICE: &str = "scale-api";

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
    process::run(async {
        let api = kube::Config::infer().await.map_err(|error| {
            CliError::new(Exit::BadConfig, format!("there is no way to an API server: {error}"))
                .hint("run it in a pod, or set KUBECONFIG")
        })?;
        match task {
            Task::GiveBackAll(namespaces) => give_back_all(api, &namespaces).await,
            Task::Control(config) => control(api, &config).await,
        }
    })
}

enum Task {
    GiveBackAll(Vec<String>),
    Control(Box<Config>),
}

async fn give_back_all(api: kube::Config, namespaces: &[String]) -> Result<Exit, CliError> {
    let cannot =
        |error: kube::Error| CliError::new(Exit::Failed, format!("apps cannot be given back: {error}"));
    let client = kube::Client::try_from(api).map_err(cannot)?;
    let left = cluster::give_back_all(&client, namespaces).await.map_err(cannot)?;
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
    let Joined { client, parts, board, election, follow } = joined
        .map_err(|error| CliError::new(Exit::BadConfig, error.to_string()).hint("nothing was started"))?;
    let admin =
        TcpListener::bind(config.admin).await.map_err(|error| cannot("open the admin port", &error))?;
    let registry = metrics::registry();
    let (served, keys) = serve_api(config, &client, &board, &registry).await?;
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
        error = cluster::run(client, config, parts, board, leads, &registry) => {
            let why = match error { Ok(never) => match never {}, Err(error) => error.to_string() };
            Err(CliError::new(Exit::Failed, format!("{why}; the controller cannot go on")))
        }
        never = follow => match never {},
        () = keys => Err(CliError::new(Exit::Failed, "the file of keys is not followed any more, which is a bug")),
        ended = &mut election => {
            Err(CliError::new(Exit::Failed, format!("the election has failed, which is a bug: {ended:?}")))
        }
    };
    drop(stop);
    if !election.is_finished() && tokio::time::timeout(RELEASE, election).await.is_err() {
        tracing::warn!("the Lease was not given back in time; another controller leads once it is over");
    }
    admin.abort();
    if let Some(served) = served {
        served.abort();
    }
    outcome
}

/// Serves the Scale API, if somebody has said who may call it. What is returned with it reads the file of keys again.
async fn serve_api(
    config: &Config,
    client: &kube::Client,
    board: &Arc<Board>,
    registry: &prometheus::Registry,
) -> Result<(Option<JoinHandle<()>>, Pin<Box<dyn Future<Output = ()> + Send>>), CliError> {
    let Some(how) = &config.api else {
        tracing::info!(
            "the Scale API is not served; give it keys (--keys FILE) or let anybody call it (--allow-anonymous)"
        );
        return Ok((None, Box::pin(std::future::pending())));
    };
    let keys = Keys::read(how.keys.as_deref()).await?;
    if keys.ring.is_none() {
        tracing::warn!(
            api = %how.listen,
            "--allow-anonymous: whoever reaches the Scale API can wake apps and scale every Deployment to zero"
        );
    }
    let access = Access::new(keys.ring.clone(), registry)
        .map_err(|error| CliError::new(Exit::Failed, format!("metrics cannot be registered: {error}")))?;
    let by_hand = Arc::new(ByHand::new(Arc::clone(board), config.sleep_delay));
    let deployments = KubeDeployments::new(client.clone(), Arc::clone(board), Arc::clone(&by_hand));
    let state = ApiState {
        time_limit: by_hand.longest_call(),
        apps: by_hand,
        deployments: Arc::new(deployments),
        feed: Arc::clone(board.feed()),
        access,
        registry: registry.clone(),
        allowed_hosts: AllowedHosts::new(how.listen, hosts(config, how)),
        witnesses: Some(Arc::new(Witness::new(Arc::clone(board)))),
        may_stand_by: true,
    };
    let listener =
        TcpListener::bind(how.listen).await.map_err(|error| cannot("open the port of the API", &error))?;
    tracing::info!(api = %how.listen, "the Scale API is served");
    let served = tokio::spawn(api::serve(listener, api::router(state), std::future::pending()));
    let follow: Pin<Box<dyn Future<Output = ()> + Send>> = match how.keys {
        Some(_) => keys.follow,
        None => Box::pin(std::future::pending()),
    };
    Ok((Some(served), follow))
}

/// The names of the API's Service, as clients of the cluster write them.
fn hosts(config: &Config, how: &ApiConfig) -> Vec<String> {
    let namespace = &config.namespace;
    let mut hosts = vec![
        API_SERVICE.to_owned(),
        format!("{API_SERVICE}.{namespace}"),
        format!("{API_SERVICE}.{namespace}.svc"),
        format!("{API_SERVICE}.{namespace}.svc.cluster.local"),
    ];
    hosts.extend(how.hosts.iter().cloned());
    hosts
}
