//! What the parts of the cluster module do together: the table, the directory, the errands and a data plane, against an
//! API server that is a few fields.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use reveille_core::{
    app::AppId,
    control::{AttemptOutcome, Open},
    directory::{AppEntry, Change, WakeState},
    gate::Kind as Counted,
    invariants,
    phase::Phase,
    resource::{ScaledApp, TargetSpec},
};
use serde_json::{Value, json};

use super::{
    api::{ApiError, Cluster},
    apps::{Apps, ShutError},
    directory::ClusterDirectory,
    object::Now,
    slices::{SliceList, testing},
    stance::Scale,
    waker::{self, ClusterWaker},
};
use crate::{app::App, config::Config, error::Kind, server::Shared, traits::Directory};

/// The API server.
#[derive(Default)]
struct Fake(Mutex<Fields>);

#[derive(Default)]
struct Fields {
    version: u64,
    replicas: u32,
    /// A pod is shown.
    life: bool,
    trouble: Option<ApiError>,
    /// A policy refuses every raise.
    refuses: bool,
    calls: VecDeque<&'static str>,
}

impl Fake {
    fn set(&self, change: impl FnOnce(&mut Fields)) {
        let mut fields = self.0.lock().unwrap();
        fields.version += 1;
        change(&mut fields);
    }

    fn call<T>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut Fields) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut fields = self.0.lock().unwrap();
        fields.calls.push_back(name);
        match fields.trouble.clone() {
            Some(trouble) => Err(trouble),
            None => act(&mut fields),
        }
    }

    fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.drain(..).collect()
    }
}

impl Cluster for Fake {
    fn slices<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Result<SliceList, ApiError>> {
        let list = self.call("list", |fields| Ok(testing::list(fields.version, fields.life)));
        Box::pin(async { list })
    }

    fn scale<'a>(&'a self, _: &'a AppId, _: &'a TargetSpec) -> BoxFuture<'a, Result<Scale, ApiError>> {
        let read = self.call("get", |fields| {
            Ok(Scale { replicas: fields.replicas, version: fields.version.to_string() })
        });
        Box::pin(async { read })
    }

    fn raise<'a>(
        &'a self,
        _: &'a AppId,
        _: &'a TargetSpec,
        read: &'a Scale,
        replicas: u32,
    ) -> BoxFuture<'a, Result<Scale, ApiError>> {
        let raised = self.call("raise", |fields| {
            if fields.replicas != 0 || read.version != fields.version.to_string() {
                return Err(ApiError::Conflict("it changed".into()));
            }
            if fields.refuses {
                // The API server's code is the same as of a test in the patch that fails.
                return Err(ApiError::Conflict("at most 1 replica".into()));
            }
            assert!(invariants::only_raises(fields.replicas, replicas));
            fields.version += 1;
            fields.replicas = replicas;
            Ok(Scale { replicas, version: fields.version.to_string() })
        });
        Box::pin(async { raised })
    }
}

struct World {
    apps: Arc<Apps>,
    fake: Arc<Fake>,
    directory: ClusterDirectory,
    shared: Arc<Shared>,
    told: Vec<Arc<AppEntry>>,
}

fn id() -> AppId {
    AppId::new("team", "web")
}

fn object(uid: &str, spec: Value, status: Value) -> ScaledApp {
    let mut object = json!({
        "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
        "metadata": {"name": "web", "namespace": "team", "uid": uid, "generation": 1},
        "spec": {"target": {"name": "web"}, "service": "web"},
        "status": {
            "formerReplicas": 2,
            "ports": [{"name": "http", "servicePort": 80, "port": 20_000, "protocol": "http", "upstream": 8080}],
        },
    });
    for (part, more) in [("spec", spec), ("status", status)] {
        for (name, value) in more.as_object().unwrap() {
            object[part][name] = value.clone();
        }
    }
    serde_json::from_value(object).unwrap()
}

impl World {
    fn new() -> Self {
        let (apps, arrivals) = Apps::new([127, 0, 0, 1].into());
        let config = Config { workers: NonZeroUsize::MIN, ..Config::default() };
        let shared = Shared::for_tests(config, Arc::new(ClusterWaker::new(apps.clone())));
        apps.join(&shared);
        let fake = Arc::new(Fake::default());
        tokio::spawn(waker::run(apps.clone(), fake.clone(), arrivals));
        let directory = ClusterDirectory::new(apps.clone());
        Self { apps, fake, directory, shared, told: Vec::new() }
    }

    /// One that has a replica, and says so.
    fn awake() -> Self {
        let mut world = Self::new();
        world.pods(true);
        world.heard(Phase::Awake, 0);
        world
    }

    fn heard(&mut self, phase: Phase, epoch: u64) {
        self.heard_as("u1", json!({}), json!({"phase": phase, "epoch": epoch}));
    }

    fn heard_as(&mut self, uid: &str, spec: Value, status: Value) {
        self.apps.heard(&id(), &object(uid, spec, status), Now::read());
        self.pump();
    }

    /// The watch catches up with the pods.
    fn pods(&mut self, life: bool) {
        self.fake.set(|fields| fields.life = life);
        let (name, slice) = testing::one(self.fake.0.lock().unwrap().version, life);
        self.apps.heard_slice(&id(), &name, slice);
        self.pump();
    }

    /// The data plane takes over what the directory says.
    fn pump(&mut self) {
        while let Some(Some(change)) = self.directory.next().now_or_never() {
            match change {
                Change::App(entry) => {
                    assert!(
                        invariants::asleep_has_no_endpoint(&entry)
                            && invariants::endpoints_cover_ports(&entry)
                    );
                    let known = self.shared.app(&entry.id);
                    let app = known.unwrap_or_else(|| {
                        let app = App::new(entry.clone(), self.shared.clone());
                        self.shared.apps().insert(entry.id.clone(), app.clone());
                        app
                    });
                    app.apply(entry.clone());
                    self.told.push(entry);
                }
                Change::Gone(id) => {
                    self.shared.apps().remove(&id).unwrap().remove();
                }
            }
        }
    }

    fn app(&self) -> Arc<App> {
        self.shared.app(&id()).unwrap()
    }

    fn is_open(&self) -> bool {
        self.app().gate.word().is_open()
    }

    fn phase(&self) -> Phase {
        self.told.last().unwrap().phase
    }

    /// Lets errands and the data plane do what they have to, until that is so.
    async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            self.pump();
            if so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; calls {:?}", self.fake.calls());
    }

    async fn until_woken(&mut self) {
        self.until("woken", |world| world.fake.0.lock().unwrap().replicas == 2).await;
    }

    /// It serves again, and whoever was held is let go.
    async fn until_served(&mut self, held: &mut crate::app::Held) {
        self.pods(true);
        self.until("open", Self::is_open).await;
        assert!(held.verdict().await.is_ok());
    }

    async fn shut(&mut self, epoch: u64, lease: Duration) -> Result<(), ShutError> {
        let done = self.apps.shut(&*self.fake, &id(), epoch, lease).await.map(drop);
        self.pump();
        done
    }

    fn tell(&mut self, epoch: u64, outcome: AttemptOutcome) {
        self.apps.told(&id(), &Open { epoch, outcome }).unwrap();
        self.pump();
    }
}

const LONG: Duration = Duration::from_secs(60);
/// Over at once: the errands' clock is the system's.
const SHORT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_request_wakes_a_sleeping_app_with_no_controller() {
    let mut world = World::new();
    world.heard(Phase::Asleep, 3);
    assert_eq!(world.phase(), Phase::Asleep);
    world.app().gate.enter(0, Counted::Work);
    let mut held = world.app().hold(1, None).unwrap();
    world.until_woken().await;
    world.until("unbarred", |world| world.fake.0.lock().unwrap().calls.len() >= 4).await;
    assert_eq!(world.fake.calls()[..4], ["get", "list", "raise", "list"]);
    world.pods(true);
    assert_eq!(world.phase(), Phase::Awake);
    assert!(held.verdict().await.is_ok());
}

#[tokio::test]
async fn no_wake_before_the_replicas_of_before_have_stopped() {
    let mut world = World::new();
    world.pods(true);
    world.heard(Phase::Asleep, 1);
    assert!(world.told.last().unwrap().endpoints.is_empty(), "barred, whatever the slices show");
    let mut held = world.app().hold(1, None).unwrap();
    world.until("looked again", |world| world.fake.0.lock().unwrap().calls.len() >= 6).await;
    assert!(!world.fake.calls().contains(&"raise"));
    world.pods(false);
    world.until_woken().await;
    world.until_served(&mut held).await;
}

#[tokio::test]
async fn a_shut_that_is_called_off_opens() {
    let mut world = World::awake();
    world.fake.calls();
    assert!(world.is_open());
    world.shut(1, LONG).await.unwrap();
    assert_eq!(world.fake.calls(), ["list"]);
    assert!(!world.is_open());
    assert_eq!(world.phase(), Phase::FallingAsleep);
    world.shut(1, LONG).await.unwrap();
    assert_eq!(world.fake.calls(), [""; 0], "a renewal needs no list");
    world.tell(1, AttemptOutcome::Awake);
    assert!(world.is_open());
    assert!(matches!(world.shut(1, LONG).await, Err(ShutError::Old { asked: 1, .. })));
}

#[tokio::test]
async fn a_committed_shut_bars_all_until_the_app_was_woken() {
    let mut world = World::awake();
    world.shut(1, LONG).await.unwrap();
    let mut held = world.app().hold(1, None).unwrap();
    world.tell(1, AttemptOutcome::Asleep);
    assert!(!world.is_open());
    assert!(world.told.last().unwrap().endpoints.is_empty());
    world.pods(true);
    assert!(!world.is_open(), "a slice that lags changes nothing");
    world.pods(false);
    world.until_woken().await;
    world.until_served(&mut held).await;
}

#[tokio::test]
async fn a_lease_that_nobody_ends_is_found_out() {
    let mut world = World::new();
    world.fake.set(|fields| fields.replicas = 1);
    world.pods(true);
    world.heard(Phase::Awake, 0);
    world.shut(1, SHORT).await.unwrap();
    world.until("open", World::is_open).await;
    assert_eq!(world.fake.calls(), ["list", "get", "list"]);

    world.fake.set(|fields| fields.replicas = 0);
    world.shut(2, SHORT).await.unwrap();
    world.until("barred", |world| world.phase() == Phase::Asleep).await;
    assert!(!world.is_open());
}

#[tokio::test]
async fn without_an_api_server_nothing_is_shut_and_no_lease_opens() {
    let mut world = World::awake();
    world.shut(1, SHORT).await.unwrap();
    world.fake.set(|fields| fields.trouble = Some(ApiError::Unavailable("gone".into())));
    assert!(matches!(world.shut(2, LONG).await, Err(ShutError::Unavailable(..))));
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.pump();
    assert!(!world.is_open());
    world.fake.set(|fields| (fields.trouble, fields.replicas) = (None, 1));
    world.until("open", World::is_open).await;
}

#[tokio::test]
async fn an_announcement_shuts_at_once() {
    let mut world = World::awake();
    assert!(world.is_open());
    let falling = object("u1", json!({}), json!({"phase": "FallingAsleep", "epoch": 1}));
    world.apps.heard(&id(), &falling, Now::read());
    assert!(!world.is_open(), "before the directory says so");
    world.pump();
    assert_eq!(world.phase(), Phase::FallingAsleep);
    world.until("listed", |world| world.fake.0.lock().unwrap().calls.contains(&"list")).await;
    world.tell(1, AttemptOutcome::Awake);
    world.until("open", World::is_open).await;
}

#[tokio::test]
async fn whoever_waits_for_a_target_that_is_not_there_is_told() {
    let mut world = World::new();
    world.heard(Phase::Asleep, 1);
    world.fake.set(|fields| fields.trouble = Some(ApiError::NotFound("there is no Deployment web".into())));
    let mut held = world.app().hold(1, None).unwrap();
    world.until("told", |world| matches!(world.told.last().unwrap().wake, WakeState::Failed { .. })).await;
    let error = held.verdict().await.unwrap_err();
    assert_eq!(error.kind(), Kind::WakeFailed);
    assert!(world.app().hold(1, None).is_err(), "and so are those who come after");
}

#[tokio::test]
async fn a_count_that_is_refused_is_told_from_one_that_came_too_late() {
    let mut world = World::new();
    world.heard(Phase::Asleep, 1);
    world.fake.set(|fields| fields.refuses = true);
    let mut held = world.app().hold(1, None).unwrap();
    let failed = |world: &World| matches!(world.told.last().unwrap().wake, WakeState::Failed { .. });
    world.until("asked", |world| world.fake.0.lock().unwrap().calls.contains(&"raise")).await;
    assert!(!failed(&world), "somebody may have been quicker");
    world.until("told", failed).await;
    let error = held.verdict().await.unwrap_err();
    assert_eq!(error.kind(), Kind::WakeFailed);
    assert!(error.to_string().contains("at most 1 replica"), "{error}");
    assert_eq!(world.fake.calls().iter().filter(|call| **call == "raise").count(), 2);
}

#[tokio::test]
async fn nobody_wakes_what_is_suspended_or_blocked() {
    let now = jiff::Timestamp::now();
    let until = (now + jiff::SignedDuration::from_secs(60)).to_string();
    for (spec, status) in [
        (json!({"suspend": true}), json!({"phase": "Asleep"})),
        (json!({}), json!({"phase": "Asleep", "wakeOnRequest": false})),
        (
            json!({}),
            json!({"phase": "Asleep", "wakeBlocked": {"until": until, "generation": 1, "reason": "KeepsCrashing", "message": "it crashes"}}),
        ),
    ] {
        let mut world = World::new();
        world.heard_as("u1", spec, status);
        assert!(world.app().hold(1, None).is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(world.fake.calls(), [""; 0]);
    }
    let mut world = World::new();
    let old = json!({"until": until, "generation": 0, "reason": "KeepsCrashing", "message": "it crashed"});
    world.heard_as("u1", json!({}), json!({"phase": "Asleep", "wakeBlocked": old}));
    assert!(world.app().hold(1, None).is_ok(), "the spec was changed since");
}

#[tokio::test]
async fn an_app_that_cannot_be_used_keeps_what_was_known() {
    let mut world = World::awake();
    let before = world.told.len();
    world.heard_as("u1", json!({"wake": {"replicas": 3, "maxReplicas": 2}}), json!({"phase": "Awake"}));
    world.apps.heard_unreadable(&id(), "no such field".into());
    world.pump();
    assert_eq!(world.told.len(), before, "nothing is said that did not change");
    assert!(world.is_open());
}

#[tokio::test]
async fn what_the_watch_leaves_out_is_gone_and_may_come_again() {
    let mut world = World::awake();
    world.shut(5, LONG).await.unwrap();
    world.apps.apps_relist_begins(Some("other"));
    world.apps.apps_relist_ends(Some("other"));
    world.pump();
    assert!(world.shared.app(&id()).is_some(), "another namespace's watch");
    world.apps.apps_relist_begins(None);
    world.apps.apps_relist_ends(None);
    world.pump();
    assert!(world.shared.app(&id()).is_none());
    assert!(matches!(world.shut(6, LONG).await, Err(ShutError::Unknown(_))));
    world.heard_as("u2", json!({}), json!({"phase": "Awake"}));
    assert!(world.is_open(), "its epochs begin anew");
    world.shut(1, LONG).await.unwrap();
    assert!(!world.is_open());
}

#[tokio::test]
async fn another_app_of_the_same_name_takes_over_no_lease() {
    let mut world = World::awake();
    world.shut(5, LONG).await.unwrap();
    world.heard_as("u2", json!({}), json!({"phase": "Awake"}));
    assert!(world.is_open());
    world.shut(1, LONG).await.unwrap();
    world.heard_as("u3", json!({}), json!({"phase": "FallingAsleep", "epoch": 1}));
    assert!(!world.is_open());
}

#[test]
fn times_of_the_status_are_converted_once() {
    let now = Now::read();
    let wake = json!({"phase": "Waking", "wake": {"id": "web-1", "since": "2026-01-01T00:00:00.000000Z", "step": "Pulling"}});
    let object = object("u1", json!({}), wake);
    let read = |now, before: Option<&super::object::Object>| {
        super::object::Object::read(&object, [127, 0, 0, 1].into(), now, before).unwrap()
    };
    let entry = |object: &super::object::Object| {
        object.entry(&id(), &super::stance::Stance::default(), &Default::default(), None)
    };
    let first = read(now, None);
    let later = Now { here: now.here + Duration::from_secs(1), wall: now.wall };
    assert_eq!(entry(&first), entry(&read(later, Some(&first))));
    assert!(matches!(entry(&first).wake, WakeState::InProgress { since, .. } if since <= Instant::now()));
}
