//! The whole of local mode's control plane against a played machine and a played activator.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reveille_core::{activity::Activity, api::SleepRequest, decide::Report, phase::Phase};
use tokio::time::{Instant, timeout};

use super::{
    supervisor::fake::{FakeRunner, app, policy},
    *,
};
use crate::{
    clock::now,
    traits::{Apps, FleetError, Refusal},
};

/// An activator: probes at once, and counts what the test says.
pub(super) struct Activator {
    activity: Mutex<Activity>,
    last_work: Mutex<std::time::Instant>,
    shut: AtomicU64,
}

impl Activator {
    pub(super) fn say(&self, started: u64, in_flight: u64, held: u64) {
        *self.activity.lock().unwrap() = Activity { started, in_flight, held, quiet: Duration::ZERO };
        *self.last_work.lock().unwrap() = now();
    }

    fn counted(&self) -> Activity {
        let activity = *self.activity.lock().unwrap();
        Activity { quiet: now() - *self.last_work.lock().unwrap(), ..activity }
    }
}

impl Fleet for Activator {
    fn reports<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Vec<Report>> {
        Box::pin(std::future::ready(vec![Report::Said { at: now(), activity: self.counted() }]))
    }

    fn shut<'a>(
        &'a self,
        _: &'a AppId,
        epoch: u64,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Activity>, FleetError>> {
        self.shut.store(epoch, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(vec![self.counted()])))
    }

    fn open<'a>(&'a self, _: &'a AppId, _: u64) -> BoxFuture<'a, ()> {
        self.shut.store(0, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

fn shared(apps: Vec<LocalApp>) -> Vec<Arc<LocalApp>> {
    apps.into_iter().map(Arc::new).collect()
}

pub(super) struct Bed {
    pub(super) local: Arc<Local>,
    pub(super) activator: Arc<Activator>,
    registry: Registry,
    /// All that the data plane was told, such as `web Awake`.
    told: mpsc::UnboundedReceiver<String>,
}

impl Bed {
    pub(super) fn new(apps: Vec<LocalApp>) -> Self {
        Self::with(apps, Schedules::load(None, Timestamp::now, Arc::default()))
    }

    /// One app, `web`, whose wakes may be scheduled.
    pub(super) fn scheduled(schedules: Schedules) -> Self {
        Self::with(vec![app("web", 8081)], schedules)
    }

    fn with(apps: Vec<LocalApp>, schedules: Schedules) -> Self {
        let (runner, _) = FakeRunner::new();
        runner.start_by_themselves();
        let registry = Registry::new();
        schedules.metrics().register_in(&registry).unwrap();
        let local = Local::start_with(shared(apps), runner, schedules);
        let activator =
            Activator { activity: Mutex::default(), last_work: Mutex::new(now()), shut: 0.into() };
        let activator = Arc::new(activator);
        local.attach(activator.clone());
        let (tell, told) = mpsc::unbounded_channel();
        let mut changes = local.subscribe();
        let prober = Arc::clone(&local);
        tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let what = match change {
                    Change::App(entry) => {
                        for endpoint in entry.endpoints.iter().filter(|endpoint| !endpoint.ready) {
                            prober.usable(&entry.id, endpoint.generation);
                        }
                        format!("{} {}", entry.id.name, entry.phase)
                    }
                    Change::Gone(app) => format!("{} gone", app.name),
                };
                let _ = tell.send(what);
            }
        });
        Self { local, activator, registry, told }
    }

    pub(super) async fn until(&mut self, what: &str) {
        let told = timeout(Duration::from_secs(86_400), async {
            while self.told.recv().await.expect("the prober lives") != what {}
        });
        told.await.unwrap_or_else(|_| panic!("never told: {what}"));
    }

    async fn sleep(&self, name: &str) -> Result<reveille_core::api::AppStatus, Refusal> {
        self.local.sleep(&AppId::local(name), SleepRequest::default()).await
    }

    fn sample(&self, line: &str) -> Option<String> {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().find_map(|found| Some(found.strip_prefix(line)?.trim().to_owned()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_wakes_for_a_request_and_falls_asleep_after_its_ttl() {
    let mut bed = Bed::new(vec![app("web", 8081)]);
    let web = AppId::local("web");
    let start = Instant::now();
    bed.local.wake(&web, "request".into());
    bed.until("web Awake").await;
    bed.activator.say(1, 1, 0);
    let status = bed.local.get(&web).await.unwrap();
    assert_eq!(
        (status.in_flight, status.sleeps_in_ms, status.listen),
        (1, None, vec!["127.0.0.1:8081".to_owned()])
    );
    tokio::time::sleep(Duration::from_secs(100)).await;
    bed.activator.say(1, 0, 0);
    bed.until("web Asleep").await;
    assert_eq!(start.elapsed().as_secs(), 160);
    assert_eq!(
        bed.sample(r#"reveille_sleeps_total{app="web",namespace="local",outcome="slept"}"#).unwrap(),
        "1"
    );
    assert_eq!(
        bed.sample(r#"reveille_wakes_total{app="web",namespace="local",outcome="ready"}"#).unwrap(),
        "1"
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bed.activator.shut.load(Ordering::SeqCst), 0, "the gates are open once the process is gone");
}

#[tokio::test(start_paused = true)]
async fn calls_by_hand_are_refused_with_the_reason() {
    let mut bed = Bed::new(vec![app("web", 8081)]);
    let web = AppId::local("web");
    let nobody = AppId::local("nobody");
    assert_eq!(Apps::wake(&*bed.local, &nobody, "hand".into(), None).await, Err(Refusal::UnknownApp(nobody)));
    Apps::wake(&*bed.local, &web, "hand".into(), None).await.unwrap();
    bed.until("web Awake").await;
    bed.activator.say(4, 2, 1);
    let start = Instant::now();
    let refused = bed.sleep("web").await;
    assert_eq!(refused, Err(Refusal::InUse { app: web.clone(), in_service: 1, waited_s: 10 }));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(bed.local.get(&web).await.unwrap().phase, Phase::Awake);
    let outcome = r#"reveille_sleeps_total{app="web",namespace="local",outcome="aborted_busy"}"#;
    assert_eq!(bed.sample(outcome).unwrap(), "1");
    bed.activator.say(4, 0, 0);
    let slept = bed.sleep("web").await.unwrap();
    assert!(matches!(slept.phase, Phase::FallingAsleep | Phase::Asleep), "{slept:?}");
    bed.until("web Asleep").await;
    let request = SleepRequest { wake_on_request: false, ..SleepRequest::default() };
    assert!(!bed.local.sleep(&web, request).await.unwrap().wake_on_request, "also when it sleeps already");
}

#[tokio::test(start_paused = true)]
async fn a_reload_touches_what_changed_only() {
    let mut bed = Bed::new(vec![app("web", 8081), app("api", 8082), app("old", 8083)]);
    for name in ["web", "api", "old"] {
        bed.local.wake(&AppId::local(name), "request".into());
        bed.until(&format!("{name} Awake")).await;
    }
    while bed.told.try_recv().is_ok() {}
    let mut api = app("api", 8082);
    api.policy = policy(r#"{"idle": {"ttl": "never"}}"#);
    // `new` takes over the port of `old`, which is still there.
    bed.local.reload(shared(vec![app("web", 8081), api, app("new", 8083), app("free", 8084)]));
    bed.until("new Asleep").await;
    let mut expected = bed.local.list().await.iter().map(|app| app.id.name.to_string()).collect::<Vec<_>>();
    expected.sort();
    assert_eq!(expected, ["api", "free", "new", "web"]);
    assert_eq!(bed.sample(r#"reveille_app_phase{app="old""#), None, "its series are gone");
    bed.until("web Asleep").await;
    let api = bed.local.get(&AppId::local("api")).await.unwrap();
    assert_eq!((api.phase, api.ttl.as_str()), (Phase::Awake, "never"));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_removed_and_comes_back_before_it_is_gone_is_new() {
    let mut bed = Bed::new(vec![app("web", 8081)]);
    bed.local.wake(&AppId::local("web"), "request".into());
    bed.until("web Awake").await;
    bed.activator.say(1, 1, 0);
    bed.local.reload(Vec::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.sleep("web").await, Err(Refusal::UnknownApp(AppId::local("web"))), "it is on its way out");
    bed.local.reload(shared(vec![app("web", 8081)]));
    bed.local.reload(shared(vec![app("web", 8081)]));
    bed.until("web gone").await;
    bed.until("web Asleep").await;
    bed.local.wake(&AppId::local("web"), "request".into());
    bed.until("web Awake").await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_stops_every_app_and_wakes_none() {
    let mut bed = Bed::new(vec![app("web", 8081), app("api", 8082)]);
    assert!(bed.local.is_ready());
    bed.local.wake(&AppId::local("web"), "request".into());
    bed.until("web Awake").await;
    bed.local.shutdown().await;
    assert!(!bed.local.is_ready());
    bed.local.wake(&AppId::local("api"), "request".into());
    assert_eq!(
        Apps::wake(&*bed.local, &AppId::local("api"), "hand".into(), None).await,
        Err(Refusal::Stopping)
    );
    assert_eq!(bed.sleep("web").await, Err(Refusal::Stopping));
    let phases: Vec<_> = bed.local.list().await.iter().map(|app| (app.phase, app.replicas)).collect();
    assert_eq!(phases, [(Phase::Asleep, 0), (Phase::Asleep, 0)]);
}
