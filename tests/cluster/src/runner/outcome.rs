//! How tests end, and saying so as libtest does.
#![allow(clippy::print_stdout, reason = "a test runner prints")]

use std::{
    any::Any,
    collections::HashMap,
    panic,
    process::ExitCode,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

/// How a test ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Passed,
    /// With everything that was said about it.
    Failed(String),
    /// With the reason.
    Skipped(String),
}

/// What a test that cannot run here panics with.
pub(super) struct Skip(pub(super) String);

tokio::task_local! {
    /// The test that this task belongs to.
    static TEST: &'static str;
}

/// What panics said, by test: a payload has lost the place where it happened.
static PANICS: LazyLock<Mutex<HashMap<&'static str, String>>> = LazyLock::new(Mutex::default);

/// Keeps what panics of tests say for the end of the run, where libtest shows it, too.
pub(super) fn note_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| match TEST.try_with(|test| *test) {
        Ok(test) => {
            let mut panics = PANICS.lock().expect("nothing panics while it holds this");
            panics.entry(test).or_default().push_str(&format!("{info}\n"));
        }
        Err(_) => default(info),
    }));
}

/// Runs a test, or what is like one, to its end.
pub(super) async fn of<T: 'static>(
    name: &'static str,
    limit: Duration,
    test: impl Future<Output = T> + 'static,
) -> Result<T, Outcome> {
    let mut task = tokio::task::spawn_local(TEST.scope(name, test));
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(from_panic(name, error.into_panic())),
        Err(_) => {
            task.abort();
            Err(Outcome::Failed(format!("it was not over after {limit:?}")))
        }
    }
}

fn from_panic(test: &'static str, payload: Box<dyn Any + Send>) -> Outcome {
    match payload.downcast::<Skip>() {
        Ok(skip) => Outcome::Skipped(skip.0),
        Err(_) => {
            let said = PANICS.lock().expect("nothing panics while it holds this").remove(test);
            Outcome::Failed(said.unwrap_or_else(|| "it panicked without a word".to_owned()))
        }
    }
}

/// Names tests, and runs none.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) {
    for name in names {
        println!("{name}: test");
    }
}

/// The sum of a run.
#[derive(Debug)]
pub(super) struct Summary {
    started: Instant,
    passed: usize,
    skipped: usize,
    filtered: usize,
    failures: Vec<(String, String)>,
}

impl Summary {
    pub(super) fn new(filtered: usize) -> Self {
        Self { started: Instant::now(), passed: 0, skipped: 0, filtered, failures: Vec::new() }
    }

    pub(super) fn begin(&self, tests: usize) {
        println!("\nrunning {tests} tests");
    }

    pub(super) fn add(&mut self, name: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("test {name} ... ok");
            }
            Outcome::Failed(message) => {
                println!("test {name} ... FAILED");
                self.failures.push((name.to_owned(), message.clone()));
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                println!("test {name} ... ignored, {reason}");
            }
        }
    }

    /// Says what failed, and how many did not.
    pub(super) fn end(self) -> ExitCode {
        if !self.failures.is_empty() {
            println!("\nfailures:");
            for (name, message) in &self.failures {
                println!("\n---- {name} ----\n{}", message.trim_end());
            }
            println!("\nfailures:");
            for (name, _) in &self.failures {
                println!("    {name}");
            }
        }
        let (word, code) =
            if self.failures.is_empty() { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::FAILURE) };
        println!(
            "\ntest result: {word}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
            self.passed,
            self.failures.len(),
            self.skipped,
            self.filtered,
            self.started.elapsed().as_secs_f64(),
        );
        code
    }
}
