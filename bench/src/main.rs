//! What Reveille costs: beside nginx and HAProxy, the same requests through each of them, in turns, on equal terms;
//! and by itself what the others do not do: waking, holding, thousands of apps.
//!
//! What it measures, its terms and how to read the result: `bench/README.md`. One program plays all the parts that are not
//! some other project's: it starts the proxies, runs the load, and is the servers of gRPC and of messages behind them
//! and the app that takes its time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

mod admin;
mod apps;
mod beside;
mod cases;
mod clock;
mod cold;
mod configs;
mod cpu;
mod crowd;
mod error;
mod grpc_server;
mod measure;
mod messages;
mod peers;
mod ports;
mod report;
mod reveille;
mod scaling;
mod sleeper_server;
mod steady;
mod terms;
mod tools;

use std::{env, fs, path::PathBuf, process::ExitCode};

use cases::{Case, Kind};
use error::{Error, Result};
use peers::Peers;
use report::{CaseResult, Outcome};

/// What is asked for.
struct Wanted {
    /// Only cases whose name contains this.
    only: String,
    rounds: usize,
    /// How long one run takes, in seconds.
    seconds: u64,
    /// The product.
    reveille: PathBuf,
    /// Where files and logs of the run are.
    folder: PathBuf,
}

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let done = match words.next().as_deref() {
        Some("grpc-server") => grpc_server::run(words.next().as_deref()),
        Some("message-server") => messages::serve(words.next().as_deref()),
        Some("sleeper-server") => sleeper_server::run(&mut words),
        None => wanted().and_then(|wanted| bench(&wanted)),
        Some(other) => Err(Error::new(format!("unknown word {other}; see bench/README.md"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wanted() -> Result<Wanted> {
    let folder = PathBuf::from("target/bench/run");
    fs::create_dir_all(&folder).map_err(Error::of(format!("{} cannot be made", folder.display())))?;
    Ok(Wanted {
        folder: folder.canonicalize().map_err(Error::of("target/bench/run"))?,
        only: env::var("ONLY").unwrap_or_default(),
        rounds: number("ROUNDS", 5)?,
        seconds: number("SECONDS_PER_RUN", 2)? as u64,
        reveille: env::var_os("REVEILLE").map_or_else(|| "target/release/reveille".into(), PathBuf::from),
    })
}

fn number(name: &str, default: usize) -> Result<usize> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| Error::new(format!("{name} must be a number above 0, not {text}"))),
        _ => Ok(default),
    }
}

fn bench(wanted: &Wanted) -> Result<()> {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.name.contains(&wanted.only)).collect();
    if cases.is_empty() {
        let names: Vec<_> = cases::all().iter().map(|case| case.name).collect();
        return Err(Error::new(format!("no case contains {}; there are: {}", wanted.only, names.join(" "))));
    }
    let terms = terms::gather(wanted)?;
    print!("{}", terms.text());
    let (beside, alone): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| matches!(case.kind, Kind::Beside(..)));
    let mut results = Vec::new();
    if !beside.is_empty() {
        let peers = Peers::start(wanted)?;
        for case in beside {
            results.push(run(case, Some(&peers), wanted)?);
        }
        // They end here: nobody else runs beside the cases of Reveille alone.
    }
    for case in alone {
        results.push(run(case, None, wanted)?);
    }
    let path = report::write(wanted, &terms, &results)?;
    println!("\nevery run: {}", path.display());
    Ok(())
}

fn run(case: &Case, peers: Option<&Peers>, wanted: &Wanted) -> Result<CaseResult> {
    let outcome = match (&case.kind, peers) {
        (Kind::Beside(service, tool), Some(peers)) => {
            beside::run(*service, *tool, peers, wanted).map(Outcome::Rounds)
        }
        (Kind::Beside(..), None) => Err(Error::new("there are no peers")),
        (Kind::Alone(measure), _) => measure(wanted).map(Outcome::Measures),
    };
    let outcome = outcome.map_err(Error::of(case.name))?;
    let result = CaseResult { case: case.name, what: case.what, outcome };
    print!("{}", report::table(&result));
    Ok(result)
}
