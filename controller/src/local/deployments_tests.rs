//! The Scale API of local mode, and how long an app is kept awake by hand.

use std::time::Duration;

use reveille_core::scale::{ScaleState, ScaleToZero, ScaleUp};

use super::*;
use crate::local::tests::Bed;

fn up(replicas: u32) -> ScaleUp {
    ScaleUp { replicas, reason: "demo".into() }
}

fn zero() -> ScaleToZero {
    ScaleToZero { reason: "night".into(), scheduled_scale_up: None, wake_on_request: false }
}

#[tokio::test(start_paused = true)]
async fn an_app_is_a_deployment_of_one_replica_or_none() {
    let mut bed = Bed::new(vec![crate::local::supervisor::fake::app("web", 8081)]);
    let web = AppId::local("web");
    let states = async |bed: &Bed| {
        let status = Deployments::status(&*bed.local, &web).await.unwrap();
        let replicas = (status.current_replicas, status.desired_replicas, status.available_replicas);
        (replicas, status.status, status.last_scale_time.is_some())
    };
    assert_eq!(states(&bed).await, ((0, 0, 0), ScaleState::Inactive, false));
    let scaled = bed.local.scale_up(&web, up(1)).await.unwrap();
    assert_eq!((scaled.previous_replicas, scaled.target_replicas), (0, 1));
    bed.until("web Awake").await;
    assert_eq!(bed.local.get(&web).await.unwrap().wake.unwrap().trigger, "Scale API: demo");
    assert_eq!(states(&bed).await, ((1, 1, 1), ScaleState::Active, true));
    let again = bed.local.scale_up(&web, up(1)).await.unwrap();
    assert_eq!((again.previous_replicas, again.current_replicas), (1, 1));
    let refused = bed.local.scale_up(&web, up(3)).await.unwrap_err();
    assert!(
        matches!(&refused, DeploymentError::Invalid(why) if why.contains("cannot have 3 replicas")),
        "{refused}"
    );

    let slept = bed.local.scale_to_zero(&web, zero()).await.unwrap();
    assert_eq!((slept.previous_replicas, slept.current_replicas, slept.target_replicas), (1, 0, 0));
    bed.until("web Asleep").await;
    assert_eq!(states(&bed).await, ((0, 0, 0), ScaleState::Inactive, true));
    assert!(!bed.local.get(&web).await.unwrap().wake_on_request);
    let again = bed.local.scale_to_zero(&web, zero()).await.unwrap();
    assert_eq!(again.previous_replicas, 0, "one that sleeps may be put to sleep");

    let other = AppId::new("team", "web");
    assert!(matches!(bed.local.scale_up(&other, up(1)).await, Err(DeploymentError::NotFound(_))));
    assert!(matches!(Deployments::status(&*bed.local, &other).await, Err(DeploymentError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_answer_yet_is_no_replica_and_one_that_stops_is() {
    let bed = Bed::new(vec![crate::local::supervisor::fake::app("web", 8081)]);
    let app = bed.local.get(&AppId::local("web")).await.unwrap();
    for (phase, replicas, state) in [
        (Phase::Waking, (0, 1, 0), ScaleState::Scaling),
        (Phase::Awake, (1, 1, 1), ScaleState::Active),
        (Phase::FallingAsleep, (1, 0, 0), ScaleState::Inactive),
    ] {
        let shown = deployment(&AppStatus { phase, replicas: 1, ..app.clone() });
        let has = (shown.current_replicas, shown.desired_replicas, shown.available_replicas);
        assert_eq!((has, shown.status), (replicas, state), "{phase}");
    }
}

#[tokio::test(start_paused = true)]
async fn work_in_flight_is_a_conflict() {
    let mut bed = Bed::new(vec![crate::local::supervisor::fake::app("web", 8081)]);
    let web = AppId::local("web");
    bed.local.scale_up(&web, up(1)).await.unwrap();
    bed.until("web Awake").await;
    bed.activator.say(1, 1, 0);
    let refused = bed.local.scale_to_zero(&web, zero()).await.unwrap_err();
    assert!(matches!(&refused, DeploymentError::Conflict(why) if why.contains("in use")), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_kept_awake_sleeps_when_that_is_over() {
    let mut bed = Bed::new(vec![crate::local::supervisor::fake::app("web", 8081)]);
    let web = AppId::local("web");
    let start = tokio::time::Instant::now();
    let hours = |n: u64| Some(Duration::from_secs(n * 3600));
    Apps::wake(&*bed.local, &web, "hand".into(), hours(2)).await.unwrap();
    bed.until("web Awake").await;
    let status = bed.local.get(&web).await.unwrap();
    assert!(status.awake_until.is_some());
    assert_eq!(status.sleeps_in_ms.map(|ms| ms / 1000), Some(7200));
    Apps::wake(&*bed.local, &web, "hand".into(), None).await.unwrap();
    bed.until("web Asleep").await;
    assert_eq!(start.elapsed().as_secs(), 7200, "a wake that says nothing of it changes nothing");
    assert_eq!(bed.local.get(&web).await.unwrap().awake_until, None);

    Apps::wake(&*bed.local, &web, "hand".into(), hours(2)).await.unwrap();
    bed.until("web Awake").await;
    Apps::sleep(&*bed.local, &web, reveille_core::api::SleepRequest::default()).await.unwrap();
    bed.until("web Asleep").await;
    assert_eq!(bed.local.get(&web).await.unwrap().awake_until, None, "a sleep by hand ends it");
    bed.local.wake(&web, "request".into());
    bed.until("web Awake").await;
    let awake = tokio::time::Instant::now();
    bed.until("web Asleep").await;
    assert_eq!(awake.elapsed().as_secs(), 60, "the TTL alone counts");
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_everything() {
    let mut bed = Bed::new(vec![crate::local::supervisor::fake::app("web", 8081)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut reader, _) = bed.local.feed().reader(None).unwrap();
    bed.local.wake(&AppId::local("web"), "request".into());
    bed.until("web Awake").await;
    bed.activator.say(3, 2, 1);
    let mut kinds = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(2), reader.next()).await {
        let event = event.unwrap();
        kinds.push((event.kind.as_str(), event.data.clone()));
    }
    let names: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(names, ["phase", "wake", "wake", "phase", "counts"], "{kinds:#?}");
    assert!(kinds[4].1.contains(r#""held":1"#));
    bed.local.reload(Vec::new());
    while reader.next().await.unwrap().kind != crate::feed::Kind::Gone {}
}
