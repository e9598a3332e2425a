//! Whatever is said to a supervisor in whatever order, the invariants hold.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use reveille_core::{directory::Change, invariants, phase::Phase};
use tokio::time::advance;

use super::{
    super::{
        Message,
        fake::{self, Launch, Manner},
    },
    Bed,
};
use crate::{
    local::process::{Event, Exit},
    sleep::Occasion,
};

/// One thing that can happen.
#[derive(Clone, Copy, Debug)]
enum Act {
    Request,
    Hand,
    Started,
    CannotStart,
    Usable,
    Exit(Exit),
    Gone,
    AnnounceIdle,
    AnnounceByHand(bool),
    AwakeAgain,
    SetZero,
    Configure(bool),
    Time(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Request),
        1 => Just(Act::Hand),
        6 => Just(Act::Started),
        1 => Just(Act::CannotStart),
        6 => Just(Act::Usable),
        2 => prop_oneof![Just(Exit::Code(1)), Just(Exit::Signal(9)), Just(Exit::GuardianLost)].prop_map(Act::Exit),
        4 => Just(Act::Gone),
        3 => Just(Act::AnnounceIdle),
        2 => any::<bool>().prop_map(Act::AnnounceByHand),
        1 => Just(Act::AwakeAgain),
        4 => Just(Act::SetZero),
        1 => any::<bool>().prop_map(Act::Configure),
        3 => (0u64..70_000).prop_map(Act::Time),
    ]
}

/// Plays the acts; the debug assertions of the store and the supervisor watch, besides what is checked here.
async fn play(acts: &[Act], manner: Manner) {
    let mut bed = Bed::web();
    bed.runner.set_manner(manner);
    let mut process: Option<Launch> = None;
    let mut spoke = true;
    let mut before = None;
    let (mut version, mut generation) = (0, 0);
    for act in acts {
        let say = |event: Event| process.iter().for_each(|launch| launch.say(event.clone()));
        match *act {
            Act::Request => bed.request(),
            Act::Hand => drop(bed.wake_by_hand().await),
            // A process says one of them, and once.
            Act::Started | Act::CannotStart if std::mem::replace(&mut spoke, true) => {}
            Act::Started => say(Event::Started { pid: 1 }),
            Act::CannotStart => say(Event::CannotStart { reason: "no".into() }),
            Act::Usable => bed.handle.tell(Message::Usable { generation }),
            Act::Exit(exit) => say(Event::Exited(exit)),
            Act::Gone => say(Event::Gone),
            Act::AnnounceIdle => {
                version = bed.view().version;
                let _ = bed.announce(1, Occasion::Idle { reports: Vec::new() }).await;
            }
            Act::AnnounceByHand(wake_on_request) => {
                version = bed.view().version;
                let _ = bed.announce(1, Occasion::ByHand { wake_on_request }).await;
            }
            Act::AwakeAgain => drop(bed.handle.ask(|reply| Message::AwakeAgain { epoch: 1, reply }).await),
            Act::SetZero => {
                let phase = bed.view().entry.phase;
                if bed.set_zero(version).await.is_ok() {
                    assert_eq!(phase, Phase::FallingAsleep, "only what was announced is committed");
                    assert!(bed.view().entry.endpoints.is_empty());
                }
            }
            Act::Configure(changed) => {
                let mut app = fake::app("web", 8081);
                app.command.argv.extend(changed.then(|| "--changed".to_owned()));
                bed.handle.tell(Message::Configure(Arc::new(app)));
            }
            Act::Time(ms) => advance(Duration::from_millis(ms)).await,
        }
        // Lets the supervisor hear the process's event, too.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        bed.settle().await;
        while let Ok(launch) = bed.launches.try_recv() {
            process = Some(launch);
            spoke = false;
        }
        while let Ok(change) = bed.changes.try_recv() {
            let Change::App(entry) = change else { panic!("the app is gone") };
            if let Some(before) = before {
                assert!(invariants::phases_follow(before, entry.phase), "{before} -> {}", entry.phase);
            }
            assert!(entry.endpoints.len() <= 1);
            for endpoint in &entry.endpoints {
                assert!(endpoint.generation >= generation, "a generation came back");
                generation = endpoint.generation;
            }
            before = Some(entry.phase);
        }
    }
    // Nothing is stuck: told to end, it ends, whatever the process does.
    bed.handle.tell(Message::End);
    bed.handle.ended().await;
    assert_eq!((bed.view().entry.phase, bed.view().replicas), (Phase::Asleep, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn invariants_hold_whatever_happens(
        acts in prop::collection::vec(act(), 1..60),
        manner in prop::sample::select(vec![Manner::Obedient, Manner::Deaf, Manner::Played]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(&acts, manner));
    }
}
