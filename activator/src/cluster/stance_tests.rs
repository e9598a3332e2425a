//! The stance in any order of events, against a ghost that knows from outside what may be believed.

use proptest::prelude::*;

use super::*;
use crate::cluster::slices::testing;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Heard(Option<Phase>, u64),
    Shut {
        epoch: u64,
        listed: bool,
    },
    Told(u64, AttemptOutcome),
    Later(u64),
    /// The errands begin a look.
    Look {
        wanted: bool,
    },
    /// The count comes back to the last look that was begun.
    Scale(u32),
    /// So does the list.
    Listed {
        life: bool,
    },
    SliceHeard {
        life: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let phase = prop::option::of(prop::sample::select(Phase::ALL.to_vec()));
    let outcome = prop_oneof![Just(AttemptOutcome::Awake), Just(AttemptOutcome::Asleep)];
    let epoch = 1..5u64;
    prop_oneof![
        (phase, 0..5u64).prop_map(|(phase, epoch)| Event::Heard(phase, epoch)),
        (epoch.clone(), any::<bool>()).prop_map(|(epoch, listed)| Event::Shut { epoch, listed }),
        (epoch, outcome).prop_map(|(epoch, outcome)| Event::Told(epoch, outcome)),
        (1..7u64).prop_map(Event::Later),
        any::<bool>().prop_map(|wanted| Event::Look { wanted }),
        (0..3u32).prop_map(Event::Scale),
        any::<bool>().prop_map(|life| Event::Listed { life }),
        any::<bool>().prop_map(|life| Event::SliceHeard { life }),
    ]
}

/// What is known from outside.
#[derive(Default)]
struct Ghost {
    /// The look that is under way, if no shut, bar or end of a lease came since it began.
    look: Option<Ticket>,
    /// The last look that was begun.
    begun: Option<Ticket>,
    /// The count, as that look read it.
    read: Option<u32>,
    version: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens(events in prop::collection::vec(event(), 1..60)) {
        let mut now = Instant::now();
        let mut stance = Stance::default();
        let mut ghost = Ghost::default();
        for event in events {
            let before = stance.clone();
            match event.clone() {
                Event::Heard(phase, epoch) => {
                    if let Some(begun) = stance.heard(now, phase, epoch) {
                        prop_assert_eq!(stance.lease(), Some(begun));
                        prop_assert!(before.check(begun).is_ok(), "what the control port refuses, a phase does not begin");
                    }
                }
                Event::Shut { epoch, listed } => {
                    ghost.version += 1;
                    let list = listed.then(|| testing::list(ghost.version, true));
                    let done = stance.shut(now, epoch, Duration::from_secs(5), list);
                    prop_assert_eq!(done, before.check(epoch));
                    let is_old = epoch <= before.ended() || before.lease().is_some_and(|standing| epoch < standing);
                    prop_assert_eq!(done.is_err(), is_old);
                    if done.is_ok() {
                        prop_assert_eq!(stance.lease(), Some(epoch));
                        ghost.look = None;
                    }
                }
                Event::Told(epoch, outcome) => {
                    stance.told(now, epoch, outcome);
                    if before.lease() == Some(epoch) && outcome == AttemptOutcome::Asleep {
                        prop_assert!(stance.is_barred() && stance.lease().is_none());
                    }
                    if before.lease() != Some(epoch) {
                        prop_assert_eq!(stance.lease(), before.lease());
                        prop_assert_eq!(stance.is_barred(), before.is_barred());
                    }
                }
                Event::Later(seconds) => now += Duration::from_secs(seconds),
                Event::Look { wanted } => {
                    let need = stance.need(now, wanted);
                    if let Need::Look(ticket, _) | Need::List(ticket) = need {
                        if ghost.begun != Some(ticket) {
                            ghost.read = None;
                        }
                        ghost.look = Some(ticket);
                        ghost.begun = ghost.look;
                    }
                    if wanted && stance.lease.is_none_or(|lease| lease.listed) && !stance.unsure {
                        prop_assert!(matches!(need, Need::Look(..)), "whoever waits is looked after: {:?}", need);
                    }
                    if let Need::Nothing(until) = need {
                        prop_assert_eq!(until.is_some(), stance.lease().is_some(), "a lease ends by itself");
                    }
                }
                Event::Scale(replicas) => {
                    if let Some(ticket) = ghost.look {
                        let scale = Scale { replicas, version: "1".into() };
                        if stance.scale_read(ticket, scale) != Next::TooLate {
                            ghost.read = Some(replicas);
                        }
                    }
                }
                Event::Listed { life } => {
                    if let Some(ticket) = ghost.look.take() {
                        ghost.version += 1;
                        let next = stance.slices_listed(ticket, testing::list(ghost.version, life));
                        let read = ghost.read.take();
                        if let Next::Raise(_) = next {
                            prop_assert_eq!(read, Some(0), "only what was 0 is raised");
                            prop_assert!(!life, "not while a replica of before is shown");
                        }
                        if before.is_barred() && !stance.is_barred() {
                            prop_assert!(read > Some(0), "the bar is lifted by a count above 0 that was read before the list");
                        }
                    }
                }
                Event::SliceHeard { life } => {
                    ghost.version += 1;
                    testing::hear(stance.slices_mut(), ghost.version, life);
                }
            }
            if before.is_barred() && !stance.is_barred() {
                prop_assert!(matches!(event, Event::Listed { .. }), "nothing else lifts the bar: {:?}", event);
            }
            if before.lease() != stance.lease() && let Some(ended) = before.lease() {
                let newer = stance.lease().is_some_and(|newer| newer > ended);
                prop_assert!(newer || stance.ended() >= ended, "an attempt whose lease has ended is not taken up again");
            }
            if before.lease.is_some_and(|lease| !lease.listed) && stance.lease().is_none() {
                let listed = matches!(event, Event::Listed { .. });
                prop_assert!(listed || stance.is_barred(), "no gate opens for slices of before the shut: {:?}", event);
            }
            prop_assert!(stance.ended() >= before.ended() && stance.seen >= before.seen);
            prop_assert!(stance.lease().is_none_or(|epoch| epoch > stance.ended()));
        }
        // Left alone, with an API server that answers, it comes to rest: open or barred, never shut.
        for _ in 0..8 {
            now += Duration::from_secs(10);
            if let Need::Look(ticket, _) | Need::List(ticket) = stance.need(now, true) {
                let scale = Scale { replicas: 1, version: "1".into() };
                stance.scale_read(ticket, scale);
                ghost.version += 1;
                stance.slices_listed(ticket, testing::list(ghost.version, true));
            }
        }
        prop_assert!(stance.lease().is_none() && !stance.is_barred());
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn up(replicas: u32) -> Scale {
    Scale { replicas, version: "1".into() }
}

#[test]
fn one_that_starts_while_the_app_sleeps_is_barred_until_it_has_looked() {
    let now = Instant::now();
    let mut stance = Stance::default();
    assert_eq!(stance.heard(now, Some(Phase::Asleep), 3), None);
    assert!(stance.is_barred());
    assert_eq!(
        stance.need(now, false),
        Need::Nothing(None),
        "nobody waits, and nothing says that it was woken"
    );
    let Need::Look(ticket, Urgency::Wake) = stance.need(now, true) else { panic!() };
    assert_eq!(stance.scale_read(ticket, up(0)), Next::List);
    assert_eq!(stance.slices_listed(ticket, testing::list(1, true)), Next::Stopping);
    assert_eq!(stance.scale_read(ticket, up(0)), Next::List);
    assert_eq!(stance.slices_listed(ticket, testing::list(2, false)), Next::Raise(up(0)));
    assert_eq!(
        stance.scale_read(ticket, up(1)),
        Next::List,
        "raised: what is shown after that is of this wake"
    );
    assert_eq!(stance.slices_listed(ticket, testing::list(3, false)), Next::Up);
    assert!(!stance.is_barred());
}

#[test]
fn a_phase_is_a_shut_with_a_lease_of_its_own_once() {
    let now = Instant::now();
    let mut stance = Stance::default();
    stance.heard(now, Some(Phase::Awake), 1);
    assert_eq!(stance.heard(now, Some(Phase::FallingAsleep), 2), Some(2));
    assert!(matches!(stance.need(now, false), Need::List(_)), "the slices are listed at a shut");
    let Need::List(ticket) = stance.need(now, false) else { panic!() };
    stance.slices_listed(ticket, testing::list(1, true));
    assert_eq!(stance.need(now, false), Need::Nothing(Some(now + OWN_LEASE)));
    let now = now + OWN_LEASE;
    let Need::Look(ticket, Urgency::Settle) = stance.need(now, false) else { panic!() };
    assert_eq!(stance.scale_read(ticket, up(1)), Next::List);
    assert_eq!(stance.lease(), Some(2), "not open before the list");
    stance.slices_listed(ticket, testing::list(2, true));
    assert_eq!(stance.lease(), None);
    assert_eq!(stance.heard(now, Some(Phase::FallingAsleep), 2), None, "the same said again");
    assert_eq!(stance.check(2), Err(Refused { seen: 2 }));
}

#[test]
fn a_renewal_in_the_middle_of_finding_out_voids_what_was_read() {
    let now = Instant::now();
    let mut stance = Stance::default();
    stance.heard(now, Some(Phase::Awake), 0);
    stance.shut(now, 1, SECOND, Some(testing::list(1, true))).unwrap();
    let Need::Look(ticket, Urgency::Settle) = stance.need(now + SECOND, false) else { panic!() };
    stance.scale_read(ticket, up(1));
    assert!(stance.renews(1));
    stance.shut(now + SECOND, 1, SECOND, None).unwrap();
    assert_eq!(stance.slices_listed(ticket, testing::list(2, true)), Next::TooLate);
    assert_eq!(stance.lease(), Some(1));
}

#[test]
fn a_phase_after_the_attempt_makes_it_look_at_once() {
    let now = Instant::now();
    for phase in [Phase::Awake, Phase::Waking] {
        let mut stance = Stance::default();
        stance.shut(now, 1, 60 * SECOND, Some(testing::list(1, true))).unwrap();
        stance.heard(now, Some(phase), 1);
        assert!(matches!(stance.need(now, false), Need::Look(_, Urgency::Settle)));
        assert_eq!(stance.lease(), Some(1), "only a look tells what is usable");
    }
    let mut stance = Stance::default();
    stance.shut(now, 1, 60 * SECOND, Some(testing::list(1, true))).unwrap();
    stance.heard(now, Some(Phase::Asleep), 1);
    assert!(stance.is_barred() && stance.lease().is_none());
}

#[test]
fn told_awake_without_a_list_it_lists_first() {
    let now = Instant::now();
    let mut stance = Stance::default();
    stance.heard(now, Some(Phase::FallingAsleep), 1);
    stance.told(now, 1, AttemptOutcome::Awake);
    assert_eq!(stance.lease(), Some(1));
    assert!(matches!(stance.need(now, false), Need::Look(_, Urgency::Settle)));
}

#[test]
fn another_app_of_the_same_name_begins_anew() {
    let now = Instant::now();
    let mut stance = Stance::default();
    stance.shut(now, 9, SECOND, Some(testing::list(1, true))).unwrap();
    stance.begin_anew();
    stance.heard(now, Some(Phase::Awake), 0);
    assert!(stance.lease().is_none() && stance.check(1).is_ok() && stance.slices().show_life());
}
