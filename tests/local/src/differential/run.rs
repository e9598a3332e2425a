//! Many cases, in bounded time, and what is told about those that differ.

mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Route, Speaks,
    allowed::Allowed,
    compare::{Verdict, compare},
    control::Control,
    generate, h1, h2,
    message::{Message, Outcome},
    script::Case,
    shrink::shrink,
};
use crate::report::figure;

/// For how long cases are begun, for how long a difference is shrunk, and for how long all of them are: below
/// 20 s even if the last one of each hangs (`h1::PATIENCE`).
const RUN_FOR: Duration = Duration::from_secs(9);
const SHRINK_ONE_FOR: Duration = Duration::from_secs(2);
const SHRINK_FOR: Duration = Duration::from_secs(4);
/// As many cases must have been run to have proved anything.
const ENOUGH: u64 = 100;
/// With so many differing cases nothing is learnt from more.
const MANY: usize = 60;
/// Most of a case is waiting for the other side.
const THREADS: usize = 4;

/// The two ways, and the mirror at their end.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// The mirror's own port.
    pub direct: u16,
    /// What is compared with it.
    pub through: u16,
    /// Where the mirror is controlled.
    pub control: u16,
    /// Who speaks what.
    pub route: Route,
    /// What may differ.
    pub allowed: &'static [Allowed],
}

/// Which cases are run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What they are generated from.
    pub seed: u64,
    /// The first one's number.
    pub first: u64,
    /// How many.
    pub cases: u64,
}

impl Plan {
    /// So many cases of a new seed, unless the environment says otherwise: `REVEILLE_DIFF_SEED`,
    /// `REVEILLE_DIFF_CASES` (how many), `REVEILLE_DIFF_CASE` (only this one).
    ///
    /// # Panics
    /// If the environment does not hold numbers.
    pub fn from_env(cases: u64) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
        };
        let seed = number("REVEILLE_DIFF_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
        match number("REVEILLE_DIFF_CASE") {
            Some(first) => Self { seed, first, cases: 1 },
            None => Self { seed, first: 0, cases: number("REVEILLE_DIFF_CASES").unwrap_or(cases) },
        }
    }
}

/// A client of either version.
#[derive(Debug)]
enum Client {
    H1(h1::Client),
    H2(h2::Client),
}

impl Client {
    fn new(speaks: Speaks, port: u16) -> Self {
        match speaks {
            Speaks::H1 => Self::H1(h1::Client::new(port)),
            Speaks::H2 => Self::H2(h2::Client::new(port)),
        }
    }

    fn exchange(&mut self, name: &str, case: &Case) -> Result<Message, String> {
        match self {
            Self::H1(client) => client.exchange(name, case),
            Self::H2(client) => client.exchange(name, case),
        }
    }
}

/// Both clients of one thread, and its line to the mirror.
#[derive(Debug)]
pub struct Pair {
    ways: Ways,
    control: Control,
    direct: Client,
    through: Client,
}

impl Pair {
    /// With no connection open yet.
    pub fn new(ways: Ways) -> Self {
        let speaks = ways.route.client;
        Self {
            ways,
            control: Control::open(ways.control),
            direct: Client::new(speaks, ways.direct),
            through: Client::new(speaks, ways.through),
        }
    }

    /// Runs a case both ways.
    pub fn run(&mut self, case: &Case) -> (Outcome, Outcome, Verdict) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let mut way = |client: &mut Client| {
            self.control.put(&name, &case.response);
            let answer = client.exchange(&name, case);
            Outcome { seen: self.control.take(&name), answer }
        };
        let (direct, through) = (way(&mut self.direct), way(&mut self.through));
        let verdict = compare(case, self.ways.route, self.ways.allowed, &direct, &through);
        (direct, through, verdict)
    }
}

/// A case that differed.
#[derive(Debug)]
struct Differing {
    number: u64,
    case: Case,
    direct: Outcome,
    through: Outcome,
    verdict: Verdict,
}

/// Runs the cases of a plan.
///
/// # Panics
/// If one differs, with all that is needed to understand and repeat it; or if too few could be run.
pub fn run(test: &str, plan: Plan, ways: Ways) {
    let started = Instant::now();
    let (next, stop) = (AtomicU64::new(0), AtomicUsize::new(0));
    let differing = Mutex::new(Vec::new());
    let used = Mutex::new(BTreeSet::new());
    let ran: u64 = thread::scope(|scope| {
        let work = || {
            let mut pair = Pair::new(ways);
            let mut ran = 0;
            while started.elapsed() < RUN_FOR && stop.load(Ordering::Relaxed) < MANY {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= plan.cases {
                    break;
                }
                let number = plan.first + number;
                let case = generate::case(plan.seed, number, ways.route);
                let (direct, through, verdict) = pair.run(&case);
                ran += 1;
                used.lock().unwrap_or_else(PoisonError::into_inner).extend(verdict.used.iter().copied());
                if !verdict.differences.is_empty() {
                    stop.fetch_add(1, Ordering::Relaxed);
                    let found = Differing { number, case, direct, through, verdict };
                    differing.lock().unwrap_or_else(PoisonError::into_inner).push(found);
                    // What is left of a broken exchange must not spoil the next.
                    pair = Pair::new(ways);
                }
            }
            ran
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a panic of the harness shows above")).sum()
    });
    let (mut differing, used) = (
        differing.into_inner().unwrap_or_else(PoisonError::into_inner),
        used.into_inner().unwrap_or_else(PoisonError::into_inner),
    );
    figure(
        test,
        &format!(
            "seed {}, {ran} of {} cases in {:.1} s, {} differ; {} of {} documented differences met",
            plan.seed,
            plan.cases,
            started.elapsed().as_secs_f64(),
            differing.len(),
            used.len(),
            ways.allowed.len()
        ),
    );
    differing.sort_by_key(|found| found.number);
    assert!(differing.is_empty(), "{}", tell(test, plan, ways, &differing));
    assert!(ran >= ENOUGH.min(plan.cases), "only {ran} cases within {RUN_FOR:?}: nothing is proved");
}

/// The report: what differs, how often, and the smallest example of each.
fn tell(test: &str, plan: Plan, ways: Ways, differing: &[Differing]) -> String {
    let mut kinds: BTreeMap<&str, Vec<&Differing>> = BTreeMap::new();
    for found in differing {
        for difference in &found.verdict.differences {
            let cases = kinds.entry(&difference.label).or_default();
            if cases.last().is_none_or(|last| last.number != found.number) {
                cases.push(found);
            }
        }
    }
    let started = Instant::now();
    let mut text = report::title(plan, ways, differing.len());
    for (label, cases) in &kinds {
        let one = Instant::now();
        let may_go_on = || one.elapsed() < SHRINK_ONE_FOR && started.elapsed() < SHRINK_FOR;
        let differs = |case: &Case| {
            let (_, _, verdict) = Pair::new(ways).run(case);
            verdict.differences.iter().any(|difference| difference.label == *label)
        };
        let first = cases[0];
        let smallest = shrink(&first.case, ways.route, may_go_on, differs);
        text += &report::kind(test, plan, label, cases, &smallest, Pair::new(ways).run(&smallest));
    }
    text
}
