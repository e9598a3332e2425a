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
    reveille::{How, Request, Reveille},
    tools::Tool,
};

const APP: &str = "server";
const LOAD: Tool = Tool::Wrk { connections: 64, path: "/", script: None };

pub(crate) fn workers(wanted: &Wanted) -> Result<Vec<Measure>> {
    let third = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2);
    let core = if third { 2 } else { LOAD_CORE };
    let one = Served::start(wanted, 1, core)?;
    let two = Served::start(wanted, 2, core)?;
    let (with_one, with_two) = in_turns(wanted.rounds, || one.run(wanted), || two.run(wanted))?;
    let each = |runs: &[Request], of: fn(&Request) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let ratios = |of: fn(&Request) -> f64| {
        with_two.iter().zip(&with_one).map(|(two, one)| of(two) / of(one)).collect::<Vec<_>>()
    };
    Ok(vec![
        Measure::new("a request, 1 worker", "us of CPU", each(&with_one, |run| run.cpu_us)),
        Measure::new("a request, 2 workers", "us of CPU", each(&with_two, |run| run.cpu_us)),
        Measure::new("ratio of the two", "", ratios(|run| run.cpu_us)).at_most(Some(1.10), None),
        Measure::new("requests/s, 1 worker", "", each(&with_one, |run| run.per_second)),
        Measure::new("requests/s, 2 workers to 1", "", ratios(|run| run.per_second)),
        Measure::new("core that the load had", "", vec![core as f64]),
    ])
}

/// A Reveille and its server, awake.
struct Served {
    reveille: Reveille,
    port: u16,
    core: usize,
}

impl Served {
    fn start(wanted: &Wanted, workers: u8, core: usize) -> Result<Self> {
        let [port, upstream] = ports::free()?;
        let name = format!("workers-{workers}");
        let server = nginx_command(&wanted.folder, &name, upstream, core)?;
        let text = format!("apps:\n{}", app(APP, &server, port, upstream, "preset: http"));
        let reveille =
            Reveille::start(wanted, &name, &text, How { cores: "0,1", workers, ..How::default() })?;
        reveille.admin.wake(APP)?;
        Ok(Self { reveille, port, core })
    }

    fn run(&self, wanted: &Wanted) -> Result<Request> {
        self.reveille.under(wanted, LOAD, self.port, self.core)
    }
}
