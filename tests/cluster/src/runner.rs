//! Tests that share one cluster: it takes as long to start as some of them to run. Each has a namespace of its own and a
//! time limit. Those that break what others need run alone, at the end.
//!
//! What is printed has libtest's form, so that whatever reads that can read this.

mod arguments;
mod context;
mod outcome;

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::{JoinSet, LocalSet};

pub use self::context::Context;
use self::{
    arguments::Arguments,
    outcome::{Outcome, Summary},
};
use crate::{cluster::Cluster, need, places, product, report, sandbox, wait::secs};

/// The time limit of a test that has no other.
const LIMIT: Duration = secs(120);
/// The start of the cluster is a test as well.
const START: &str = "cluster::starts";
/// And so is the build of what is tested.
const PRODUCT: &str = "reveille::builds";

type Run = Box<dyn FnOnce(Context) -> Pin<Box<dyn Future<Output = ()>>>>;

/// One test.
pub struct Test {
    name: &'static str,
    limit: Duration,
    alone: bool,
    reveille: bool,
    run: Run,
}

impl Test {
    /// A test that runs beside others, on one thread with them. It fails by a panic.
    pub fn new<F: Future<Output = ()> + 'static>(
        name: &'static str,
        run: impl FnOnce(Context) -> F + 'static,
    ) -> Self {
        Self {
            name,
            limit: LIMIT,
            alone: false,
            reveille: false,
            run: Box::new(|context| Box::pin(run(context))),
        }
    }

    /// It breaks what others need, such as the API server: it runs when no other does.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// It needs the image of Reveille: `reveille` is built before the cluster starts.
    #[must_use]
    pub fn needs_reveille(mut self) -> Self {
        self.reveille = true;
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// Runs the tests that the arguments of this program choose. Called outside of the sandbox it starts itself inside.
pub fn main(mut tests: Vec<Test>) -> ExitCode {
    let arguments = Arguments::of_this_program();
    let all = tests.len();
    tests.retain(|test| arguments.choose(test.name));
    let mut summary = Summary::new(all - tests.len());
    if arguments.list {
        outcome::list(tests.iter().map(|test| test.name));
        return ExitCode::SUCCESS;
    }
    if tests.is_empty() {
        return summary.end();
    }
    if sandbox::is_inside() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        // Tests are written more easily when their futures need not be `Send`. Clients' connections have the threads.
        let local = LocalSet::new();
        return local.block_on(&runtime.expect("threads can be started"), run(tests, &arguments, summary));
    }
    let reason = need::missing();
    if reason.is_none()
        && tests.iter().any(|test| test.reveille)
        && let Err(error) = product::build()
    {
        summary.add(PRODUCT, &Outcome::Failed(error));
        return summary.end();
    }
    let reason = reason.unwrap_or_else(|| format!("the sandbox does not start: {}", sandbox::enter(None)));
    for test in &tests {
        summary.add(test.name, &Outcome::Skipped(reason.clone()));
    }
    summary.end()
}

async fn run(tests: Vec<Test>, arguments: &Arguments, mut summary: Summary) -> ExitCode {
    outcome::note_panics();
    summary.begin(tests.len() + 1);
    let start = outcome::of(START, secs(120), Cluster::start("tests")).await;
    let cluster = match start {
        Ok(cluster) => cluster,
        Err(outcome) => {
            summary.add(START, &outcome);
            return summary.end();
        }
    };
    report::figure(
        START,
        &format!("control plane, node and Services in {:.1} s", cluster.took().as_secs_f64()),
    );
    summary.add(START, &Outcome::Passed);
    let (alone, beside): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|test| test.alone);
    beside_each_other(&cluster, beside, arguments.threads, &mut summary).await;
    for test in alone {
        let name = test.name;
        let outcome = one(&cluster, test).await;
        cluster.mend().await;
        summary.add(name, &outcome);
    }
    summary.end()
}

async fn beside_each_other(cluster: &Cluster, tests: Vec<Test>, threads: usize, summary: &mut Summary) {
    // Each of these takes the next one until none is left.
    let queue = Rc::new(RefCell::new(VecDeque::from(tests)));
    let (done, mut results) = tokio::sync::mpsc::channel(1);
    let mut workers = JoinSet::new();
    for _ in 0..threads {
        let (queue, done, cluster) = (Rc::clone(&queue), done.clone(), cluster.clone());
        workers.spawn_local(async move {
            loop {
                let Some(test) = queue.borrow_mut().pop_front() else { break };
                let name = test.name;
                let outcome = one(&cluster, test).await;
                let _ = done.send((name, outcome)).await; // read until the last of them is gone
            }
        });
    }
    drop(done);
    while let Some((name, outcome)) = results.recv().await {
        summary.add(name, &outcome);
    }
}

/// Runs one, and looks around where it failed before its traces go.
async fn one(cluster: &Cluster, test: Test) -> Outcome {
    let started = Instant::now();
    let context = Context::new(cluster.clone(), test.name);
    let outcome = outcome::of(test.name, test.limit, (test.run)(context.clone()))
        .await
        .err()
        .unwrap_or(Outcome::Passed);
    let outcome = match outcome {
        Outcome::Failed(message) => {
            let folder = places::left_behind().join("failed").join(test.name.replace("::", "."));
            cluster.dump_state(&folder).await;
            let took = started.elapsed().as_secs_f64();
            Outcome::Failed(format!(
                "{message}\nafter {took:.1} s; the cluster's state: {}",
                folder.display()
            ))
        }
        other => other,
    };
    context.leave().await;
    outcome
}
