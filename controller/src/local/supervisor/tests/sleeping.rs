//! Falling asleep, stopping, and what changes while the app runs.

use std::{sync::Arc, time::Duration};

use reveille_core::{
    directory::{UpstreamProtocol, WakeState},
    phase::Phase,
    wake::{FailureKind, Outcome},
};
use tokio::time::advance;

use super::{
    super::{
        Caller, Message,
        fake::{self, Manner, policy, port},
    },
    BY_HAND, Bed,
};
use crate::{
    clock::now,
    local::process::{Event, Exit},
    sleep::{Abort, Occasion},
    traits::{CommitError, Refusal},
};

fn idle() -> Occasion {
    Occasion::Idle { reports: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_taken_out_before_the_process_is_told() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    let launch = bed.make_awake().await;
    let version = bed.view().version;
    assert_eq!(bed.announce(1, idle()).await, Ok(()));
    let announced = bed.until_phase(Phase::FallingAsleep).await;
    assert_eq!(announced.endpoints.len(), 1, "it may still be called off");
    assert_eq!(bed.announce(2, BY_HAND).await, Err(Abort::NotAwake(Phase::FallingAsleep)));
    assert_eq!(bed.set_zero(version).await, Ok(()));
    assert_eq!(launch.was_told(), ["terminate"]);
    let committed = bed.changes.try_recv().expect("it is told before the commit returns");
    assert!(matches!(&committed, super::Change::App(entry) if entry.endpoints.is_empty()), "{committed:?}");
    assert_eq!(bed.view().replicas, 1, "it is still stopping");
    launch.die(Exit::Code(0));
    let asleep = bed.until_phase(Phase::Asleep).await;
    assert_eq!((asleep.wake.clone(), bed.view().replicas), (WakeState::None, 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_called_off_leaves_everything_as_it_was() {
    let mut bed = Bed::web();
    let launch = bed.make_awake().await;
    let before = bed.view();
    advance(Duration::from_secs(5)).await;
    bed.announce(1, idle()).await.unwrap();
    bed.handle.ask(|reply| Message::AwakeAgain { epoch: 9, reply }).await;
    assert_eq!(bed.view().entry.phase, Phase::FallingAsleep, "that was another attempt");
    bed.handle.ask(|reply| Message::AwakeAgain { epoch: 1, reply }).await;
    let after = bed.view();
    assert_eq!((&after.entry, after.since.at), (&before.entry, before.since.at));
    assert_eq!(bed.set_zero(before.version).await, Err(CommitError::Conflict), "nothing is announced");
    assert!(launch.was_told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_during_an_idle_attempt_makes_the_commit_conflict_but_a_sleep_by_hand_goes_on() {
    let mut bed = Bed::web();
    bed.make_awake().await;
    let version = bed.view().version;
    bed.announce(1, idle()).await.unwrap();
    bed.request();
    assert_eq!(bed.set_zero(version).await, Err(CommitError::Conflict));
    bed.handle.ask(|reply| Message::AwakeAgain { epoch: 1, reply }).await;

    let version = bed.view().version;
    bed.announce(2, BY_HAND).await.unwrap();
    bed.request();
    assert_eq!(bed.set_zero(version).await, Ok(()));
    let again = bed.launched().await;
    bed.make_ready(&again).await;
}

#[tokio::test(start_paused = true)]
async fn a_death_during_an_attempt_makes_the_commit_conflict() {
    let mut bed = Bed::web();
    let launch = bed.make_awake().await;
    let version = bed.view().version;
    bed.announce(1, idle()).await.unwrap();
    launch.die(Exit::Signal(9));
    bed.until_phase(Phase::Asleep).await;
    assert_eq!(bed.set_zero(version).await, Err(CommitError::Conflict));
    bed.handle.ask(|reply| Message::AwakeAgain { epoch: 1, reply }).await;
    assert_eq!(bed.view().entry.phase, Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn a_wake_while_the_process_stops_begins_when_it_is_gone() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    let old = bed.make_awake().await;
    bed.announce(1, idle()).await.unwrap();
    bed.set_zero(bed.view().version).await.unwrap();
    bed.request();
    advance(Duration::from_secs(9)).await;
    old.say(Event::Exited(Exit::Code(0)));
    bed.settle().await;
    bed.none_launched();
    old.say(Event::Gone);
    let new = bed.launched().await;
    bed.make_ready(&new).await;
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wake_an_app_that_was_put_to_sleep_so_until_a_hand_does() {
    let mut bed = Bed::web();
    bed.make_awake().await;
    bed.announce(1, Occasion::ByHand { wake_on_request: false }).await.unwrap();
    bed.request();
    bed.set_zero(bed.view().version).await.unwrap();
    let asleep = bed.until_phase(Phase::Asleep).await;
    assert!(!asleep.wake_on_request);
    bed.request();
    bed.settle().await;
    bed.none_launched();
    assert_eq!(bed.wake_by_hand().await, Ok(()));
    let launch = bed.launched().await;
    bed.make_ready(&launch).await;
    assert!(bed.view().entry.wake_on_request);
    let not_asleep = bed.handle.ask(|reply| Message::WakeOnRequest { wakes: false, reply }).await;
    assert_eq!(not_asleep, Some(Err(Abort::NotAwake(Phase::Awake))));
}

#[tokio::test(start_paused = true)]
async fn how_long_to_keep_it_awake_holds_if_it_was_asked_after_the_sleep() {
    let mut bed = Bed::web();
    let keep = async |bed: &Bed| {
        let wake = |reply| Message::Wake {
            trigger: "hand".into(),
            caller: Caller::Hand,
            keep: Some(Duration::from_secs(600)),
            reply: Some(reply),
        };
        assert_eq!(bed.handle.ask(wake).await, Some(Ok(())));
    };
    bed.make_awake().await;
    keep(&bed).await;
    bed.announce(1, BY_HAND).await.unwrap();
    bed.set_zero(bed.view().version).await.unwrap();
    assert!(bed.view().pin.is_none(), "who puts it to sleep ends that");
    bed.until_phase(Phase::Asleep).await;

    bed.make_awake().await;
    bed.announce(2, BY_HAND).await.unwrap();
    keep(&bed).await;
    bed.set_zero(bed.view().version).await.unwrap();
    let launch = bed.launched().await;
    bed.make_ready(&launch).await;
    assert!(bed.view().pin.is_some(), "the wake follows the sleep, and that with it");
}

#[tokio::test(start_paused = true)]
async fn a_changed_command_waits_for_the_next_wake_and_a_changed_policy_does_not() {
    let mut bed = Bed::web();
    let old = bed.make_awake().await;
    let mut app = fake::app("web", 8082);
    app.policy = policy(r#"{"idle": {"ttl": "5s"}}"#);
    app.hosts = vec!["web.localhost".into()];
    bed.handle.tell(Message::Configure(Arc::new(app.clone())));
    bed.settle().await;
    let view = bed.view();
    assert_eq!(
        (view.entry.ports[0].listen.port(), &view.entry.policy, &view.pending),
        (8082, &app.policy, &None)
    );
    assert_eq!(view.entry.endpoints.len(), 1, "it goes on");

    app.ports[0].upstream_protocol = UpstreamProtocol::H2c;
    bed.handle.tell(Message::Configure(Arc::new(app.clone())));
    bed.settle().await;
    let view = bed.view();
    assert_eq!((view.entry.ports[0].upstream, &view.pending), (UpstreamProtocol::H2c, &None));

    app.command.argv.push("--new".into());
    app.ports.push(port(None, 8083, None));
    bed.handle.tell(Message::Configure(Arc::new(app.clone())));
    bed.settle().await;
    let view = bed.view();
    assert_eq!(view.pending.as_deref(), Some("the changed command and ports apply at the next wake"));
    assert_eq!(view.entry.ports.len(), 1, "the process that runs serves one port");
    assert!(old.was_told().is_empty());

    bed.announce(1, idle()).await.unwrap();
    bed.set_zero(bed.view().version).await.unwrap();
    let asleep = bed.until_phase(Phase::Asleep).await;
    assert_eq!((asleep.ports.len(), &bed.view().pending), (2, &None));
    let new = bed.make_awake().await;
    assert_eq!(new.argv, ["web", "--new"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_command_ends_the_pause_after_a_failure() {
    let mut bed = Bed::web();
    bed.request();
    bed.launched().await.die(Exit::Code(1));
    bed.until_phase(Phase::Asleep).await;
    let mut app = fake::app("web", 8081);
    app.command.argv.push("--mended".into());
    bed.handle.tell(Message::Configure(Arc::new(app)));
    bed.request();
    let launch = bed.launched().await;
    bed.make_ready(&launch).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_stops_what_runs_and_cancels_what_wakes() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Deaf);
    let launch = bed.make_awake().await;
    let start = now();
    bed.handle.tell(Message::End);
    assert_eq!(bed.wake_by_hand().await, Err(Refusal::Stopping));
    bed.handle.ended().await;
    assert_eq!((now() - start).as_secs(), 10, "its grace");
    assert_eq!(launch.was_told(), ["terminate", "kill"]);

    let mut bed = Bed::web();
    bed.request();
    bed.launched().await;
    bed.handle.tell(Message::End);
    bed.handle.ended().await;
    let (_, failure) = bed.until_failed(FailureKind::Cancelled).await;
    let wake = bed.view().wake.clone().unwrap();
    assert_eq!(wake.outcome, Some(Outcome::Failed((*failure).clone())));
}

#[tokio::test(start_paused = true)]
async fn an_end_does_not_wait_for_ever_for_a_process_that_hangs_in_the_kernel() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    bed.make_awake().await;
    let start = now();
    bed.handle.tell(Message::End);
    bed.handle.ended().await;
    assert_eq!((now() - start).as_secs(), 15);
    assert_eq!(bed.view().entry.phase, Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn a_wake_by_hand_outlives_a_sleep_by_hand_that_overtakes_it() {
    let mut bed = Bed::web();
    bed.make_awake().await;
    bed.announce(1, Occasion::ByHand { wake_on_request: false }).await.unwrap();
    bed.handle.tell(Message::Wake { trigger: "hand".into(), caller: Caller::Hand, keep: None, reply: None });
    bed.set_zero(bed.view().version).await.unwrap();
    let launch = bed.launched().await;
    bed.make_ready(&launch).await;
    assert!(bed.view().entry.wake_on_request);
}
