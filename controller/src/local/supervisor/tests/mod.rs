//! A supervisor plays its scenarios against a machine that the test plays, on a paused clock.

mod property;
mod sleeping;
mod waking;

use std::{sync::Arc, time::Duration};

use reveille_core::{
    directory::{AppEntry, Change, WakeState},
    phase::Phase,
    wake::{Failure, FailureKind},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Caller, Handle, Message, Shared,
    fake::{FakeRunner, Launch, app},
};
use crate::{
    local::{config::LocalApp, process::Event},
    metrics::Metrics,
    sleep::Occasion,
    store::View,
    traits::Refusal,
};

const BY_HAND: Occasion = Occasion::ByHand { wake_on_request: true };

/// One supervisor and everything around it.
struct Bed {
    shared: Arc<Shared>,
    handle: Handle,
    runner: FakeRunner,
    launches: mpsc::UnboundedReceiver<Launch>,
    changes: mpsc::UnboundedReceiver<Change>,
}

impl Bed {
    fn new(app: LocalApp) -> Self {
        let shared = Arc::new(Shared::new(Metrics::register(&prometheus::Registry::new()).unwrap()));
        let (runner, launches) = FakeRunner::new();
        let mut changes = shared.store.subscribe();
        let handle = Handle::start(Arc::new(app), &shared, &Arc::new(runner.clone()));
        let first = changes.try_recv().expect("the app is published when its supervisor is there");
        assert!(matches!(first, Change::App(entry) if entry.phase == Phase::Asleep));
        Self { shared, handle, runner, launches, changes }
    }

    fn web() -> Self {
        Self::new(app("web", 8081))
    }

    fn view(&self) -> Arc<View> {
        self.shared.store.views().first().cloned().expect("the app is there")
    }

    fn request(&self) {
        let trigger = "request".to_owned();
        self.handle.tell(Message::Wake { trigger, caller: Caller::Request, keep: None, reply: None });
    }

    async fn wake_by_hand(&self) -> Result<(), Refusal> {
        let wake = |reply| Message::Wake {
            trigger: "hand".into(),
            caller: Caller::Hand,
            keep: None,
            reply: Some(reply),
        };
        self.handle.ask(wake).await.expect("the supervisor lives")
    }

    /// The next process, which must be launched without anything else being done.
    async fn launched(&mut self) -> Launch {
        timeout(Duration::from_secs(3600), self.launches.recv())
            .await
            .expect("a process is launched")
            .unwrap()
    }

    fn none_launched(&mut self) {
        assert!(self.launches.try_recv().is_err(), "a process was launched");
    }

    /// The first state told to the data plane that is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&AppEntry) -> bool) -> Arc<AppEntry> {
        let found = timeout(Duration::from_secs(3600), async {
            loop {
                match self.changes.recv().await {
                    Some(Change::App(entry)) if is_so(&entry) => return entry,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("never told: {what}; it is {:?}", self.view()))
    }

    async fn until_phase(&mut self, phase: Phase) -> Arc<AppEntry> {
        self.until(phase.as_str(), |entry| entry.phase == phase).await
    }

    async fn until_failed(&mut self, kind: FailureKind) -> (Arc<AppEntry>, Arc<Failure>) {
        let failed = |entry: &AppEntry| match &entry.wake {
            WakeState::Failed { failure, .. } if failure.kind == kind => Some(failure.clone()),
            _ => None,
        };
        let entry = self.until(kind.as_str(), |entry| failed(entry).is_some()).await;
        let failure = failed(&entry).unwrap();
        (entry, failure)
    }

    /// Has the process report that it runs, and the activator that it can answer.
    async fn make_ready(&mut self, launch: &Launch) -> u64 {
        launch.say(Event::Started { pid: 1 });
        let to_probe = |entry: &AppEntry| entry.endpoints.iter().any(|endpoint| !endpoint.ready);
        let probing = self.until("an endpoint to probe", to_probe).await;
        assert_eq!(probing.phase, Phase::Waking);
        let generation = probing.endpoints[0].generation;
        self.handle.tell(Message::Usable { generation });
        let awake = self.until_phase(Phase::Awake).await;
        assert_eq!((awake.endpoints[0].generation, awake.endpoints[0].ready), (generation, true));
        generation
    }

    async fn make_awake(&mut self) -> Launch {
        self.request();
        let launch = self.launched().await;
        self.make_ready(&launch).await;
        launch
    }

    async fn announce(&self, epoch: u64, occasion: Occasion) -> Result<(), crate::sleep::Abort> {
        self.handle.ask(|reply| Message::FallingAsleep { epoch, occasion, reply }).await.unwrap()
    }

    async fn set_zero(&self, version: u64) -> Result<(), crate::traits::CommitError> {
        self.handle.ask(|reply| Message::SetZero { version, reply }).await.unwrap()
    }

    /// Waits until everything told so far was heard.
    async fn settle(&self) {
        // A call-off of an attempt that never was does nothing but answer.
        self.handle.ask(|reply| Message::AwakeAgain { epoch: u64::MAX, reply }).await;
    }
}
