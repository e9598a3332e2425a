//! The protocol plays against a scripted world that writes down every call.

use std::{
    collections::VecDeque,
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering},
};

use super::*;

/// Plays all four traits.
#[derive(Default)]
struct Script {
    calls: Mutex<Vec<String>>,
    /// Answers to shuts, in order; the last one again and again.
    shuts: Mutex<VecDeque<Result<Vec<Activity>, FleetError>>>,
    commit: Option<CommitError>,
    refusal: Option<Abort>,
    /// [`Traffic::to_activators`] never returns.
    stuck: bool,
    open_lease: AtomicU64,
}

fn activity(started: u64, in_flight: u64, held: u64) -> Activity {
    Activity { started, in_flight, held, quiet: Duration::from_secs(60) }
}

impl Script {
    fn new(shuts: impl IntoIterator<Item = Result<Vec<Activity>, FleetError>>) -> Self {
        Self { shuts: Mutex::new(shuts.into_iter().collect()), ..Self::default() }
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn world(self: &Arc<Self>) -> World {
        World { fleet: self.clone(), workloads: self.clone(), traffic: self.clone(), announce: self.clone() }
    }

    async fn run(self: &Arc<Self>, occasion: Occasion) -> Result<Lease, Abort> {
        fall_asleep(&self.world(), &AppId::local("web"), 7, &occasion).await
    }
}

impl Fleet for Script {
    fn reports<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Vec<Report>> {
        let shuts = self.shuts.lock().unwrap();
        let at = std::time::Instant::now();
        let said = |activity: &Activity| Report::Said { at, activity: *activity };
        let reports = match shuts.front() {
            Some(Ok(counted)) => counted.iter().map(said).collect(),
            Some(Err(_)) | None => vec![Report::Silent],
        };
        Box::pin(std::future::ready(reports))
    }

    fn shut<'a>(
        &'a self,
        _: &'a AppId,
        epoch: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<Activity>, FleetError>> {
        assert_eq!(lease, LEASE);
        self.note(format!("shut {epoch}"));
        self.open_lease.store(epoch, Ordering::SeqCst);
        let mut shuts = self.shuts.lock().unwrap();
        let answer = if shuts.len() > 1 { shuts.pop_front() } else { shuts.front().cloned() };
        Box::pin(std::future::ready(answer.expect("the script has an answer")))
    }

    fn open<'a>(&'a self, _: &'a AppId, epoch: u64) -> BoxFuture<'a, ()> {
        self.note(format!("open {epoch}"));
        self.open_lease.store(0, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

impl Workloads for Script {
    fn version<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, Option<u64>> {
        self.note("version");
        Box::pin(std::future::ready(Some(42)))
    }

    fn set_zero<'a>(&'a self, _: &'a AppId, version: u64) -> BoxFuture<'a, Result<(), CommitError>> {
        self.note(format!("set_zero {version}"));
        Box::pin(std::future::ready(self.commit.map_or(Ok(()), Err)))
    }
}

impl Traffic for Script {
    fn to_activators<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, ()> {
        self.note("to_activators");
        if self.stuck { Box::pin(std::future::pending()) } else { Box::pin(std::future::ready(())) }
    }

    fn to_app<'a>(&'a self, _: &'a AppId) -> BoxFuture<'a, ()> {
        self.note("to_app");
        Box::pin(std::future::ready(()))
    }
}

impl Announce for Script {
    fn falling_asleep<'a>(
        &'a self,
        _: &'a AppId,
        epoch: u64,
        _: &'a Occasion,
    ) -> BoxFuture<'a, Result<(), Abort>> {
        self.note(format!("falling_asleep {epoch}"));
        Box::pin(std::future::ready(self.refusal.clone().map_or(Ok(()), Err)))
    }

    fn awake_again<'a>(&'a self, _: &'a AppId, epoch: u64) -> BoxFuture<'a, ()> {
        self.note(format!("awake_again {epoch}"));
        Box::pin(std::future::ready(()))
    }
}

fn idle(reports: &[Activity]) -> Occasion {
    Occasion::Idle { reports: reports.to_vec() }
}

const BY_HAND: Occasion = Occasion::ByHand { wake_on_request: true };
const BEGIN: [&str; 4] = ["version", "falling_asleep 7", "to_activators", "shut 7"];
const CALLED_OFF: [&str; 3] = ["awake_again 7", "open 7", "to_app"];

#[tokio::test]
async fn an_idle_app_is_stopped_in_this_order_and_the_gates_open_last() {
    let quiet = [activity(3, 0, 0), activity(8, 0, 0)];
    let script = Arc::new(Script::new([Ok(quiet.to_vec())]));
    let lease = script.run(idle(&quiet)).await.unwrap();
    assert_eq!(script.calls(), [&BEGIN[..], &["set_zero 42"]].concat());
    lease.end().await;
    assert_eq!(script.calls()[5..], ["open 7"]);
}

#[tokio::test]
async fn any_sign_of_a_call_since_the_report_calls_it_off() {
    let before = [activity(3, 0, 0), activity(8, 0, 0)];
    let signs = [
        vec![activity(3, 0, 0), activity(9, 0, 0)],
        vec![activity(3, 1, 1), activity(8, 0, 0)],
        vec![activity(3, 0, 0)],
        vec![activity(3, 0, 0), activity(8, 0, 0), activity(0, 0, 0)],
    ];
    for counted in signs {
        let script = Arc::new(Script::new([Ok(counted.clone())]));
        assert_eq!(script.run(idle(&before)).await.unwrap_err(), Abort::Called, "{counted:?}");
        assert_eq!(script.calls(), [&BEGIN[..], &CALLED_OFF].concat());
    }
}

#[tokio::test]
async fn an_activator_that_does_not_answer_calls_it_off() {
    let silent = FleetError { activator: "a".into(), reason: "time-out".into() };
    let script = Arc::new(Script::new([Err(silent.clone())]));
    assert_eq!(script.run(idle(&[])).await.unwrap_err(), Abort::Fleet(silent.clone()));
    assert_eq!(script.calls(), [&BEGIN[..], &CALLED_OFF].concat());
    assert_eq!(script.run(BY_HAND).await.unwrap_err().outcome(), Some(SleepOutcome::AbortedFleet));
    assert_eq!(script.open_lease.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_change_of_the_replicas_calls_it_off() {
    let script = Script { commit: Some(CommitError::Conflict), ..Script::new([Ok(vec![activity(0, 0, 0)])]) };
    let script = Arc::new(script);
    assert_eq!(script.run(idle(&[activity(0, 0, 0)])).await.unwrap_err(), Abort::Conflict);
    assert_eq!(script.calls(), [&BEGIN[..], &["set_zero 42"], &CALLED_OFF].concat());
}

#[tokio::test]
async fn a_refused_announcement_leaves_nothing_to_undo() {
    let script = Script { refusal: Some(Abort::NotAwake(Phase::Waking)), ..Script::default() };
    let script = Arc::new(script);
    assert_eq!(script.run(BY_HAND).await.unwrap_err(), Abort::NotAwake(Phase::Waking));
    tokio::task::yield_now().await;
    assert_eq!(script.calls(), ["version", "falling_asleep 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_in_the_middle_leaves_no_shut_gate() {
    let script = Arc::new(Script { stuck: true, ..Script::new([Ok(Vec::new())]) });
    let given_up = tokio::time::timeout(Duration::from_secs(1), script.run(BY_HAND)).await;
    assert!(given_up.is_err());
    while script.calls().len() < 6 {
        tokio::task::yield_now().await;
    }
    assert_eq!(script.calls(), [&BEGIN[..3], &CALLED_OFF].concat());

    let script = Arc::new(Script::new([Ok(Vec::new())]));
    drop(script.run(BY_HAND).await.unwrap());
    while script.calls().len() < 6 {
        tokio::task::yield_now().await;
    }
    assert_eq!(script.calls()[4..], ["set_zero 42", "open 7"], "what is committed stays committed");
}

#[tokio::test(start_paused = true)]
async fn by_hand_waits_for_work_but_not_for_those_held_and_renews_meanwhile() {
    let busy = |in_flight, held| Ok(vec![activity(9, in_flight, held)]);
    let script = Arc::new(Script::new([busy(2, 0), busy(3, 1), busy(3, 2), busy(2, 2)]));
    let start = Instant::now();
    let lease = script.run(BY_HAND).await.unwrap();
    let shuts = script.calls().iter().filter(|call| *call == "shut 7").count();
    assert_eq!(shuts, 4);
    assert!(start.elapsed() <= 3 * RENEW_EVERY, "{:?}", start.elapsed());
    lease.end().await;
    assert_eq!(script.open_lease.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn by_hand_gives_up_after_ten_seconds() {
    let script = Arc::new(Script::new([Ok(vec![activity(9, 2, 1), activity(1, 3, 0)])]));
    let start = Instant::now();
    let abort = script.run(BY_HAND).await.unwrap_err();
    assert_eq!(abort, Abort::InUse { in_service: 4, waited: WAIT_FOR_WORK });
    assert_eq!(
        abort.to_string(),
        "in flight for more than 10 s, requests or open streams and connections: 4"
    );
    assert_eq!(start.elapsed(), WAIT_FOR_WORK);
    let calls = script.calls();
    assert_eq!(calls.iter().filter(|call| *call == "shut 7").count(), 11, "renewed every second");
    assert_eq!(calls[calls.len() - 3..], CALLED_OFF);
}
