//! Wakes: what makes them ready, what makes them fail, and what follows.

use std::time::Duration;

use reveille_core::{
    directory::WakeState,
    phase::Phase,
    wake::{FailureKind, Outcome, Step},
};
use tokio::time::advance;

use super::{
    super::fake::{self, Manner, port},
    Bed,
};
use crate::{
    clock::now,
    local::process::{Event, Exit},
    traits::Refusal,
    wakes::millis,
};

#[tokio::test(start_paused = true)]
async fn a_request_wakes_the_app_step_by_step() {
    let mut bed = Bed::web();
    bed.request();
    bed.request();
    let launch = bed.launched().await;
    let starting =
        bed.until("starting", |e| matches!(e.wake, WakeState::InProgress { step: Step::Starting, .. })).await;
    assert_eq!((starting.phase, starting.endpoints.len()), (Phase::Waking, 0));
    advance(Duration::from_millis(300)).await;
    launch.say(Event::Started { pid: 7 });
    let probing =
        bed.until("probing", |e| matches!(e.wake, WakeState::InProgress { step: Step::Probing, .. })).await;
    let generation = probing.endpoints[0].generation;
    bed.handle.tell(super::Message::Usable { generation: generation + 1 });
    bed.settle().await;
    assert_eq!(bed.view().entry.phase, Phase::Waking, "that is some other replica");
    advance(Duration::from_millis(700)).await;
    bed.handle.tell(super::Message::Usable { generation });
    let awake = bed.until_phase(Phase::Awake).await;
    assert_eq!(awake.wake, WakeState::None);
    bed.none_launched();
    let wake = bed.view().wake.clone().unwrap().status(now(), bed.view().usual);
    assert_eq!((wake.id.as_str(), wake.outcome), ("web-000001", Some(Outcome::Ready)));
    let steps: Vec<_> = wake.steps.iter().map(|at| (at.step, at.after_ms)).collect();
    let expected = [(Step::Requested, 0), (Step::Starting, 0), (Step::Probing, 300), (Step::Ready, 1000)];
    assert_eq!(steps, expected);
    assert_eq!(bed.view().usual, Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn ports_are_chosen_and_handed_over() {
    let mut app = fake::app("triton", 8000);
    app.ports = vec![
        port(Some("http"), 8000, None),
        port(None, 8001, Some("127.0.0.1:9001")),
        port(Some("my-metrics"), 20_000, None),
    ];
    let mut bed = Bed::new(app.clone());
    bed.shared.ports.configure([&app].into_iter());
    bed.request();
    let launch = bed.launched().await;
    let env: Vec<_> = launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // 20000 is a listener's.
    assert_eq!(env, ["PORT=20001", "PORT_HTTP=20001", "PORT_1=9001", "PORT_MY_METRICS=20002"]);
    launch.say(Event::Started { pid: 1 });
    let probing = bed.until("an endpoint", |entry| !entry.endpoints.is_empty()).await;
    let addresses: Vec<_> = probing.endpoints[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:20001", "127.0.0.1:9001", "127.0.0.1:20002"]);
}

#[tokio::test(start_paused = true)]
async fn an_exit_before_ready_fails_the_wake_with_its_reason() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    bed.request();
    let launch = bed.launched().await;
    launch.say(Event::Started { pid: 1 });
    launch.say(Event::Exited(Exit::Code(1)));
    let (entry, failure) = bed.until_failed(FailureKind::ExitedEarly).await;
    assert_eq!(failure.reason, "it exited with code 1 before it could answer");
    assert_eq!(failure.output, ["its last words"]);
    assert_eq!(
        (entry.phase, entry.endpoints.len()),
        (Phase::FallingAsleep, 0),
        "its remains may still be there"
    );
    launch.say(Event::Gone);
    let asleep = bed.until_phase(Phase::Asleep).await;
    assert!(matches!(asleep.wake, WakeState::Failed { .. }));
    assert_eq!(bed.view().status(now(), Vec::new()).retry_in_ms, Some(1000));

    bed.request();
    bed.settle().await;
    bed.none_launched();
    let refused = bed.wake_by_hand().await.unwrap_err();
    assert!(matches!(&refused, Refusal::Blocked { retry_in_s: 1, .. }), "{refused:?}");
    advance(Duration::from_secs(1)).await;
    bed.request();
    let launch = bed.launched().await;
    bed.make_ready(&launch).await;
}

#[tokio::test(start_paused = true)]
async fn a_chosen_port_that_was_taken_since_is_no_fault_of_the_program() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    bed.request();
    let first = bed.launched().await;
    assert_eq!(first.env[0], ("PORT".to_owned(), "20000".to_owned()));
    first.say(Event::Started { pid: 1 });
    bed.runner.occupy("127.0.0.1:20000", "somebody else listens there");
    first.die(Exit::Code(1));
    let second = bed.launched().await;
    assert_eq!(second.env[0].1, "20001", "it is given another port");
    second.die(Exit::Code(1));
    bed.until_failed(FailureKind::ExitedEarly).await;
    bed.none_launched();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_before_ready_gets_one_more_try_in_the_same_wake() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Played);
    bed.request();
    let first = bed.launched().await;
    first.say(Event::Started { pid: 1 });
    let probing = bed.until("an endpoint", |entry| !entry.endpoints.is_empty()).await;
    first.say(Event::Exited(Exit::Signal(9)));
    bed.until("no endpoint", |entry| entry.endpoints.is_empty() && entry.phase == Phase::Waking).await;
    bed.none_launched();
    first.say(Event::Gone);
    let second = bed.launched().await;
    second.say(Event::Started { pid: 2 });
    let again = bed.until("an endpoint", |entry| !entry.endpoints.is_empty()).await;
    assert!(again.endpoints[0].generation > probing.endpoints[0].generation);
    assert_eq!(bed.view().wake.as_ref().unwrap().id.as_str(), "web-000001");
    second.die(Exit::Signal(9));
    let (_, failure) = bed.until_failed(FailureKind::ExitedEarly).await;
    assert_eq!(failure.reason, "it was killed by SIGKILL before it could answer");
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_takes_too_long_fails_and_the_process_is_killed_after_its_grace() {
    let mut bed = Bed::web();
    bed.runner.set_manner(Manner::Deaf);
    let start = now();
    bed.request();
    let launch = bed.launched().await;
    launch.say(Event::Started { pid: 1 });
    let (entry, failure) = bed.until_failed(FailureKind::Deadline).await;
    assert_eq!(failure.reason, "it was not ready within 1m (wake.deadline)");
    assert_eq!((millis(now() - start), entry.phase), (60_000, Phase::FallingAsleep));
    bed.until_phase(Phase::Asleep).await;
    assert_eq!(millis(now() - start), 70_000);
    assert_eq!(launch.was_told(), ["terminate", "kill"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_fails_at_once() {
    let mut app = fake::app("web", 8081);
    app.ports[0].upstream = Some("127.0.0.1:9081".parse().unwrap());
    let mut bed = Bed::new(app);
    bed.request();
    let launch = bed.launched().await;
    launch.say(Event::CannotStart { reason: "no such file".into() });
    launch.say(Event::Gone);
    let (_, failure) = bed.until_failed(FailureKind::CannotStart).await;
    assert_eq!(failure.reason, "no such file");
    bed.until_phase(Phase::Asleep).await;

    bed.runner.occupy("127.0.0.1:9081", "port 9081 is taken by nginx (pid 5)");
    advance(Duration::from_secs(1)).await;
    bed.request();
    let (entry, failure) = bed.until_failed(FailureKind::PortTaken).await;
    assert_eq!((entry.phase, &*failure.reason), (Phase::Asleep, "port 9081 is taken by nginx (pid 5)"));
    assert_eq!(bed.view().status(now(), Vec::new()).retry_in_ms, Some(2000), "the pause doubles");
}

#[tokio::test(start_paused = true)]
async fn a_guardian_that_cannot_be_started_fails_the_wake() {
    let mut bed = Bed::web();
    bed.runner.refuse_to_spawn("too many open files");
    bed.request();
    let (entry, failure) = bed.until_failed(FailureKind::CannotStart).await;
    assert_eq!(entry.phase, Phase::Asleep);
    assert_eq!(failure.reason, "its guardian process could not be started: too many open files");
}

#[tokio::test(start_paused = true)]
async fn a_first_quick_death_may_be_woken_at_once_a_second_only_after_a_pause() {
    let mut bed = Bed::web();
    let first = bed.make_awake().await;
    first.die(Exit::Signal(9));
    let down = bed.until("no endpoint", |entry| entry.endpoints.is_empty()).await;
    assert_eq!(down.wake, WakeState::None);
    bed.request();
    let second = bed.launched().await;
    bed.make_ready(&second).await;
    advance(Duration::from_secs(9)).await;
    second.die(Exit::Code(3));
    let (_, failure) = bed.until_failed(FailureKind::Crashed).await;
    assert_eq!(failure.reason, "it exited with code 3 9 s after it was awake, and not for the first time");
    bed.until_phase(Phase::Asleep).await;
    bed.request();
    bed.settle().await;
    bed.none_launched();
    advance(Duration::from_secs(1)).await;

    // Awake for long enough: all is forgiven.
    let third = bed.make_awake().await;
    advance(Duration::from_secs(10)).await;
    third.die(Exit::Signal(9));
    bed.until_phase(Phase::Asleep).await;
    let fourth = bed.make_awake().await;
    fourth.die(Exit::Signal(9));
    let asleep = bed.until_phase(Phase::Asleep).await;
    assert_eq!(asleep.wake, WakeState::None, "the first quick death since then");
}
