//! The shared part of an app: gate, hold and endpoints together.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reveille_core::{
    app::AppId,
    directory::{AppEntry, Endpoint, Port, Protocol, UpstreamProtocol, WakeState},
    gate::Kind as Counted,
    invariants,
    phase::Phase,
    policy::{Mode, PolicySpec},
    wake::{Failure, FailureKind, Step, WakeId},
};

use super::{Admission, App, LeaseEnd, held::Held};
use crate::{
    config::{Config, HoldLimits},
    error::Kind,
    server::Shared,
    traits::Waker,
};

#[derive(Default)]
struct Asked(Mutex<Vec<usize>>);

impl Waker for Asked {
    fn wake(&self, _: &AppId, waiting: usize) {
        self.0.lock().unwrap().push(waiting);
    }
    fn usable(&self, _: &AppId, _: u64) {}
}

struct World {
    app: Arc<App>,
    asked: Arc<Asked>,
    entry: AppEntry,
}

impl World {
    fn new(policy: &str) -> Self {
        let policy = serde_json::from_str::<PolicySpec>(policy).unwrap().resolve(Mode::Local).unwrap();
        let asked = Arc::new(Asked::default());
        let config = Config {
            workers: NonZeroUsize::new(2).unwrap(),
            hold: HoldLimits { max_requests: 10_000, max_bytes: 1 << 30 },
            ..Config::default()
        };
        let shared = Shared::for_tests(config, asked.clone());
        let entry = AppEntry {
            id: AppId::local("web"),
            policy: Arc::new(policy),
            ports: Arc::new([Port {
                name: None,
                listen: "127.0.0.1:1".parse().unwrap(),
                protocol: Protocol::Http,
                upstream: UpstreamProtocol::Auto,
            }]),
            hosts: Arc::new([]),
            phase: Phase::Asleep,
            endpoints: Vec::new(),
            wake: WakeState::None,
            wake_on_request: true,
        };
        let app = App::new(Arc::new(entry.clone()), shared);
        let mut world = Self { app, asked, entry };
        world.apply(|_| ());
        world
    }

    fn apply(&mut self, change: impl FnOnce(&mut AppEntry)) {
        change(&mut self.entry);
        self.app.apply(Arc::new(self.entry.clone()));
    }

    fn waking(&mut self) {
        self.apply(|entry| {
            let id = WakeId::new("web", 1);
            entry.phase = Phase::Waking;
            entry.wake =
                WakeState::InProgress { id, since: Instant::now(), step: Step::Starting, usual: None };
        });
    }

    fn awake(&mut self, generation: u64) {
        self.apply(|entry| {
            entry.phase = Phase::Awake;
            entry.wake = WakeState::None;
            let addresses = Arc::new(["127.0.0.1:9".parse().unwrap()]);
            entry.endpoints = vec![Endpoint { generation, addresses, ready: true }];
        });
    }

    /// A request as the gate sees it: counted in, then held.
    fn hold(&self) -> Held {
        self.app.gate.enter(0, Counted::Work);
        self.app.hold(100, None).unwrap()
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.0.lock().unwrap().clone()
    }
}

/// What a held request was told by now.
fn told(held: &mut Held) -> Option<Result<Admission, Kind>> {
    use futures_util::FutureExt;
    held.verdict().now_or_never().map(|verdict| verdict.map_err(|error| error.kind()))
}

fn admitted(held: &mut Held) -> Option<Admission> {
    told(held).map(Result::unwrap)
}

#[tokio::test]
async fn many_requests_ask_for_one_wake() {
    let mut world = World::new("{}");
    let mut held: Vec<_> = (0..100).map(|_| world.hold()).collect();
    assert_eq!(world.asked(), [1], "one wake, asked for by the first");
    world.waking();
    assert!(held.iter_mut().all(|held| told(held).is_none()));
    assert_eq!((world.app.waiting(), world.app.activity().held), (100, 100));
    world.awake(1);
    assert_eq!(world.asked(), [1]);
    assert_eq!(admitted(&mut held[0]).unwrap().admitted, 1);
}

#[tokio::test(start_paused = true)]
async fn released_in_order_at_the_pace_of_the_app_and_newcomers_wait_behind() {
    let mut world = World::new("{}");
    let mut held: Vec<_> = (0..12).map(|_| world.hold()).collect();
    world.awake(1);
    let first: Vec<_> = held.iter_mut().map_while(admitted).collect();
    assert_eq!(first.len(), 4, "the first window");
    assert!(first.iter().enumerate().all(|(i, admission)| admission.admitted == i as u64 + 1));
    let mut newcomer = world.hold();
    for admission in &first {
        admission.slot.response_head();
    }
    let second: Vec<_> = held[4..].iter_mut().map_while(admitted).collect();
    assert_eq!(second.len(), 4, "one more for each response head");
    assert!(told(&mut newcomer).is_none());
    drop((first, second));
    let third: Vec<_> = held[8..].iter_mut().map_while(admitted).collect();
    assert_eq!(third.len(), 4);
    assert_eq!(admitted(&mut newcomer).unwrap().admitted, 13, "behind all that came before");
    assert_eq!(world.app.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_release_widens_by_itself_when_no_response_comes() {
    let mut world = World::new("{}");
    let mut held: Vec<_> = (0..20).map(|_| world.hold()).collect();
    world.awake(1);
    let mut out: Vec<_> = held.iter_mut().map_while(admitted).collect();
    assert_eq!(out.len(), 4);
    let endpoint = out[0].slot.endpoint().clone();
    let connecting = endpoint.connecting();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(told(&mut held[4]).is_none(), "not while it accepts no connection");
    drop(connecting);
    tokio::time::sleep(Duration::from_millis(170)).await;
    out.extend(held[4..].iter_mut().map_while(admitted));
    assert_eq!(out.len(), 20, "8, 16, 32");
}

#[test]
fn slow_answers_do_not_widen_the_release() {
    let endpoint = super::Endpoint::new(&Endpoint { generation: 1, addresses: Arc::new([]), ready: true });
    let ms = Duration::from_millis;
    for (took, window) in
        [(ms(10), 5), (ms(21), 6), (ms(22), 6), (ms(100), 6), (ms(4), 7), (ms(10), 7), (ms(9), 8)]
    {
        endpoint.answered(took);
        assert_eq!(endpoint.limit(None), window, "after {took:?}");
    }
    endpoint.widen_in_silence();
    assert_eq!(endpoint.limit(None), 8, "it was heard");
    endpoint.widen_in_silence();
    assert_eq!(endpoint.limit(None), 16);
}

#[tokio::test]
async fn concurrency_is_a_hard_limit_over_all_workers() {
    let mut world = World::new(r#"{"concurrency": 2}"#);
    world.awake(1);
    let mut held: Vec<_> = (0..3).map(|_| world.hold()).collect();
    let first = admitted(&mut held[0]).unwrap();
    let second = admitted(&mut held[1]).unwrap();
    assert!(told(&mut held[2]).is_none(), "the surplus waits");
    first.slot.response_head();
    assert!(told(&mut held[2]).is_none(), "no head raises a hard limit");
    drop(second);
    assert!(admitted(&mut held[2]).is_some());
}

#[tokio::test]
async fn one_that_leaves_frees_its_place_and_the_wake_goes_on() {
    let mut world = World::new(r#"{"hold": {"maxRequests": 1}}"#);
    let held = world.hold();
    assert_eq!(world.app.hold(100, None).err().unwrap().0.kind(), Kind::HoldFull);
    drop(held);
    assert_eq!((world.app.waiting(), world.app.shared.budget.used()), (0, (0, 0)));
    let mut next = world.hold();
    world.waking();
    world.awake(1);
    drop(admitted(&mut next).unwrap());
}

#[tokio::test]
async fn one_that_leaves_with_its_admission_unread_gives_the_slot_to_the_next() {
    let mut world = World::new(r#"{"concurrency": 1}"#);
    let first = world.hold();
    let mut second = world.hold();
    world.awake(1);
    assert!(told(&mut second).is_none());
    drop(first);
    assert!(admitted(&mut second).is_some());
}

#[tokio::test]
async fn bytes_are_bounded_per_app() {
    let world = World::new(r#"{"hold": {"maxBytes": "250"}}"#);
    let held = [world.hold(), world.hold()];
    assert_eq!(world.app.hold(100, None).err().unwrap().0.kind(), Kind::HoldFull);
    drop(held);
    assert!(world.app.hold(250, None).is_ok());
}

#[tokio::test]
async fn a_failed_wake_answers_all_that_wait_and_the_next_are_told_of_the_pause() {
    let mut world = World::new("{}");
    let mut held = world.hold();
    let failed = |kind| WakeState::Failed {
        id: WakeId::new("web", 1),
        failure: Arc::new(Failure {
            kind,
            reason: "it exited with code 1".into(),
            output: vec!["secret".into()],
        }),
        retry_at: Instant::now() + Duration::from_secs(7),
    };
    world.waking();
    world.apply(|entry| {
        entry.phase = Phase::Asleep;
        entry.wake = failed(FailureKind::ExitedEarly);
    });
    assert_eq!(told(&mut held).unwrap().unwrap_err(), Kind::WakeFailed);
    let paused = world.app.hold(100, None).err().unwrap().0;
    assert_eq!((paused.kind(), paused.retry_after_seconds()), (Kind::WakePaused, Some(7)));
    assert!(paused.detail().contains("exited with code 1") && !paused.detail().contains("secret"));
    assert_eq!(world.asked(), [1], "no further wake is asked for in the pause");
}

#[tokio::test]
async fn a_failure_whose_pause_is_over_is_tried_again() {
    let mut world = World::new("{}");
    world.apply(|entry| {
        entry.wake = WakeState::Failed {
            id: WakeId::new("web", 1),
            failure: Arc::new(Failure {
                kind: FailureKind::Crashed,
                reason: String::new(),
                output: Vec::new(),
            }),
            retry_at: Instant::now(),
        };
    });
    let mut held = world.hold();
    assert!(told(&mut held).is_none());
    assert_eq!(world.asked(), [1]);
}

#[tokio::test]
async fn the_shut_holds_newcomers_and_the_commit_wakes_again_for_them() {
    let mut world = World::new("{}");
    world.awake(1);
    assert!(world.app.gate.word().is_open());
    let before = world.app.activity();
    world.apply(|entry| entry.phase = Phase::FallingAsleep);
    let counted = world.app.shut(5, LeaseEnd::After(Duration::from_secs(5))).unwrap();
    assert!(invariants::nothing_passed(&before, &counted), "{counted:?}");
    let mut held = world.hold();
    assert!(told(&mut held).is_none());
    assert_eq!(world.asked(), [0usize; 0], "not committed: nothing to wake");
    world.apply(|entry| entry.endpoints.clear());
    assert_eq!(world.asked(), [1], "committed: the request wakes it again");
    world.app.open(5);
    assert!(told(&mut held).is_none());
    world.waking();
    world.awake(2);
    assert!(admitted(&mut held).is_some());
}

#[tokio::test]
async fn an_aborted_sleep_lets_held_requests_pass() {
    let mut world = World::new("{}");
    world.awake(1);
    world.apply(|entry| entry.phase = Phase::FallingAsleep);
    world.app.shut(1, LeaseEnd::After(Duration::from_secs(5)));
    let mut held = world.hold();
    world.app.open(2);
    world.apply(|entry| entry.phase = Phase::Awake);
    assert!(told(&mut held).is_none(), "another epoch opens nothing");
    world.app.open(1);
    assert!(admitted(&mut held).is_some());
}

#[tokio::test]
async fn a_lease_that_nobody_renews_ends_by_itself() {
    let mut world = World::new("{}");
    world.awake(1);
    world.app.shut(1, LeaseEnd::After(Duration::from_millis(20)));
    let mut held = world.hold();
    let admission = held.verdict().await.unwrap();
    drop(admission);
}

#[tokio::test]
async fn an_older_attempt_takes_no_lease_from_a_newer_one() {
    let mut world = World::new("{}");
    world.awake(1);
    assert!(world.app.shut(2, LeaseEnd::After(Duration::from_secs(5))).is_some());
    assert_eq!(world.app.shut(1, LeaseEnd::After(Duration::from_secs(5))), None);
    let mut held = world.hold();
    world.app.open(1);
    assert!(told(&mut held).is_none());
    world.app.open(2);
    assert!(admitted(&mut held).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_when_told_does_not_end_by_itself() {
    let mut world = World::new("{}");
    world.awake(1);
    world.app.shut(4, LeaseEnd::WhenTold).unwrap();
    let mut held = world.hold();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    world.app.end_leases(3);
    assert!(told(&mut held).is_none());
    world.app.end_leases(4);
    assert!(admitted(&mut held).is_some());
}

#[tokio::test]
async fn what_the_directory_newly_says_of_an_endpoint_holds() {
    let mut world = World::new("{}");
    world.awake(1);
    let ready = |entry: &mut AppEntry, ready| entry.endpoints[0].ready = ready;
    world.apply(|entry| ready(entry, false));
    assert!(!world.app.gate.word().is_open());
    world.apply(|entry| ready(entry, true));
    assert!(world.app.gate.word().is_open());
    let endpoint = world.app.view().endpoints[0].clone();
    world.app.endpoint_failed(&endpoint);
    world.apply(|entry| entry.hosts = Arc::from(["x.org".to_owned()]));
    assert!(!world.app.gate.word().is_open(), "it is no news that it was called ready");
}

#[tokio::test]
async fn who_comes_after_all_have_left_asks_again() {
    let world = World::new("{}");
    drop(world.hold());
    let _held = world.hold();
    assert_eq!(world.asked(), [1, 1]);
}

#[tokio::test]
async fn an_endpoint_that_fails_sends_requests_back_before_all_others() {
    let mut world = World::new("{}");
    world.awake(1);
    let mut first = world.hold();
    let first = admitted(&mut first).unwrap();
    assert!(world.app.endpoint_failed(first.slot.endpoint()));
    assert!(!world.app.endpoint_failed(first.slot.endpoint()), "news once");
    let mut second = world.hold();
    let endpoint = first.slot.endpoint().clone();
    let mut back = world.app.hold(100, Some(Some(first.ticket))).unwrap();
    let mut passed = world.app.hold(100, Some(None)).unwrap();
    drop(first);
    assert!(told(&mut back).is_none());
    world.app.endpoint_usable(&endpoint);
    let order = [&mut back, &mut passed, &mut second].map(|held| admitted(held).unwrap().admitted);
    assert_eq!(order, [2, 3, 4]);
}

#[tokio::test]
async fn what_a_prober_finds_out_about_a_replica_that_is_gone_is_not_applied() {
    let mut world = World::new("{}");
    world.awake(1);
    let old = world.app.view().endpoints[0].clone();
    world.apply(|entry| {
        entry.endpoints.clear();
        entry.phase = Phase::Asleep;
    });
    world.app.endpoint_usable(&old);
    assert!(!world.app.gate.word().is_open());
}

#[tokio::test]
async fn an_app_asleep_by_hand_refuses_and_a_removed_one_too() {
    let mut world = World::new("{}");
    world.apply(|entry| entry.wake_on_request = false);
    assert_eq!(world.app.hold(1, None).err().unwrap().0.kind(), Kind::AsleepByHand);
    world.apply(|entry| entry.wake_on_request = true);
    let mut held = world.hold();
    world.app.remove();
    assert_eq!(told(&mut held).unwrap().unwrap_err(), Kind::AppRemoved);
    assert_eq!(world.app.hold(1, None).err().unwrap().0.kind(), Kind::AppRemoved);
}

#[tokio::test]
async fn a_request_that_cannot_be_held_still_wakes_the_app() {
    let world = World::new(r#"{"hold": {"maxRequests": 0}}"#);
    for _ in 0..3 {
        assert_eq!(world.app.hold(100, None).err().unwrap().0.kind(), Kind::HoldFull);
    }
    assert_eq!(world.asked().len(), 1, "once");
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_is_probed_before_it_gets_more_and_at_most_once_a_second() {
    let mut world = World::new("{}");
    world.awake(1);
    let endpoint = world.app.view().endpoints[0].clone();
    assert!(world.app.endpoint_suspected(&endpoint));
    let mut held = world.hold();
    assert!(told(&mut held).is_none());
    world.app.endpoint_usable(&endpoint);
    assert!(admitted(&mut held).is_some());
    assert!(
        !world.app.endpoint_suspected(&endpoint),
        "no client can stop the app for others again and again"
    );
    assert!(world.app.gate.word().is_open());
}
