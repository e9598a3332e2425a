//! Two controllers and a Lease, under a paused clock: never two that lead, and soon another when one is gone.

use std::sync::Mutex;

use tokio::sync::oneshot;

use super::*;
use crate::cluster::traits::BoxFuture;

/// A Lease in memory, and what is wrong with the way to it.
#[derive(Default)]
struct Fake {
    record: Mutex<Option<LeaseRecord>>,
    /// Whoever is named here gets no answers.
    cut_off: Mutex<Option<&'static str>>,
}

/// One controller's way to it.
struct Way(Arc<Fake>, &'static str);

impl Way {
    async fn reach(&self) {
        if *self.0.cut_off.lock().unwrap() == Some(self.1) {
            std::future::pending::<()>().await;
        }
    }

    fn write(&self, before: Option<&LeaseRecord>, holder: Option<String>) -> Result<(), StoreError> {
        let mut record = self.0.record.lock().unwrap();
        if record.as_ref() != before {
            return Err(StoreError::Conflict);
        }
        let version = before.map_or(0, |before| before.version.parse::<u64>().unwrap()) + 1;
        *record = Some(LeaseRecord {
            holder,
            duration: DURATION,
            version: version.to_string(),
            ..Default::default()
        });
        Ok(())
    }
}

impl LeaseStore for Way {
    fn get(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, StoreError>> {
        Box::pin(async {
            self.reach().await;
            Ok(self.0.record.lock().unwrap().clone())
        })
    }

    fn hold<'a>(
        &'a self,
        before: Option<&'a LeaseRecord>,
        identity: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.reach().await;
            self.write(before, Some(identity.to_owned()))
        })
    }

    fn free<'a>(&'a self, before: &'a LeaseRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write(Some(before), None) })
    }
}

struct Running {
    leads: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

fn start(fake: &Arc<Fake>, name: &'static str) -> Running {
    let election = Election::new(Arc::new(Way(Arc::clone(fake), name)), name);
    let leads = election.leads();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(election.run(async {
        let _ = stopped.await;
    }));
    Running { leads, stop: Some(stop), task }
}

impl Running {
    async fn until(&mut self, leads: bool) -> Instant {
        self.leads.wait_for(|now| *now == leads).await.unwrap();
        Instant::now()
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_stands_by_for_as_long_as_it_renews() {
    let fake = Arc::default();
    let mut first = start(&fake, "first");
    first.until(true).await;
    let second = start(&fake, "second");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(*first.leads.borrow() && !*second.leads.borrow());
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_stops_leading_before_another_may_lead() {
    for _ in 0..20 {
        let fake: Arc<Fake> = Arc::default();
        let mut first = start(&fake, "first");
        first.until(true).await;
        let mut second = start(&fake, "second");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(3_000..9_000))).await;
        *fake.cut_off.lock().unwrap() = Some("first");
        let cut = Instant::now();
        let lost = first.until(false).await;
        assert!(!*second.leads.borrow());
        let taken = second.until(true).await;
        assert!(lost - cut <= DEADLINE, "{:?}", lost - cut);
        assert!(taken - lost >= DURATION - DEADLINE - Duration::from_millis(1), "{:?}", taken - lost);
        assert!(taken - cut <= DURATION + 2 * EVERY, "{:?}", taken - cut);
        *fake.cut_off.lock().unwrap() = None;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!*first.leads.borrow() && *second.leads.borrow(), "the Lease is not taken back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_just_found_is_waited_for_however_old_it_says_it_is() {
    let fake: Arc<Fake> = Arc::default();
    Way(Arc::clone(&fake), "dead").write(None, Some("dead".into())).unwrap();
    let begin = Instant::now();
    let mut second = start(&fake, "second");
    let taken = second.until(true).await;
    assert!((DURATION..DURATION + 2 * EVERY).contains(&(taken - begin)), "{:?}", taken - begin);
}

#[tokio::test(start_paused = true)]
async fn who_stops_gives_the_lease_back_and_another_leads_at_the_next_look() {
    let fake = Arc::default();
    let mut first = start(&fake, "first");
    first.until(true).await;
    let mut second = start(&fake, "second");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begin = Instant::now();
    first.stop.take().unwrap().send(()).unwrap();
    (&mut first.task).await.unwrap();
    assert!(!*first.leads.borrow());
    let taken = second.until(true).await;
    assert!(taken - begin <= EVERY + EVERY / 2, "{:?}", taken - begin);
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_lease_taken_away_leads_no_more() {
    let fake: Arc<Fake> = Arc::default();
    let mut first = start(&fake, "first");
    first.until(true).await;
    let before = fake.record.lock().unwrap().clone();
    Way(Arc::clone(&fake), "thief").write(before.as_ref(), Some("thief".into())).unwrap();
    let begin = Instant::now();
    let lost = first.until(false).await;
    assert!(lost - begin <= EVERY + EVERY / 2);
}
