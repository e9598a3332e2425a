//! What came of it: a table for people, a file with every run for everything else.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::{
    cases::{CaseResult, Run},
    error::{Error, Result},
    terms::Terms,
};

const PEERS: [&str; 4] = ["nginx", "haproxy", "reveille", "direct"];

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_unstable_by(f64::total_cmp);
    Some([values.get(values.len() / 2).copied()?, *values.first()?, *values.last()?])
}

fn show(spread: Option<[f64; 3]>, digits: usize) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |[median, least, most]| format!("{median:.digits$} ({least:.digits$}-{most:.digits$})"),
    )
}

impl CaseResult {
    fn all(&self, peer: &str, of: impl Fn(&Run) -> Option<f64>) -> Vec<f64> {
        let runs = self.rounds.iter().flatten().filter(|run| run.peer == peer);
        runs.filter_map(of).collect()
    }

    /// Of each round: what this gives for the other one and for Reveille.
    fn ratios(&self, peer: &str, ratio: impl Fn(&Run, &Run) -> Option<f64>) -> Vec<f64> {
        let of = |runs: &[Run], name: &str| runs.iter().find(|run| run.peer == name).cloned();
        let rounds = self.rounds.iter();
        rounds.filter_map(|runs| ratio(&of(runs, peer)?, &of(runs, "reveille")?)).collect()
    }
}

pub(crate) fn table(result: &CaseResult) -> String {
    let mut text = format!(
        "\n{}: {}\n{:10} {:>26} {:>24} {:>20} {:>20}\n",
        result.case, result.what, "", "requests/s", "CPU us/request", "ratio by CPU", "ratio by requests/s"
    );
    for peer in PEERS {
        let rate = spread(result.all(peer, |run| Some(run.per_second)));
        if rate.is_none() {
            continue;
        }
        let cpu = spread(result.all(peer, |run| run.cpu_us));
        let (mut by_cpu, mut by_rate) = (String::new(), String::new());
        if matches!(peer, "nginx" | "haproxy") {
            by_cpu = show(spread(result.ratios(peer, |its, ours| Some(its.cpu_us? / ours.cpu_us?))), 2);
            by_rate =
                show(spread(result.ratios(peer, |its, ours| Some(ours.per_second / its.per_second))), 2);
        }
        text += &format!("{peer:10} {:>26} {:>24} {by_cpu:>20} {by_rate:>20}\n", show(rate, 0), show(cpu, 2));
        let latency = |of: fn(&Run) -> Option<f64>| spread(result.all(peer, of));
        if let (Some(p50), Some(p99)) = (latency(|run| run.p50_us), latency(|run| run.p99_us)) {
            text += &format!("{:10} p50 {} us, p99 {} us\n", "", show(Some(p50), 0), show(Some(p99), 0));
        }
    }
    text
}

/// Writes all of it as JSON.
pub(crate) fn write(terms: &Terms, results: &[CaseResult]) -> Result<PathBuf> {
    let path = PathBuf::from("target/bench/result.json");
    let text = serde_json::to_string_pretty(&json!({ "terms": terms, "cases": results }))
        .map_err(Error::of("the result cannot be written down"))?;
    fs::write(&path, text).map_err(Error::of(format!("{} cannot be written", path.display())))?;
    Ok(path)
}
