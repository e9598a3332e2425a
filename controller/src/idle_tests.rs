//! The loop sleeps exactly as long as it may, on a paused clock.

use std::sync::Mutex;

use reveille_core::{
    activity::Activity,
    directory::{AppEntry, WakeState},
    policy::{Mode, PolicySpec, Ttl},
};
use tokio::{sync::mpsc, time::advance};

use super::*;
use crate::{sleep::Abort, store::Moment, traits::FleetError};

const TTL: Duration = Duration::from_secs(60);

fn view(phase: Phase, ttl: Ttl) -> Arc<View> {
    let mut policy = PolicySpec::default().resolve(Mode::Local).unwrap();
    policy.idle.ttl = ttl;
    let entry = AppEntry {
        id: AppId::local("web"),
        policy: Arc::new(policy),
        ports: Arc::new([]),
        hosts: Arc::new([]),
        phase,
        endpoints: Vec::new(),
        wake: WakeState::None,
        wake_on_request: true,
    };
    View {
        entry: Arc::new(entry),
        since: Moment::now(),
        version: 0,
        replicas: 1,
        wake: None,
        usual: None,
        pin: None,
        pending: None,
    }
    .into()
}

/// One activator, whose last work ended at that time, and the attempts that were made.
struct Bed {
    last_work: Mutex<Instant>,
    asked: mpsc::UnboundedSender<()>,
    attempts: mpsc::UnboundedSender<(Instant, Occasion)>,
    answer: Mutex<Result<(), Abort>>,
}

impl Fleet for Bed {
    fn reports<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Vec<Report>> {
        let quiet = now() - *self.last_work.lock().unwrap();
        let _ = self.asked.send(());
        let activity = Activity { started: 5, in_flight: 0, held: 0, quiet };
        Box::pin(std::future::ready(vec![Report::Said { at: now(), activity }]))
    }

    fn shut<'a>(
        &'a self,
        _: &'a AppId,
        _: u64,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Activity>, FleetError>> {
        unreachable!("the loop leaves that to the protocol")
    }

    fn open<'a>(&'a self, _: &'a AppId, _: u64) -> BoxFuture<'a, ()> {
        unreachable!("the loop leaves that to the protocol")
    }
}

impl Sleeper for Bed {
    fn sleep<'a>(&'a self, _: &'a AppId, occasion: Occasion) -> BoxFuture<'a, Result<(), Abort>> {
        let _ = self.attempts.send((now(), occasion));
        Box::pin(std::future::ready(self.answer.lock().unwrap().clone()))
    }
}

type Attempts = mpsc::UnboundedReceiver<(Instant, Occasion)>;

fn start(view: Arc<View>) -> (watch::Sender<Arc<View>>, Arc<Bed>, mpsc::UnboundedReceiver<()>, Attempts) {
    let (views, watched) = watch::channel(view);
    let (asked, was_asked) = mpsc::unbounded_channel();
    let (attempts, attempted) = mpsc::unbounded_channel();
    let bed = Arc::new(Bed { last_work: Mutex::new(now()), asked, attempts, answer: Mutex::new(Ok(())) });
    tokio::spawn(run(watched, bed.clone(), bed.clone()));
    (views, bed, was_asked, attempted)
}

#[tokio::test(start_paused = true)]
async fn tries_at_the_ttl_and_asks_no_more_often_than_needed() {
    let begin = now();
    let (_views, bed, mut was_asked, mut attempted) = start(view(Phase::Awake, Ttl::After(TTL)));
    was_asked.recv().await;
    advance(Duration::from_secs(20)).await;
    *bed.last_work.lock().unwrap() = now();
    let (at, occasion) = attempted.recv().await.unwrap();
    assert_eq!((at - begin).as_secs(), 80);
    let Occasion::Idle { reports } = occasion else { panic!("{occasion:?}") };
    assert_eq!((reports.len(), reports[0].started), (1, 5));
    let mut looks = 1;
    while was_asked.try_recv().is_ok() {
        looks += 1;
    }
    assert_eq!(looks, 3, "at the start, at 60 s and at 80 s");
}

#[tokio::test(start_paused = true)]
async fn does_nothing_while_not_awake_and_begins_anew_when_the_phase_or_the_policy_changes() {
    let (views, _bed, mut was_asked, mut attempted) = start(view(Phase::Waking, Ttl::After(TTL)));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(was_asked.try_recv().is_err());
    views.send_replace(view(Phase::Awake, Ttl::Never));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(attempted.try_recv().is_err());
    let begin = now();
    views.send_replace(view(Phase::Awake, Ttl::After(TTL)));
    let (at, _) = attempted.recv().await.unwrap();
    assert_eq!(at - begin, TTL);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_repeated_but_not_in_haste_and_the_loop_ends_with_the_app() {
    let (views, bed, mut was_asked, mut attempted) = start(view(Phase::Awake, Ttl::After(TTL)));
    *bed.answer.lock().unwrap() = Err(Abort::Fleet(FleetError { activator: "a".into(), reason: "b".into() }));
    let (first, _) = attempted.recv().await.unwrap();
    let (second, _) = attempted.recv().await.unwrap();
    assert_eq!(second - first, AFTER_FAILURE);
    *bed.answer.lock().unwrap() = Err(Abort::Called);
    attempted.recv().await.unwrap();
    drop(views);
    drop(bed);
    while was_asked.recv().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn the_time_until_sleep_is_the_longer_of_both_limits() {
    let present = now();
    let view = view(Phase::Awake, Ttl::After(TTL));
    let mut policy = (*view.entry.policy).clone();
    let quiet = |quiet, in_flight| Observed {
        phase: Phase::Awake,
        since: present - Duration::from_secs(600),
        pinned_until: None,
        reports: vec![Report::Said {
            at: present,
            activity: Activity { started: 1, in_flight, held: 0, quiet },
        }],
    };
    let at = |observed: &Observed, policy: &Policy| {
        sleeps_in(present, observed, policy).map(|left| left.as_secs())
    };
    assert_eq!(at(&quiet(Duration::from_secs(45), 0), &policy), Some(15));
    assert_eq!(at(&quiet(Duration::from_secs(90), 0), &policy), Some(0));
    assert_eq!(at(&quiet(Duration::ZERO, 1), &policy), None, "in use");
    let pinned = Observed {
        pinned_until: Some(present + Duration::from_secs(25)),
        ..quiet(Duration::from_secs(45), 0)
    };
    assert_eq!(at(&pinned, &policy), Some(25));
    policy.idle.min_awake = Duration::from_secs(640);
    assert_eq!(at(&quiet(Duration::from_secs(45), 0), &policy), Some(40));
    policy.idle.ttl = Ttl::Never;
    assert_eq!(at(&quiet(Duration::from_secs(45), 0), &policy), None);
}
