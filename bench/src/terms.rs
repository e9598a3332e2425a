//! The terms of a run: what was compared, on what machine. They stand with every result.

use std::{fs, process::Command};

use serde::Serialize;

use crate::{
    Wanted,
    error::{Error, Result},
};

#[derive(Serialize)]
pub(crate) struct Terms {
    rounds: usize,
    seconds_per_run: u64,
    cpu: String,
    cores: usize,
    kernel: String,
    versions: Vec<String>,
}

pub(crate) fn gather(wanted: &Wanted) -> Result<Terms> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Err(Error::new("two cores are needed: one for the proxy, one for the load and the servers"));
    }
    let reveille = wanted.reveille.display().to_string();
    let versions = [
        (reveille.as_str(), "--version"),
        ("nginx", "-v"),
        ("haproxy", "-v"),
        ("wrk", "-v"),
        ("h2load", "--version"),
    ];
    Ok(Terms {
        rounds: wanted.rounds,
        seconds_per_run: wanted.seconds,
        cpu: cpu.unwrap_or("unknown").to_owned(),
        cores,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        versions: versions.iter().map(|(name, flag)| version(name, flag)).collect::<Result<_>>()?,
    })
}

/// The first line that a program says about itself.
fn version(program: &str, flag: &str) -> Result<String> {
    let said =
        Command::new(program).arg(flag).output().map_err(Error::of(format!("{program} does not run")))?;
    let said = [said.stdout, said.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
}

impl Terms {
    pub(crate) fn text(&self) -> String {
        format!(
            "{} of {} cores: {}, Linux {}\n{}\n\
             One core for the proxy, one for the load and the servers behind it; keep-alive on both sides, the same\n\
             fields added, no access log. {} rounds of {} s, the proxies in turns.\n\
             Figures are medians (min-max) of the rounds; of ratios above 1.00 Reveille is the better one.\n",
            2,
            self.cores,
            self.cpu,
            self.kernel,
            self.versions.join("\n"),
            self.rounds,
            self.seconds_per_run,
        )
    }
}
