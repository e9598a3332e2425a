//! Reveille beside nginx and HAProxy: the same requests through each of them, in turns, on equal terms.
//!
//! What it measures, its terms and how to read the result: `bench/README.md`. One program plays all the parts that are not
//! some other project's: it starts the proxies, runs the load, and is the servers of gRPC and of messages behind
//! them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

mod cases;
mod cpu;
mod error;
mod grpc_server;
mod messages;
mod peers;
mod report;
mod steady;
mod terms;
mod tools;

use std::{env, path::PathBuf, process::ExitCode};

use error::{Error, Result};

/// What is asked for.
struct Wanted {
    /// Only cases whose name contains this.
    only: String,
    rounds: usize,
    /// How long one run takes, in seconds.
    seconds: u64,
    /// The product.
    reveille: PathBuf,
}

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let done = match words.next().as_deref() {
        Some("grpc-server") => grpc_server::run(words.next().as_deref()),
        Some("message-server") => messages::serve(words.next().as_deref()),
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
    Ok(Wanted {
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
    let peers = peers::Peers::start(&wanted.reveille)?;
    let mut results = Vec::new();
    for case in &cases {
        let result = cases::run(case, &peers, wanted)?;
        print!("{}", report::table(&result));
        results.push(result);
    }
    let path = report::write(&terms, &results)?;
    println!("\nevery run: {}", path.display());
    Ok(())
}
