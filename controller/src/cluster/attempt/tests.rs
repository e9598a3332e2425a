//! Each step that the code could leave out, and whose lack `tests/model` shows to break a promise, has a test here.

use reveille_core::control::AttemptOutcome;

use super::{
    fake::{EPOCH, Fate, Manner, SLEEP_DELAY, State, TTL, World, activator, report},
    *,
};
use crate::{cluster::scrape::Sample, sleep::WAIT_FOR_WORK};

fn attempts(world: &Arc<World>) -> ClusterAttempts {
    let world = Arc::clone(world);
    ClusterAttempts::new(Arc::clone(&world) as _, Arc::clone(&world) as _, world as _, SLEEP_DELAY)
}

/// An attempt in a world that was changed after the decision.
async fn sleep_after(change: impl FnOnce(&mut State)) -> (Arc<World>, AttemptEnd) {
    let world = World::new();
    let evidence = world.evidence();
    change(&mut world.state());
    let end = attempts(&world).sleep(&*world, EPOCH, Occasion::Idle(evidence)).await;
    (world, end)
}

fn last(world: &World) -> Announcement {
    *world.state().announces.last().unwrap()
}

const AWAKE: Announcement = Announcement::Awake { epoch: EPOCH };
const ASLEEP: Announcement = Announcement::Asleep { epoch: EPOCH };

/// It was called off before any commit, by this outcome and word.
fn assert_called_off(world: &World, end: &AttemptEnd, outcome: SleepOutcome, word: &str) {
    let AttemptEnd::Aborted(by, why) = end else { panic!("{end:?}") };
    assert!(*by == outcome && why.contains(word), "{by:?} {why}");
    assert!(!world.log().contains(&"commit".to_owned()), "{:?}", world.log());
    assert_eq!(last(world), AWAKE);
    let state = world.state();
    let answers =
        state.activators.values().filter(|one| one.address.is_some() && one.manner != Manner::Never);
    answers.for_each(|one| assert_eq!(one.told, Some(AttemptOutcome::Awake)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_app_falls_asleep_step_by_step() {
    let (world, end) = sleep_after(|_| {}).await;
    assert_eq!(end, AttemptEnd::Asleep);
    let steps =
        ["read", "announce falling", "list", "shut", "commit", "list", "tell Asleep", "announce asleep"];
    assert_eq!(world.log(), steps);
    assert_eq!(world.state().announces[0], Announcement::FallingAsleep { epoch: EPOCH, former: 2 });
    assert!(world.state().open_at_landing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_app_without_replicas_is_left_alone() {
    let (world, end) = sleep_after(|state| state.replicas = 0).await;
    assert!(matches!(end, AttemptEnd::Aborted(..)));
    assert_eq!(world.log(), ["read"]);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_conflicts_ends_it_and_one_that_is_unknown_is_to_be_settled() {
    let (world, end) = sleep_after(|state| state.announce_errors = vec![Some(AnnounceError::Conflict)]).await;
    assert!(matches!(end, AttemptEnd::Aborted(SleepOutcome::AbortedConflict, _)));
    assert_eq!(world.log(), ["read", "announce falling"]);
    let unknown = AnnounceError::Unknown("late".into());
    let (world, end) = sleep_after(|state| state.announce_errors = vec![Some(unknown)]).await;
    assert!(matches!(end, AttemptEnd::Unsettled(_)));
    assert_eq!(world.log(), ["read", "announce falling"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_passed_since_the_decision_calls_it_off() {
    let busy = SleepOutcome::AbortedBusy;
    let (world, end) = sleep_after(|state| state.activators.get_mut("b").unwrap().report.started += 1).await;
    assert_called_off(&world, &end, busy, "by activator b");
    let (world, end) = sleep_after(|state| state.activators.get_mut("b").unwrap().report.in_flight = 1).await;
    assert_called_off(&world, &end, busy, "by activator b");
    let fleet = SleepOutcome::AbortedFleet;
    let (world, end) =
        sleep_after(|state| state.activators.get_mut("b").unwrap().report.boot = "another".into()).await;
    assert_called_off(&world, &end, fleet, "b has started again");
    let (world, end) = sleep_after(|state| {
        state
            .activators
            .insert("c".into(), fake::FakeActivator { report: report("boot-3", 0), ..activator(3) });
    })
    .await;
    assert_called_off(&world, &end, fleet, "c has joined");
    let (world, end) = sleep_after(|state| drop(state.activators.remove("b"))).await;
    assert_called_off(&world, &end, fleet, "b has left");
}

#[tokio::test(start_paused = true)]
async fn an_activator_that_cannot_be_shut_calls_it_off() {
    let fleet = SleepOutcome::AbortedFleet;
    let (world, end) =
        sleep_after(|state| state.activators.get_mut("a").unwrap().manner = Manner::Never).await;
    assert_called_off(&world, &end, fleet, "activator a does not answer");
    let (world, end) = sleep_after(|state| state.activators.get_mut("a").unwrap().address = None).await;
    assert_called_off(&world, &end, fleet, "a has no address");
    let (world, end) = sleep_after(|state| state.activators.clear()).await;
    assert_called_off(&world, &end, fleet, "no activator");
}

#[tokio::test(start_paused = true)]
async fn no_commit_is_sent_once_a_lease_may_end_before_it_arrives() {
    let slow = |list: u64, answer: u64| {
        move |state: &mut State| {
            state.list_takes = Duration::from_millis(list);
            state.activators.get_mut("a").unwrap().manner = Manner::After(Duration::from_millis(answer));
        }
    };
    // Each in time by itself.
    let (world, end) = sleep_after(slow(1_500, 2_500)).await;
    assert_called_off(&world, &end, SleepOutcome::AbortedFleet, "too long");
    let (_, end) = sleep_after(slow(1_400, 2_500)).await;
    assert_eq!(end, AttemptEnd::Asleep);
}

#[tokio::test(start_paused = true)]
async fn a_commit_goes_by_the_version_of_before_the_announcement() {
    let (world, end) = sleep_after(|state| state.is_contested = true).await;
    assert!(matches!(end, AttemptEnd::Aborted(SleepOutcome::AbortedConflict, _)), "{end:?}");
    assert_eq!(world.state().replicas, 2);
    let ends = ["commit", "announce awake", "list", "tell Awake"];
    assert_eq!(world.log()[4..], ends, "the gates open after the announcement");
    let (world, end) = sleep_after(|state| state.fate = Fate::Refused).await;
    assert!(matches!(end, AttemptEnd::Aborted(SleepOutcome::AbortedConflict, _)), "{end:?}");
    assert_eq!(last(&world), AWAKE);
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_announcement_is_unknown_opens_nothing() {
    let unknown = || Some(AnnounceError::Unknown("late".into()));
    let (world, end) = sleep_after(|state| {
        (state.is_contested, state.announce_errors) = (true, vec![None, unknown()]);
    })
    .await;
    assert!(matches!(end, AttemptEnd::Unsettled(_)));
    assert!(world.state().activators.values().all(|one| one.told.is_none()));
    let (_, end) = sleep_after(|state| state.announce_errors = vec![None, unknown()]).await;
    assert!(matches!(end, AttemptEnd::Unsettled(_)), "committed, but not announced");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_landed_is_fenced_and_found() {
    let landed = Fate::Unanswered(Some(Duration::from_secs(3)));
    let (world, end) = sleep_after(|state| state.fate = landed).await;
    assert_eq!((end, last(&world)), (AttemptEnd::Asleep, ASLEEP));
    let log = world.log();
    let at = |word: &str| log.iter().rposition(|step| step == word).unwrap();
    assert!(at("fence") < at("read") && at("read") < at("tell Asleep"), "{log:?}");
    assert!(world.state().open_at_landing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_commit_that_was_lost_leaves_the_app_awake_and_opens_no_gate() {
    let (world, end) = sleep_after(|state| state.fate = Fate::Unanswered(None)).await;
    assert!(matches!(end, AttemptEnd::Aborted(SleepOutcome::AbortedConflict, _)), "{end:?}");
    assert_eq!(last(&world), AWAKE);
    let log = world.log();
    let at = |word: &str| log.iter().rposition(|step| step == word).unwrap();
    assert!(at("fence") < at("read") && at("read") < at("serves"), "{log:?}");
    // It may have been committed and woken since: each finds out when its lease ends.
    assert!(world.state().activators.values().all(|one| one.told.is_none()));
}

#[tokio::test(start_paused = true)]
async fn an_app_of_which_nothing_serves_then_was_woken_already() {
    let (world, end) =
        sleep_after(|state| (state.fate, state.serves) = (Fate::Unanswered(None), false)).await;
    assert_eq!((end, last(&world)), (AttemptEnd::Asleep, ASLEEP));
    assert!(world.state().activators.values().all(|one| one.told.is_none()));
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_until_a_late_commit_can_only_conflict() {
    // The API server is out of reach for longer than a lease, and has the commit all the while.
    for lands in [4, 9, 14, 24, 39] {
        let world = World::new();
        let evidence = world.evidence();
        {
            let mut state = world.state();
            state.fate = Fate::Unanswered(Some(Duration::from_secs(lands)));
            state.joins = Some(Duration::from_secs(2));
        }
        let attempts = attempts(&world);
        let sleep = attempts.sleep(&*world, EPOCH, Occasion::Idle(evidence));
        let cut_off = async {
            while !world.log().contains(&"commit".to_owned()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.state().api_fails_until = Some(Instant::now() + Duration::from_secs(40));
        };
        let (end, ()) = tokio::join!(sleep, cut_off);
        assert_eq!(end, AttemptEnd::Asleep, "{lands}");
        let state = world.state();
        assert!(state.activators.contains_key("joiner"));
        assert_eq!(state.open_at_landing, Vec::<String>::new(), "landed after {lands} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_activator_does_not_keep_the_others_from_being_renewed() {
    let world = World::new();
    let evidence = world.evidence();
    world.state().fate = Fate::Unanswered(Some(Duration::from_secs(9)));
    let attempts = attempts(&world);
    let sleep = attempts.sleep(&*world, EPOCH, Occasion::Idle(evidence));
    let falls_silent = async {
        while !world.log().contains(&"commit".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut state = world.state();
        state.activators.get_mut("a").unwrap().manner = Manner::Never;
        state.list_takes = Duration::from_millis(2_900);
    };
    let (end, ()) = tokio::join!(sleep, falls_silent);
    assert_eq!(end, AttemptEnd::Asleep);
    assert_eq!(world.state().open_at_landing, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_found_is_fenced_before_anything_is_read() {
    let world = World::new();
    let end = attempts(&world).settle(&*world, EPOCH).await;
    assert!(matches!(end, AttemptEnd::Aborted(..)), "{end:?}");
    let log: Vec<String> =
        world.log().into_iter().filter(|step| !matches!(&**step, "list" | "shut")).collect();
    assert_eq!(log, ["fence", "read", "serves", "announce awake"]);
    let world = World::new();
    world.state().replicas = 0;
    assert_eq!(attempts(&world).settle(&*world, EPOCH).await, AttemptEnd::Asleep);
    assert_eq!(world.state().activators["a"].told, Some(AttemptOutcome::Asleep));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_found_out_is_given_back_after_a_while_and_what_is_gone_is_none() {
    let world = World::new();
    world.state().api_fails_until = Some(Instant::now() + Duration::from_secs(3600));
    let begin = Instant::now();
    assert!(matches!(attempts(&world).settle(&*world, EPOCH).await, AttemptEnd::Unsettled(_)));
    assert!((25..=30).contains(&begin.elapsed().as_secs()));
    assert!(world.state().announces.is_empty());
    let world = World::new();
    (world.state().is_gone, world.state().serves) = (true, false);
    assert_eq!(attempts(&world).settle(&*world, EPOCH).await, AttemptEnd::Asleep);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_does_nothing_more() {
    let world = World::new();
    world.state().fate = Fate::Unanswered(None);
    let evidence = world.evidence();
    let attempts = attempts(&world);
    let dropped = tokio::time::timeout(
        Duration::from_secs(5),
        attempts.sleep(&*world, EPOCH, Occasion::Idle(evidence)),
    );
    assert!(dropped.await.is_err());
    let went_on = world.state().log.len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.state().log.len(), went_on);
}

fn calls(n: u64, shows_in_flight: bool) -> Sample {
    Sample { counters: vec![("calls_total".into(), n.to_string())], busy: None, shows_in_flight }
}

/// An attempt on an app whose traffic goes straight to its pods, and how long it took.
async fn bypass(
    shows_in_flight: bool,
    meanwhile: impl AsyncFnOnce(&World),
) -> (Arc<World>, AttemptEnd, Duration) {
    let world = World::new();
    world.bypass(calls(3, shows_in_flight));
    let evidence = world.evidence();
    let begin = Instant::now();
    let attempts = attempts(&world);
    let sleep = async {
        let end = attempts.sleep(&*world, EPOCH, Occasion::Idle(evidence)).await;
        (end, begin.elapsed())
    };
    let ((end, took), ()) = tokio::join!(sleep, meanwhile(&world));
    (world, end, took)
}

#[tokio::test(start_paused = true)]
async fn the_direct_path_is_left_and_waited_out_while_every_lease_is_renewed() {
    let (world, end, took) = bypass(true, async |_| {}).await;
    assert_eq!(end, AttemptEnd::Asleep);
    assert!(took >= SLEEP_DELAY && took < SLEEP_DELAY + Duration::from_secs(2), "{took:?}");
    let log = world.log();
    let at = |word: &str| log.iter().position(|step| step == word).unwrap();
    assert!(
        at("announce falling") < at("leave path")
            && at("leave path") < at("scrape")
            && at("scrape") < at("commit")
    );
    let (world, end, took) = bypass(false, async |_| {}).await;
    assert_eq!(end, AttemptEnd::Asleep, "{:?}", world.log());
    assert!(took >= SLEEP_DELAY + TTL && took < SLEEP_DELAY + TTL + Duration::from_secs(2), "{took:?}");
    assert!(world.state().open_at_landing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_moved_on_the_direct_path_calls_it_off() {
    let busy = SleepOutcome::AbortedBusy;
    let (world, end, _) = bypass(true, async |world| world.state().sample = Ok(calls(4, true))).await;
    assert_called_off(&world, &end, busy, "pod pod counts has moved");
    let (world, end, _) = bypass(true, async |world| {
        world.state().sample = Ok(Sample { busy: Some("g is 1".into()), ..calls(3, true) });
    })
    .await;
    assert_called_off(&world, &end, busy, "g is 1");
    let (world, end, _) = bypass(true, async |world| world.state().sample = Err("refused".into())).await;
    assert_called_off(&world, &end, busy, "refused");
    // A request that began before the pods left the path, and ends long after.
    let (world, end, took) = bypass(false, async |world| {
        tokio::time::sleep(SLEEP_DELAY + TTL / 2).await;
        world.state().sample = Ok(calls(4, false));
    })
    .await;
    assert!(took >= TTL);
    assert_called_off(&world, &end, busy, "counts has moved");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_it_any_more_calls_it_off_until_the_commit_is_sent() {
    let (world, end, took) = bypass(true, async |world| {
        tokio::time::sleep(SLEEP_DELAY / 2).await;
        world.unwanted.send_replace(true);
    })
    .await;
    assert_called_off(&world, &end, SleepOutcome::AbortedConflict, "it is to be awake");
    assert!(took < SLEEP_DELAY, "{took:?}");
    let (world, end, _) = bypass(true, async |world| {
        while !world.log().iter().any(|step| step == "commit") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.unwanted.send_replace(true);
    })
    .await;
    assert_eq!((end, world.state().replicas), (AttemptEnd::Asleep, 0), "then it is too late");
}

/// One on an app whose traffic goes straight to its pods, which answer this when they are asked.
async fn bypass_by(occasion: Occasion, sample: Result<Sample, String>) -> (Arc<World>, AttemptEnd, Duration) {
    let world = World::new();
    world.bypass(calls(3, true));
    world.state().sample = sample;
    let begin = Instant::now();
    let end = attempts(&world).sleep(&*world, EPOCH, occasion).await;
    (world, end, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn by_hand_what_pods_serve_directly_is_waited_for() {
    let about = |took: Duration, want: Duration| {
        assert!(took >= want && took < want + Duration::from_secs(2), "{took:?}, not {want:?}");
    };
    let (_, end, took) = bypass_by(Occasion::ByHand, Ok(calls(3, true))).await;
    assert_eq!(end, AttemptEnd::Asleep);
    about(took, SLEEP_DELAY);
    let (_, end, took) = bypass_by(Occasion::ByHand, Ok(calls(3, false))).await;
    assert_eq!(end, AttemptEnd::Asleep, "nobody knows better");
    about(took, SLEEP_DELAY + WAIT_FOR_WORK);
    let busy = Sample { busy: Some("g is 1".into()), ..calls(3, true) };
    let (world, end, _) = bypass_by(Occasion::ByHand, Ok(busy)).await;
    assert_called_off(&world, &end, SleepOutcome::AbortedBusy, "pod pod: g is 1");
    let (world, end, _) = bypass_by(Occasion::ByHand, Err("refused".into())).await;
    assert_called_off(&world, &end, SleepOutcome::AbortedBusy, "refused");
    let (_, end, _) = bypass_by(Occasion::WakeFailed, Err("refused".into())).await;
    assert_eq!(end, AttemptEnd::Asleep, "one that never could answer is asked nothing");
}

#[tokio::test(start_paused = true)]
async fn who_is_held_while_the_path_is_waited_out_waits_for_a_second() {
    let (world, end, took) = bypass(false, async |world| {
        tokio::time::sleep(TTL / 2).await;
        world.state().activators.get_mut("a").unwrap().report.started += 1;
    })
    .await;
    assert!(took <= TTL / 2 + Duration::from_secs(2), "{took:?}");
    assert_called_off(&world, &end, SleepOutcome::AbortedBusy, "by activator a");
}

/// An attempt that nobody decided, with so many in service, of which the last ends after so long.
async fn by_hand(in_service: u64, ends_after: Duration) -> (Arc<World>, AttemptEnd) {
    let world = World::new();
    {
        let report = &mut world.state();
        let report = &mut report.activators.get_mut("a").unwrap().report;
        (report.in_flight, report.held) = (in_service + 3, 3);
    }
    let attempts = attempts(&world);
    let sleep = attempts.sleep(&*world, EPOCH, Occasion::ByHand);
    let ends = async {
        tokio::time::sleep(ends_after).await;
        world.state().activators.get_mut("a").unwrap().report.in_flight = 3;
    };
    let (end, ()) = tokio::join!(sleep, ends);
    (world, end)
}

#[tokio::test(start_paused = true)]
async fn by_hand_it_is_waited_for_what_is_in_service_and_not_for_who_is_held() {
    let (world, end) = by_hand(2, Duration::from_secs(8)).await;
    assert_eq!(end, AttemptEnd::Asleep);
    assert!(world.state().open_at_landing.is_empty());
    let (world, end) = by_hand(2, Duration::from_secs(30)).await;
    assert_called_off(&world, &end, SleepOutcome::AbortedBusy, "connections: 2");
}
