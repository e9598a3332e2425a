//! Two workers against one: what a request costs when it may be served by either of two threads.
//!
//! Both Reveilles may use two cores, and the load has one. On a machine of two cores that is one of the same two, so
//! the second worker and the load get in each other's way; with a third core the load has that.

use crate::{
    Wanted,
    configs::{app, nginx_command},
    cpu::LOAD_CORE,
    error::Result,
    measure::{Measure, in_turns},
    ports,
    reveille::{How, Reveille},
    tools::{self, Tool},
};

const APP: &str = "server";
const LOAD: Tool = Tool::Wrk { connections: 64, path: "/", script: None };

/// One run.
struct Run {
    cpu_us: f64,
    per_second: f64,
}

pub(crate) fn workers(wanted: &Wanted) -> Result<Vec<Measure>> {
    let third = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2);
    let core = if third { 2 } else { LOAD_CORE };
    let mut all = on(wanted, "0,1", core, Some(1.10))?;
    // Without another core for the second worker: what threads that take turns cost by themselves.
    all.extend(on(wanted, "0", LOAD_CORE, None)?);
    Ok(all)
}

/// Both on these cores, the load on another one.
fn on(wanted: &Wanted, cores: &'static str, core: usize, most: Option<f64>) -> Result<Vec<Measure>> {
    let one = Served::start(wanted, 1, cores, core)?;
    let two = Served::start(wanted, 2, cores, core)?;
    let (with_one, with_two) = in_turns(wanted.rounds, || one.run(wanted), || two.run(wanted))?;
    let each = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let ratios =
        |of: fn(&Run) -> f64| with_two.iter().zip(&with_one).map(|(two, one)| of(two) / of(one)).collect();
    let terms = format!("on {cores}, load on {core}");
    Ok(vec![
        Measure::new(format!("1 worker {terms}: a request"), "us of CPU", each(&with_one, |run| run.cpu_us)),
        Measure::new(format!("2 workers {terms}: a request"), "us of CPU", each(&with_two, |run| run.cpu_us)),
        Measure::new(format!("{terms}: CPU a request, 2 to 1"), "", ratios(|run| run.cpu_us))
            .at_most(most, None),
        Measure::new(format!("{terms}: requests/s, 2 to 1"), "", ratios(|run| run.per_second)),
    ])
}

/// A Reveille and its server, awake.
struct Served {
    reveille: Reveille,
    port: u16,
    core: usize,
}

impl Served {
    fn start(wanted: &Wanted, workers: u8, cores: &'static str, core: usize) -> Result<Self> {
        let [port, upstream] = ports::free()?;
        let name = format!("workers-{workers}");
        let server = nginx_command(&wanted.folder, &name, upstream, core)?;
        let text = format!("apps:\n{}", app(APP, &server, port, upstream, "preset: http"));
        let reveille = Reveille::start(wanted, &name, &text, How { cores, workers, ..How::default() })?;
        reveille.admin.wake(APP)?;
        Ok(Self { reveille, port, core })
    }

    fn run(&self, wanted: &Wanted) -> Result<Run> {
        let before = self.reveille.cpu()?;
        let load = tools::run(LOAD, self.port, wanted.seconds, &wanted.folder, self.core)?;
        let used = self.reveille.cpu()?.saturating_sub(before);
        Ok(Run { cpu_us: used.as_secs_f64() * 1e6 / load.requests as f64, per_second: load.per_second() })
    }
}
