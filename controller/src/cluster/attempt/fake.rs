//! A world to put an app to sleep in: an API server with a clock, activators with leases, and what went on.

mod parts;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use reveille_core::{
    app::AppId,
    control::{ActivityReport, AttemptOutcome},
    policy::{Mode, Policy, PolicySpec, PortRef, Ttl},
    resource::{Scrape, ScrapeFormat, TargetSpec, TrafficMode},
};
use tokio::{sync::watch, time::Instant};

use crate::cluster::{
    scrape::Sample,
    traits::{AnnounceError, Announcement, Evidence, ScaleError},
};

pub(crate) const EPOCH: u64 = 4;
pub(crate) const TTL: Duration = Duration::from_secs(60);
pub(crate) const SLEEP_DELAY: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(5);

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is applied if the version is the present one, and answered.
    Answered,
    /// It is refused.
    Refused,
    /// It lands after so long, or never; its sender hears nothing for 10 s.
    Unanswered(Option<Duration>),
}

/// How an activator answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    After(Duration),
    Never,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeActivator {
    pub(crate) address: Option<IpAddr>,
    pub(crate) report: ActivityReport,
    pub(crate) manner: Manner,
    /// Until when its gate is shut at least.
    pub(crate) lease_ends: Option<Instant>,
    pub(crate) told: Option<AttemptOutcome>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) replicas: u32,
    pub(crate) version: u64,
    pub(crate) serves: bool,
    pub(crate) fate: Fate,
    /// A commit on its way: when it lands, and the version that it names.
    on_its_way: Option<(Instant, u64)>,
    pub(crate) announces: Vec<Announcement>,
    /// What the next announcements are answered with.
    pub(crate) announce_errors: Vec<Option<AnnounceError>>,
    /// Somebody writes the workload right after the app is called falling asleep.
    pub(crate) is_contested: bool,
    /// Until when fences and reads fail.
    pub(crate) api_fails_until: Option<Instant>,
    pub(crate) is_gone: bool,
    pub(crate) list_takes: Duration,
    pub(crate) activators: BTreeMap<String, FakeActivator>,
    /// An activator that starts so long after the commit was sent.
    pub(crate) joins: Option<Duration>,
    sent: Option<Instant>,
    pub(crate) mode: TrafficMode,
    pub(crate) sample: Result<Sample, String>,
    pub(crate) log: Vec<String>,
    /// Gates that were open as a commit landed.
    pub(crate) open_at_landing: Vec<String>,
}

/// See the [module](self).
pub(crate) struct World {
    state: Mutex<State>,
    id: AppId,
    target: TargetSpec,
    policy: Policy,
    /// Set once, as the app lends it out.
    scrape: OnceLock<Scrape>,
    pub(crate) unwanted: watch::Sender<bool>,
}

pub(crate) fn report(boot: &str, started: u64) -> ActivityReport {
    ActivityReport { boot: boot.into(), started, in_flight: 0, held: 0, quiet_ms: 90_000 }
}

pub(crate) fn activator(n: u8) -> FakeActivator {
    FakeActivator {
        address: Some(Ipv4Addr::new(10, 0, 0, n).into()),
        report: report(&format!("boot-{n}"), 7),
        manner: Manner::After(Duration::from_millis(1)),
        lease_ends: None,
        told: None,
    }
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let mut policy = PolicySpec::default().resolve(Mode::Local).unwrap();
        policy.idle.ttl = Ttl::After(TTL);
        let state = State {
            replicas: 2,
            version: 10,
            serves: true,
            fate: Fate::Answered,
            on_its_way: None,
            announces: Vec::new(),
            announce_errors: Vec::new(),
            is_contested: false,
            api_fails_until: None,
            is_gone: false,
            list_takes: Duration::from_millis(1),
            activators: [("a".to_owned(), activator(1)), ("b".to_owned(), activator(2))].into(),
            joins: None,
            sent: None,
            mode: TrafficMode::Proxy,
            sample: Ok(Sample::default()),
            log: Vec::new(),
            open_at_landing: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            id: AppId::new("team", "web"),
            target: TargetSpec {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "web".into(),
            },
            policy,
            scrape: OnceLock::new(),
            unwanted: watch::Sender::new(false),
        })
    }

    /// The world, brought up to the present.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        state.catch_up();
        state
    }

    /// What the app was found idle by.
    pub(crate) fn evidence(&self) -> Evidence {
        let state = self.state();
        let reports = state.activators.iter().map(|(name, one)| (name.clone(), one.report.clone())).collect();
        let counters = match (self.scrape.get(), &state.sample) {
            (Some(_), Ok(sample)) => vec![("pod".to_owned(), sample.counters.clone())],
            _ => Vec::new(),
        };
        Evidence { reports, counters }
    }

    pub(crate) fn bypass(&self, sample: Sample) {
        let scrape = Scrape {
            port: PortRef::Number(8002),
            path: "/metrics".into(),
            format: ScrapeFormat::Prometheus { metrics: ["calls_total".to_owned()].into() },
        };
        self.scrape.set(scrape).unwrap();
        let mut state = self.state();
        (state.mode, state.sample) = (TrafficMode::Bypass, Ok(sample));
    }

    /// What went on, without when; repetitions are left out.
    pub(crate) fn log(&self) -> Vec<String> {
        let mut log = self.state().log.clone();
        log.dedup();
        log
    }
}

impl State {
    fn catch_up(&mut self) {
        let now = Instant::now();
        if let (Some(after), Some(sent)) = (self.joins, self.sent)
            && now >= sent + after
        {
            self.joins = None;
            // It reads that the app is falling asleep before it is ready.
            let joiner = FakeActivator { lease_ends: Some(sent + after + LEASE), ..activator(9) };
            self.activators.insert("joiner".into(), joiner);
        }
        if let Some((at, version)) = self.on_its_way
            && now >= at
        {
            self.on_its_way = None;
            self.land(version, at);
        }
    }

    fn land(&mut self, version: u64, at: Instant) -> bool {
        if version != self.version || self.is_gone {
            return false;
        }
        let is_open =
            |one: &FakeActivator| one.told.is_some() || one.lease_ends.is_none_or(|ends| ends <= at);
        let open = self.activators.iter().filter(|(_, one)| is_open(one)).map(|(name, _)| name.clone());
        self.open_at_landing = open.collect();
        (self.replicas, self.version) = (0, self.version + 1);
        true
    }

    fn api(&mut self, what: &str) -> Result<(), ScaleError> {
        self.log.push(what.to_owned());
        if self.api_fails_until.is_some_and(|until| Instant::now() < until) {
            return Err(ScaleError::Unreachable("down".into()));
        }
        if self.is_gone { Err(ScaleError::NotFound("it is gone".into())) } else { Ok(()) }
    }
}
