//! CPU time while many apps start at once and each is asked whether it can answer: all probers together keep to one
//! budget.

use std::time::{Duration, Instant};

use super::ROOM;
use crate::{Wanted, configs::app, error::Result, measure::Measure, ports, reveille::Reveille};

/// As many as make the budget decide, and not how long they have been waited for.
const APPS: usize = 200;
/// From their first wake: by then all run.
const BEGINS_AFTER: Duration = Duration::from_secs(3);
/// What Reveille allows itself for it.
const BUDGET: f64 = 25.0;

/// None of the apps ever listens.
pub(crate) fn many(wanted: &Wanted) -> Result<Vec<Measure>> {
    let ports = ports::many(2 * APPS)?;
    let name = |nth| format!("probed{nth}");
    let each = |(nth, pair): (usize, &[u16])| {
        app(&name(nth), "[sleep, '3600']", pair[0], pair[1], "wake: {deadline: 1h}")
    };
    let apps: String = ports.chunks_exact(2).enumerate().map(each).collect();
    let reveille = Reveille::start(wanted, "probing", &format!("apps:\n{apps}"), ROOM)?;
    let first = Instant::now();
    for nth in 0..APPS {
        reveille.admin.ask_to_wake(&name(nth))?;
    }
    let begin = Instant::now().max(first + BEGINS_AFTER);
    let shares = reveille.shares(begin, wanted.rounds, Duration::from_secs(1))?;
    let name = format!("{APPS} apps that start, probed");
    Ok(vec![Measure::new(name, "% of a core", shares).at_most(Some(BUDGET), None)])
}
