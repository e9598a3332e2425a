//! Wakes that are to come, against a played machine and a clock that tests choose.

use std::{cell::Cell, fs};

use futures_util::future::join_all;
use reveille_core::phase::Phase;
use reveille_core::scale::{ScaleToZero, ScaleUp};
use tokio::time::Instant;

use super::*;
use crate::{
    local::tests::Bed,
    traits::{DeploymentError, Deployments},
};

/// A folder that vanishes with the test.
pub(in crate::local) struct Folder(pub(in crate::local) PathBuf);

impl Folder {
    pub(in crate::local) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "reveille-{name}-{}-{}",
            std::process::id(),
            fastrand::u64(..)
        ));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

const BASE: i64 = 1_800_000_000;

/// The wall clock of a test: it goes with tokio's, from 2027 on.
pub(in crate::local) fn wall() -> Timestamp {
    let start = START.get().unwrap_or_else(Instant::now);
    START.set(Some(start));
    let elapsed = i64::try_from(start.elapsed().as_secs()).unwrap();
    Timestamp::from_second(BASE + elapsed).unwrap()
}

fn after(seconds: i64) -> Timestamp {
    wall() + jiff::SignedDuration::from_secs(seconds)
}

fn zero(scheduled_scale_up: Option<Timestamp>) -> ScaleToZero {
    ScaleToZero { reason: "night".into(), scheduled_scale_up, wake_on_request: true }
}

/// Waits until what is scheduled is written off.
async fn done(bed: &Bed) {
    while bed.local.schedules.get(&AppId::local("web")).is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bed(folder: &Folder) -> Bed {
    Bed::scheduled(Schedules::load(Some(folder.0.join("state.json")), wall, Arc::default()))
}

#[tokio::test(start_paused = true)]
async fn it_wakes_when_it_is_time_and_once() {
    let folder = Folder::new("schedule");
    let mut bed = bed(&folder);
    let web = AppId::local("web");
    let at = after(3600);
    let scaled = bed.local.scale_to_zero(&web, zero(Some(at))).await.unwrap();
    assert_eq!((scaled.scheduled_scale_up, scaled.current_replicas), (Some(at), 0));
    let told = bed.local.get(&web).await.unwrap().schedule.unwrap();
    assert_eq!((told.at, told.reason.as_str()), (at, "night"));
    assert_eq!(Deployments::status(&*bed.local, &web).await.unwrap().scheduled_scale_up, Some(at));

    bed.until("web Waking").await;
    let late = wall().duration_since(at).as_secs();
    assert!((0..=5).contains(&late), "{late} s late");
    bed.until("web Awake").await;
    done(&bed).await;
    let status = bed.local.get(&web).await.unwrap();
    assert_eq!(status.schedule, None);
    assert_eq!(status.wake.unwrap().trigger, "schedule: night");
    bed.until("web Asleep").await;
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(bed.local.get(&web).await.unwrap().phase, Phase::Asleep, "it is done once");
}

#[tokio::test(start_paused = true)]
async fn one_whose_time_passed_meanwhile_is_done_at_the_start() {
    let folder = Folder::new("passed");
    let web = AppId::local("web");
    let at = after(60);
    bed(&folder).local.scale_to_zero(&web, zero(Some(at))).await.unwrap();
    // As after a crash: nothing of that bed goes on, but the file is there.
    let file = folder.0.join("state.json");
    let kept = fs::read(&file).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    fs::write(&file, kept).unwrap();
    let mut bed = bed(&folder);
    let start = Instant::now();
    bed.until("web Waking").await;
    assert!(start.elapsed() < Duration::from_secs(5));
    bed.until("web Awake").await;
    done(&bed).await;
    assert!(!fs::read_to_string(&file).unwrap().contains("web"), "the file says that it is done");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_requests_do_not_wake_stays_so_over_a_restart() {
    let folder = Folder::new("by-hand");
    let web = AppId::local("web");
    let asleep = ScaleToZero { wake_on_request: false, ..zero(None) };
    bed(&folder).local.scale_to_zero(&web, asleep).await.unwrap();
    let mut again = bed(&folder);
    again.local.wake(&web, "request".into());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let app = again.local.get(&web).await.unwrap();
    assert_eq!((app.phase, app.wake_on_request), (Phase::Asleep, false));
    again.local.scale_up(&web, ScaleUp { replicas: 1, reason: "day".into() }).await.unwrap();
    again.until("web Awake").await;
    assert!(!fs::read_to_string(folder.0.join("state.json")).unwrap().contains("asleep_by_hand"));
    assert!(bed(&folder).local.get(&web).await.unwrap().wake_on_request, "a hand has lifted that");
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_at_once_the_one_that_is_taken_counts() {
    let folder = Folder::new("at-once");
    let mut bed = bed(&folder);
    let web = AppId::local("web");
    bed.local.wake(&web, "request".into());
    bed.until("web Awake").await;
    // In use for as long as the calls may wait: each is refused, and while one waits nothing comes due.
    bed.activator.say(1, 1, 0);
    let calls = (1..=6).map(|second| bed.local.scale_to_zero(&web, zero(Some(after(second)))));
    for refused in join_all(calls).await {
        assert!(matches!(refused, Err(DeploymentError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(bed.local.get(&web).await.unwrap().schedule, None);
    assert!(!fs::read_to_string(folder.0.join("state.json")).unwrap().contains("web"));

    bed.activator.say(1, 0, 0);
    let calls = (1..=6).map(|hour| bed.local.scale_to_zero(&web, zero(Some(after(hour * 3600)))));
    let taken: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(taken.len(), 1);
    let schedule = bed.local.get(&web).await.unwrap().schedule.unwrap();
    assert_eq!(Some(schedule.at), taken[0].scheduled_scale_up);
}

#[tokio::test(start_paused = true)]
async fn later_calls_replace_it_or_call_it_off() {
    let folder = Folder::new("replace");
    let mut bed = bed(&folder);
    let web = AppId::local("web");
    let scheduled = async |bed: &Bed| bed.local.get(&web).await.unwrap().schedule.map(|schedule| schedule.at);
    let (first, second) = (after(100_000), after(200_000));
    bed.local.scale_to_zero(&web, zero(Some(first))).await.unwrap();
    bed.local.scale_to_zero(&web, zero(Some(second))).await.unwrap();
    assert_eq!(scheduled(&bed).await, Some(second));
    bed.local.scale_to_zero(&web, zero(None)).await.unwrap();
    assert_eq!(scheduled(&bed).await, None);

    bed.local.scale_to_zero(&web, zero(Some(first))).await.unwrap();
    bed.local.wake(&web, "request".into());
    bed.until("web Awake").await;
    bed.activator.say(1, 1, 0);
    assert_eq!(scheduled(&bed).await, Some(first), "a request changes nothing");
    let refused = bed.local.scale_to_zero(&web, zero(Some(second))).await;
    assert!(matches!(refused, Err(DeploymentError::Conflict(_))), "{refused:?}");
    assert_eq!(scheduled(&bed).await, Some(first), "nor does a call that is refused");
    bed.local.scale_up(&web, ScaleUp { replicas: 1, reason: "day".into() }).await.unwrap();
    assert_eq!(scheduled(&bed).await, None);
    assert!(!fs::read_to_string(folder.0.join("state.json")).unwrap().contains("web"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_promised() {
    let folder = Folder::new("nowhere");
    let web = AppId::local("web");
    fs::write(folder.0.join("file"), "").unwrap();
    for (file, says) in
        [(None, "--state FILE"), (Some(folder.0.join("file/state.json")), "cannot be written")]
    {
        let bed = Bed::scheduled(Schedules::load(file, wall, Arc::default()));
        let failed = bed.local.scale_to_zero(&web, zero(Some(after(60)))).await.unwrap_err();
        assert!(matches!(&failed, DeploymentError::Failed(why) if why.contains(says)), "{failed:?}");
        assert_eq!(bed.local.get(&web).await.unwrap().schedule, None);
        bed.local.scale_to_zero(&web, zero(None)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_gone_is_not_waited_for() {
    let folder = Folder::new("gone");
    let bed = bed(&folder);
    bed.local.scale_to_zero(&AppId::local("web"), zero(Some(after(60)))).await.unwrap();
    bed.local.reload(Vec::new());
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(bed.local.schedules.get(&AppId::local("web")), None);
}
