//! The data plane alone, for profilers, which the processes around local mode disturb: `forward LISTEN UPSTREAM` in front
//! of a server that is awake, `forward LISTEN` for requests that are held. docs/performance.md says how it is used.
#![expect(clippy::print_stderr, reason = "a tool for the terminal")]

use std::{env, net::SocketAddr, num::NonZeroUsize, process::ExitCode, sync::Arc};

use futures_util::future::BoxFuture;
use reveille_activator::{
    config::Config,
    traits::{Directory, Waker},
};
use reveille_core::{
    app::AppId,
    directory::{AppEntry, Change, Endpoint, Port, Protocol, UpstreamProtocol, WakeState},
    phase::Phase,
    policy::{Mode, PolicySpec},
};

// As the product does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One app, said once.
struct One(Option<AppEntry>);

impl Directory for One {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        let change = self.0.take().map(|entry| Change::App(Arc::new(entry)));
        Box::pin(async { change })
    }
}

/// It is awake already.
struct Never;

impl Waker for Never {
    fn wake(&self, _: &AppId, _: usize) {}
    fn usable(&self, _: &AppId, _: u64) {}
}

fn entry(listen: SocketAddr, upstream: Option<SocketAddr>) -> AppEntry {
    let policy = PolicySpec::default().resolve(Mode::Local).expect("defaults are valid");
    let port = Port { name: None, listen, protocol: Protocol::Http, upstream: UpstreamProtocol::Auto };
    let endpoint = |address| Endpoint { generation: 1, addresses: Arc::new([address]), ready: true };
    AppEntry {
        id: AppId::local("web"),
        policy: Arc::new(policy),
        ports: Arc::new([port]),
        hosts: Arc::new([]),
        phase: if upstream.is_some() { Phase::Awake } else { Phase::Asleep },
        endpoints: upstream.map(endpoint).into_iter().collect(),
        wake: WakeState::None,
        wake_on_request: true,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let addresses: Vec<Option<SocketAddr>> = env::args().skip(1).map(|word| word.parse().ok()).collect();
    let (listen, upstream) = match addresses[..] {
        [Some(listen), Some(upstream)] => (listen, Some(upstream)),
        [Some(listen)] => (listen, None),
        _ => {
            eprintln!("usage: forward LISTEN [UPSTREAM], each as 127.0.0.1:8080; without UPSTREAM it holds");
            return ExitCode::from(2);
        }
    };
    let config = Config { workers: NonZeroUsize::MIN, ..Config::default() };
    let directory = Box::new(One(Some(entry(listen, upstream))));
    let registry = prometheus::Registry::new();
    match reveille_activator::build(config, directory, Arc::new(Never), &registry).await {
        Ok(activator) if activator.bind_errors().is_empty() => {
            eprintln!("{}", activator.failed().await);
        }
        Ok(activator) => eprintln!("error: {:?}", activator.bind_errors()),
        Err(error) => eprintln!("error: {error}"),
    }
    ExitCode::FAILURE
}
