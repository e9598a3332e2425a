//! From one phase to the next, by what is seen of replicas and pods.

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn seen(asked: u32, serving: u32) -> Seen<'static> {
    Seen {
        asked,
        serving,
        unchanged_for: REST,
        progress: Progress { step: Step::Starting, reason: None },
        hopeless: None,
        name: "web",
        generation: 1,
        deadline: Some(Duration::from_secs(60)),
        cost: None,
    }
}

fn crash() -> Hopeless {
    Hopeless { reason: Reason::KeepsCrashing, happened: "it ends".into() }
}

#[test]
fn a_wake_begins_steps_and_ends_ready() {
    let mut status = ScaledAppStatus::default();
    advance(at(0), &mut status, &seen(0, 0));
    assert_eq!((status.phase, status.since.clone().unwrap().0), (Some(Phase::Asleep), at(0)));
    status.wake_on_request = Some(false);
    advance(at(10), &mut status, &seen(2, 0));
    let wake = status.wake.clone().unwrap();
    assert_eq!((status.phase, wake.step, wake.since.0), (Some(Phase::Waking), Step::Starting, at(10)));
    assert_eq!(status.wake_on_request, None, "it was woken");
    advance(at(12), &mut status, &Seen { unchanged_for: Duration::ZERO, ..seen(2, 1) });
    assert_eq!(status.phase, Some(Phase::Waking), "not at rest yet");
    assert_eq!(status.wake.as_ref().unwrap().step, Step::Ready);
    advance(at(13), &mut status, &seen(2, 1));
    let last = status.last_wake.clone().unwrap();
    assert_eq!(
        (status.phase, last.outcome, last.took.0.as_secs()),
        (Some(Phase::Awake), WakeResult::Ready, 3)
    );
    assert_eq!((status.wake.clone(), status.replicas, status.ready_replicas), (None, Some(2), Some(1)));
    advance(at(20), &mut status, &seen(2, 0));
    assert_eq!(status.phase, Some(Phase::Waking), "it died");
    assert_ne!(status.wake.as_ref().unwrap().id, last.id);
}

#[test]
fn one_that_is_awake_when_it_is_first_seen_had_no_wake() {
    let mut status = ScaledAppStatus::default();
    advance(at(0), &mut status, &Seen { unchanged_for: Duration::ZERO, ..seen(1, 1) });
    assert_eq!((status.phase, status.wake.clone()), (None, None));
    advance(at(1), &mut status, &seen(1, 1));
    assert_eq!((status.phase, status.last_wake), (Some(Phase::Awake), None));
}

#[test]
fn pauses_double_from_30_s_to_10_min_and_a_success_forgets_them() {
    let mut status = ScaledAppStatus::default();
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..7 {
        advance(at(now), &mut status, &seen(1, 0));
        now += 5;
        let then = advance(at(now), &mut status, &Seen { hopeless: Some(crash()), ..seen(1, 0) });
        assert_eq!(then, Then::GiveUp(crash()));
        let blocked = status.wake_blocked.clone().unwrap();
        pauses.push((blocked.until.0.as_second() - at(now).as_second(), blocked.generation));
        assert_eq!(advance(at(now + 1), &mut status, &seen(1, 0)), Then::GiveUp(crash()), "until it is at 0");
        advance(at(now + 2), &mut status, &seen(0, 0));
        assert_eq!(status.phase, Some(Phase::Asleep));
        assert_eq!(failure(&status), Some((Reason::KeepsCrashing, "it ends")));
        now = blocked.until.0.as_second() - 1_000_000 + 7;
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600].map(|pause| (pause, 1)));
    advance(at(now), &mut status, &seen(1, 0));
    advance(at(now + 1), &mut status, &seen(1, 1));
    assert_eq!((status.wake_blocked.clone(), failure(&status)), (None, None));
}

#[test]
fn a_wake_ends_at_its_deadline_unless_the_app_is_left_alone() {
    let mut status = ScaledAppStatus::default();
    advance(at(0), &mut status, &seen(1, 0));
    assert_eq!(advance(at(60), &mut status, &seen(1, 0)), Then::Nothing);
    let alone = Seen { deadline: None, hopeless: Some(crash()), ..seen(1, 0) };
    assert_eq!(advance(at(61), &mut status.clone(), &alone), Then::Nothing);
    let Then::GiveUp(why) = advance(at(61), &mut status, &seen(1, 0)) else { panic!("it is late") };
    assert_eq!(why.happened, "no replica was ready within 1m (it stands at Starting)");
    let changed = Seen { generation: 2, ..seen(1, 0) };
    assert_eq!(advance(at(62), &mut status, &changed), Then::Nothing, "a changed app is woken anew");
    assert!(status.wake.is_some());
}

proptest! {
    /// Whatever is seen in which order, phases follow each other as they may, a wake is in progress exactly while the app is
    /// waking and not given up, and what serves is never given up.
    #[test]
    fn phases_follow_each_other(steps in prop::collection::vec((0u32..3, 0u32..3, any::<bool>(), any::<bool>(), 0i64..90), 1..60)) {
        let (mut status, mut now) = (ScaledAppStatus::default(), 0);
        for (asked, serving, rest, dead, passes) in steps {
            now += passes;
            let serving = serving.min(asked);
            let unchanged_for = if rest { REST } else { Duration::ZERO };
            let hopeless = dead.then(crash);
            let before = status.phase;
            let then = advance(at(now), &mut status, &Seen { unchanged_for, hopeless, ..seen(asked, serving) });
            if let (Some(before), Some(after)) = (before, status.phase) {
                prop_assert!(before.may_become(after), "{before} -> {after}");
            }
            prop_assert!(matches!(then, Then::Nothing) || serving == 0);
            let waking = status.phase == Some(Phase::Waking);
            prop_assert_eq!(status.wake.is_some(), waking && matches!(then, Then::Nothing));
            if asked == 0 {
                prop_assert_eq!(status.phase, Some(Phase::Asleep));
            }
            if let Some(wake) = &status.wake {
                prop_assert!(wake.steps.windows(2).all(|pair| pair[0].step < pair[1].step && pair[0].at.0 <= pair[1].at.0));
            }
        }
    }
}

#[test]
fn each_sleep_is_added_to_what_was_saved_when_it_ends_and_once() {
    let price = reveille_core::cost::CostSpec {
        per_replica_hour: "3.6".parse().unwrap(),
        currency: reveille_core::cost::Currency::default(),
    };
    let cost = price.resolve().unwrap();
    let mut status = ScaledAppStatus { former_replicas: Some(2), ..ScaledAppStatus::default() };
    advance(at(0), &mut status, &seen(0, 0));
    advance(at(60), &mut status, &Seen { cost: Some(&cost), ..seen(0, 0) });
    assert_eq!(status.savings, None, "it goes on");
    for second in [100, 101, 150] {
        advance(at(second), &mut status, &Seen { cost: Some(&cost), ..seen(2, 0) });
    }
    let savings = status.savings.clone().unwrap();
    assert_eq!(savings.asleep.0, Duration::from_secs(100));
    assert_eq!(savings.told(None).unwrap().amount, "0.2", "2 replicas for 100 s at 3.6 an hour");
}
