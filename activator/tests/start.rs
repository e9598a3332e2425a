//! What holds when the activator has been built: all that the directory had to say by then is in force.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use reveille_activator::{
    config::Config,
    traits::{Directory, Waker},
};
use reveille_core::{
    app::AppId,
    directory::{AppEntry, Change, Port, Protocol, UpstreamProtocol, WakeState},
    phase::Phase,
    policy::{Mode, PolicySpec},
};
use tokio::sync::mpsc;

/// More than a task of tokio's may take from a channel in one turn.
const APPS: u8 = 200;

struct Said(mpsc::UnboundedReceiver<Change>);

impl Directory for Said {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(self.0.recv())
    }
}

struct Nobody;

impl Waker for Nobody {
    fn wake(&self, _: &AppId, _: usize) {}
    fn usable(&self, _: &AppId, _: u64) {}
}

fn id(nth: u8) -> AppId {
    AppId::local(&format!("app-{nth}"))
}

fn asleep(nth: u8) -> Change {
    let listen = SocketAddr::from(([127, 0, 1, nth], 0));
    let port = Port { name: None, listen, protocol: Protocol::Http, upstream: UpstreamProtocol::Auto };
    Change::App(Arc::new(AppEntry {
        id: id(nth),
        policy: Arc::new(PolicySpec::default().resolve(Mode::Local).expect("defaults are valid")),
        ports: Arc::new([port]),
        hosts: Arc::new([]),
        phase: Phase::Asleep,
        endpoints: Vec::new(),
        wake: WakeState::None,
        wake_on_request: true,
    }))
}

#[tokio::test]
async fn every_app_that_was_told_of_is_known_when_it_is_built() {
    let (sender, receiver) = mpsc::unbounded_channel();
    for nth in 1..=APPS {
        sender.send(asleep(nth)).expect("the receiver is there");
    }
    let registry = prometheus::Registry::new();
    let built =
        reveille_activator::build(Config::default(), Box::new(Said(receiver)), Arc::new(Nobody), &registry);
    let activator = built.await.expect("nothing is in its way");
    assert!(activator.bind_errors().is_empty(), "{:?}", activator.bind_errors());
    let unknown: Vec<_> = (1..=APPS).filter(|nth| activator.activity(&id(*nth)).is_none()).collect();
    assert_eq!(unknown, Vec::<u8>::new());
}
