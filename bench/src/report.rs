//! What came of it: a table for people, a file with every run for everything else.

use std::{fs, path::PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::{
    Wanted,
    beside::{Rounds, Run},
    error::{Error, Result},
    measure::{Measure, Target, median},
    terms::Terms,
};

const PEERS: [&str; 4] = ["nginx", "haproxy", "reveille", "direct"];

/// What a case came to.
#[derive(Serialize)]
pub(crate) struct CaseResult {
    pub(crate) case: &'static str,
    pub(crate) what: &'static str,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Of every proxy.
    Rounds(Rounds),
    /// Of Reveille alone.
    Measures(Vec<Measure>),
}

pub(crate) fn table(result: &CaseResult) -> String {
    let heading = format!("\n{}: {}\n", result.case, result.what);
    heading
        + &match &result.outcome {
            Outcome::Rounds(rounds) => beside(rounds),
            Outcome::Measures(measures) => measures.iter().map(line).collect(),
        }
}

/// Median, least and most, to so many digits.
fn spread(values: &[f64], digits: usize) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    let (median, least, most) = (median(values), least(values), most(values));
    format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn all(rounds: &Rounds, peer: &str, of: impl Fn(&Run) -> Option<f64>) -> Vec<f64> {
    rounds.iter().flatten().filter(|run| run.peer == peer).filter_map(of).collect()
}

/// Of each round: what this gives for the other one and for Reveille.
fn ratios(rounds: &Rounds, peer: &str, ratio: impl Fn(&Run, &Run) -> Option<f64>) -> Vec<f64> {
    let of = |runs: &[Run], name: &str| runs.iter().find(|run| run.peer == name).cloned();
    rounds.iter().filter_map(|runs| ratio(&of(runs, peer)?, &of(runs, "reveille")?)).collect()
}

fn beside(rounds: &Rounds) -> String {
    let mut text = format!(
        "{:10} {:>24} {:>22} {:>7} {:>18} {:>20}\n",
        "", "requests/s", "CPU us/request", "core", "ratio by CPU", "ratio by requests/s"
    );
    for peer in PEERS {
        let rate = all(rounds, peer, |run| Some(run.per_second));
        if rate.is_empty() {
            continue;
        }
        let cpu = all(rounds, peer, |run| run.cpu_us);
        let busy = all(rounds, peer, |run| run.busy);
        let busy = if busy.is_empty() { "-".to_owned() } else { format!("{:.0} %", median(&busy) * 100.0) };
        let (mut by_cpu, mut by_rate) = (String::new(), String::new());
        if matches!(peer, "nginx" | "haproxy") {
            by_cpu = spread(&ratios(rounds, peer, |its, ours| Some(its.cpu_us? / ours.cpu_us?)), 2);
            by_rate = spread(&ratios(rounds, peer, |its, ours| Some(ours.per_second / its.per_second)), 2);
        }
        let (rate, cpu) = (spread(&rate, 0), spread(&cpu, 2));
        text += &format!("{peer:10} {rate:>24} {cpu:>22} {busy:>7} {by_cpu:>18} {by_rate:>20}\n");
        let (p50, p99) = (all(rounds, peer, |run| run.p50_us), all(rounds, peer, |run| run.p99_us));
        if !p50.is_empty() {
            text += &format!("{:10} p50 {} us, p99 {} us\n", "", spread(&p50, 0), spread(&p99, 0));
        }
    }
    text
}

/// A figure, its least and most, and what it is held against.
fn line(measure: &Measure) -> String {
    let Measure { name, unit, value, rounds, target } = measure;
    let digits = if value.abs() < 10.0 { 2 } else { 1 };
    let value = format!("{value:.digits$} ({:.digits$}-{:.digits$}) {unit}", least(rounds), most(rounds));
    let target = target.map_or_else(String::new, |Target { floor, aim }| {
        let aim = aim.map_or_else(String::new, |aim| format!(", aim {aim}"));
        format!("at most {floor}{aim}: {}", measure.verdict())
    });
    format!("{name:58} {value:>34}   {target}").trim_end().to_owned() + "\n"
}

/// Writes all of it as JSON.
pub(crate) fn write(wanted: &Wanted, terms: &Terms, results: &[CaseResult]) -> Result<PathBuf> {
    let path = wanted.folder.with_file_name("result.json");
    let text = serde_json::to_string_pretty(&json!({ "terms": terms, "cases": results }))
        .map_err(Error::of("the result cannot be written down"))?;
    fs::write(&path, text).map_err(Error::of(format!("{} cannot be written", path.display())))?;
    Ok(path)
}
