//! Whether an app of a cluster is idle: every activator is asked, and where traffic passes them by, every pod.
//!
//! Activators know how long ago their last work ended. Pods only count, so when their counters moved is remembered here, by
//! comparing each scrape with the one before. What is not known is a veto: an activator that is silent, a scrape that
//! fails, a metric that is missing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reveille_core::{
    app::AppId,
    control::ActivityReport,
    decide::{Decision, Observed, REPORT_FRESH_FOR, Report, Stay, decide},
    phase::Phase,
    policy::Ttl,
    resource::{Reason, Scrape, TrafficMode},
};

use super::{
    fleet::Fleet,
    scrape::{self, Scraper},
    traits::{BoxFuture, Evidence, Idle, Idleness, Sleeper},
};
use crate::clock::now;

/// A pod's counters are looked at this often at least, so that what comes and goes between two looks is little.
const SCRAPE_EVERY: Duration = Duration::from_secs(15);
/// And this often at most.
const MIN_SCRAPE: Duration = Duration::from_secs(1);

/// See the [module](self).
pub struct ClusterIdleness {
    fleet: Arc<dyn Fleet>,
    scraper: Arc<dyn Scraper>,
    /// What each app's pods counted last. A plain lock, never held while anything is waited for.
    remembered: Mutex<HashMap<AppId, Remembered>>,
}

/// What one app's pods counted last.
struct Remembered {
    /// Each pod's counters, by its name.
    counters: BTreeMap<String, Vec<(String, String)>>,
    /// When they were last seen to have moved.
    moved: Instant,
}

/// What the pods say.
enum Pods {
    /// Nothing moved since then; these are the counters.
    Quiet { since: Instant, counters: Vec<(String, Vec<(String, String)>)> },
    /// Work is in flight.
    Busy(String),
    /// It is not known.
    Unknown(String),
}

impl ClusterIdleness {
    /// Asks these activators, and pods by this.
    pub fn new(fleet: Arc<dyn Fleet>, scraper: Arc<dyn Scraper>) -> Self {
        Self { fleet, scraper, remembered: Mutex::default() }
    }

    async fn decide(&self, app: &dyn Sleeper, awake_for: Duration) -> Idle {
        let policy = app.policy();
        // What needs no report is said without asking for any; pods are looked at all the time that the app is awake.
        let begin = now();
        let mut observed = Observed {
            phase: Phase::Awake,
            since: earlier(begin, awake_for),
            // Nobody can ask for it in a cluster.
            pinned_until: None,
            reports: Vec::new(),
        };
        if let Decision::Stay { why: why @ (Stay::NeverSleeps | Stay::MinAwake), recheck_after } =
            decide(begin, &observed, policy)
            && (why == Stay::NeverSleeps || app.scrape().is_none())
        {
            return Idle::No { why, detail: None, recheck_after };
        }
        if app.mode() == TrafficMode::Bypass && app.scrape().is_none() {
            let detail = "its traffic goes straight to its pods, and no idle.scrape says what they count";
            let (reason, detail) = (Reason::NoIdleSignal, detail.to_owned());
            return Idle::Unknown { reason, detail, recheck_after: None };
        }
        // Always scraped, whatever the activators say: a counter that is not looked at has moved unseen.
        let (pods, reports) = tokio::join!(self.pods(app), self.reports(app.id()));
        let reports = match reports {
            Ok(reports) => reports,
            Err(why) => return unknown(app, Reason::ActivatorSilent, why),
        };
        let at = now();
        observed.since = earlier(at, awake_for);
        observed.reports = reports.iter().map(|(_, report)| said(at, report.as_ref().ok())).collect();
        match decide(at, &observed, policy) {
            Decision::Stay { why: Stay::Unknown, .. } => {
                return unknown(app, Reason::ActivatorSilent, in_words(&reports));
            }
            Decision::Stay { why, recheck_after } => return no(app, why, None, recheck_after),
            Decision::Sleep => {}
        }
        let counters = match (pods, policy.idle.ttl) {
            (None, _) => Vec::new(),
            (Some(Pods::Unknown(why)), _) => return unknown(app, Reason::ScrapeFailed, why),
            (Some(Pods::Busy(what)), _) => return no(app, Stay::InFlight, Some(what), None),
            (Some(Pods::Quiet { since, .. }), Ttl::After(ttl))
                if at.saturating_duration_since(since) < ttl =>
            {
                let left = ttl.saturating_sub(at.saturating_duration_since(since));
                return no(app, Stay::Recent, Some("what its pods count has moved".to_owned()), Some(left));
            }
            (Some(Pods::Quiet { counters, .. }), _) => counters,
        };
        let reports = reports.into_iter().filter_map(|(name, report)| Some((name, report.ok()?))).collect();
        Idle::Yes(Evidence { reports, counters })
    }

    /// What every activator that exists counted of the app, by the name of its pod.
    async fn reports(&self, app: &AppId) -> Result<Vec<(String, Result<ActivityReport, String>)>, String> {
        let members = self.fleet.list().await?;
        let asked = members.into_iter().map(|member| async move {
            let report = self.fleet.report(&member, app).await;
            (member.name, report.map_err(|error| error.to_string()))
        });
        Ok(join_all(asked).await)
    }

    /// What the pods say; none if nobody asks them.
    async fn pods(&self, app: &dyn Sleeper) -> Option<Pods> {
        let what = app.scrape()?;
        Some(match scrape::all(&*self.scraper, app, what).await {
            Ok(samples) => self.compare(app.id(), what, samples),
            Err(why) => Pods::Unknown(why),
        })
    }

    fn compare(&self, app: &AppId, what: &Scrape, samples: scrape::Samples) -> Pods {
        let now = now();
        let mut all = self.lock();
        let known =
            all.entry(app.clone()).or_insert_with(|| Remembered { counters: BTreeMap::new(), moved: now });
        // A pod that has come or gone may have served meanwhile, and so may one whose counters began anew.
        let mut has_moved = known.counters.len() != samples.len();
        let (mut busy, mut unknown) = (None, None);
        let mut counters = BTreeMap::new();
        for (pod, sample) in samples {
            let before = known.counters.get(&pod);
            match sample {
                Ok(sample) => {
                    let is_still =
                        |before: &Vec<_>| scrape::stand_still(&what.format, before, &sample.counters);
                    has_moved |= !before.is_some_and(is_still);
                    busy = busy.or_else(|| sample.busy.map(|what| format!("pod {pod}: {what}")));
                    counters.insert(pod, sample.counters);
                }
                Err(why) => {
                    if let Some(before) = before {
                        counters.insert(pod, before.clone());
                    }
                    unknown = unknown.or(Some(why));
                }
            }
        }
        known.counters = counters;
        if has_moved || busy.is_some() {
            known.moved = now;
        }
        match (unknown, busy) {
            (Some(why), _) => Pods::Unknown(why),
            (None, Some(what)) => Pods::Busy(what),
            (None, None) => {
                let counters = known.counters.clone().into_iter().collect();
                Pods::Quiet { since: known.moved, counters }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idleness for ClusterIdleness {
    fn look<'a>(&'a self, app: &'a dyn Sleeper, awake_for: Duration) -> BoxFuture<'a, Idle> {
        Box::pin(self.decide(app, awake_for))
    }

    fn forget(&self, app: &AppId) {
        self.lock().remove(app);
    }
}

fn said(at: Instant, report: Option<&ActivityReport>) -> Report {
    report.map_or(Report::Silent, |report| Report::Said { at, activity: report.activity() })
}

/// Which activators do not say what they see.
fn in_words(reports: &[(String, Result<ActivityReport, String>)]) -> String {
    if reports.is_empty() {
        return "there is no activator".to_owned();
    }
    let silent: Vec<&str> =
        reports.iter().filter_map(|(_, report)| report.as_ref().err().map(String::as_str)).collect();
    silent.join("; ")
}

fn no(app: &dyn Sleeper, why: Stay, detail: Option<String>, recheck_after: Option<Duration>) -> Idle {
    Idle::No { why, detail, recheck_after: recheck(app, recheck_after) }
}

fn unknown(app: &dyn Sleeper, reason: Reason, detail: String) -> Idle {
    Idle::Unknown { reason, detail, recheck_after: recheck(app, Some(REPORT_FRESH_FOR)) }
}

/// An app whose pods are scraped is looked at often enough for that.
fn recheck(app: &dyn Sleeper, recheck_after: Option<Duration>) -> Option<Duration> {
    match (app.scrape(), app.policy().idle.ttl) {
        (Some(_), Ttl::After(ttl)) => {
            let after = recheck_after.unwrap_or(SCRAPE_EVERY);
            Some(after.min(ttl).clamp(MIN_SCRAPE, SCRAPE_EVERY))
        }
        _ => recheck_after,
    }
}

fn earlier(now: Instant, by: Duration) -> Instant {
    // A clock that began less long ago says less than it could, which only lets the app sleep later.
    now.checked_sub(by).unwrap_or(now)
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod tests;
