//! Thousands of apps in one Reveille, of which one is called: what they cost in memory, at the start, for each request,
//! and when one of them changes; beside a Reveille that has ten.
//!
//! Each app has a port of its own, as a file cannot be written without; for the gateway it has a host besides. A file
//! does not hold any number of apps: a case takes as many as fit, and says how many these are.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Wanted, clock,
    configs::{app, nginx_command},
    cpu::LOAD_CORE,
    crowd::raise_open_files,
    error::{Error, Result},
    measure::{Measure, in_turns},
    ports,
    reveille::{How, Reveille, write},
    tools::Tool,
};

/// How many are wanted, and how many they are compared with.
const ON_GATEWAY: usize = 10_000;
const ON_PORTS: usize = 5_000;
const FEW: usize = 10;
/// The app that is called, and the one that changes.
const CALLED: &str = "called";
const CHANGED: &str = "changed";
/// What wrk does to reach the app that is called.
const BY_HOST: &str = "wrk.headers['Host'] = 'called.localhost'\n";
/// Sleeps and wakes of a round.
const SLEEPS: u32 = 4;
/// How long all that follows a change may take.
const SETTLES_WITHIN: Duration = Duration::from_millis(300);

/// How apps are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    ByHost,
    ByPort,
}

/// A file of many apps.
struct File {
    name: &'static str,
    reached: Reached,
    /// Where requests go.
    port: u16,
    /// Its beginning: the app that is called and the one that changes.
    begins: String,
    /// The ports of all others.
    others: Vec<u16>,
}

/// One that runs, with so many apps.
struct Served<'a> {
    file: &'a File,
    count: usize,
    reveille: Reveille,
}

pub(crate) fn on_gateway(wanted: &Wanted) -> Result<Vec<Measure>> {
    // 200 MiB for 10,000.
    measured(wanted, Reached::ByHost, ON_GATEWAY, Some(200.0 * 1024.0 / ON_GATEWAY as f64))
}

pub(crate) fn on_ports(wanted: &Wanted) -> Result<Vec<Measure>> {
    measured(wanted, Reached::ByPort, ON_PORTS, None)
}

fn measured(wanted: &Wanted, reached: Reached, count: usize, kib: Option<f64>) -> Result<Vec<Measure>> {
    let files = raise_open_files()?;
    // Of the files some remain for requests.
    let file = File::new(wanted, "apps-many", reached, count.min(files * 3 / 4))?;
    let count = file.as_many_as_fit(wanted)?;
    let few = File::new(wanted, "apps-few", reached, FEW)?;
    let (few, many, mut all) = starts(wanted, &few, &file, count, kib)?;
    for served in [&few, &many] {
        served.reveille.admin.wake(CALLED)?;
    }
    let idle = many.reveille.shares(Instant::now(), wanted.rounds, Duration::from_secs(1))?;
    all.push(Measure::new("CPU while nobody calls", "% of a core", idle));
    all.extend(routes(wanted, &few, &many)?);
    all.extend(sleeps(wanted, &few, &many)?);
    all.extend(reloads(wanted, &few)?);
    all.extend(reloads(wanted, &many)?);
    let after = many.reveille.resident()? / 1024.0;
    all.push(Measure::new(format!("memory, {count} apps, after all of this"), "MiB", vec![after]));
    Ok(all)
}

impl File {
    fn new(wanted: &Wanted, name: &'static str, reached: Reached, most: usize) -> Result<Self> {
        let [gateway, listen, upstream, other] = ports::free()?;
        let server = nginx_command(&wanted.folder, name, upstream, LOAD_CORE)?;
        let (begins, more) = match reached {
            Reached::ByHost => (format!("gateway: 127.0.0.1:{gateway}\n"), "hosts: [called.localhost]"),
            Reached::ByPort => (String::new(), "preset: http"),
        };
        let called = app(CALLED, &server, listen, upstream, more);
        let changed = format!(
            "- {{name: {CHANGED}, command: [sleep], ports: [{{listen: 127.0.0.1:{other}}}], idle: {{ttl: 1s}}}}\n"
        );
        Ok(Self {
            name,
            reached,
            port: if reached == Reached::ByHost { gateway } else { listen },
            begins: format!("{begins}apps:\n{called}{changed}"),
            others: ports::many(most - 2)?,
        })
    }

    /// The file of so many apps. Those that are never called are written as short as can be.
    fn text(&self, count: usize) -> String {
        let mut text = self.begins.clone();
        for (nth, port) in self.others.iter().take(count - 2).enumerate() {
            let host = match self.reached {
                Reached::ByHost => format!("hosts: [a{nth}.x], "),
                Reached::ByPort => String::new(),
            };
            text += &format!(
                "- {{name: a{nth}, command: [sleep], {host}ports: [{{listen: 127.0.0.1:{port}}}]}}\n"
            );
        }
        text
    }

    /// How many Reveille takes, up to as many as there are.
    fn as_many_as_fit(&self, wanted: &Wanted) -> Result<usize> {
        let (mut fit, mut most) = (FEW, self.others.len() + 2);
        let mut count = most;
        while fit < most {
            let file = write(&wanted.folder, "check.yaml", &self.text(count))?;
            let checked = Command::new(&wanted.reveille).arg("check").arg(&file).output();
            let checked = checked.map_err(Error::of("reveille check does not run"))?;
            (fit, most) = if checked.status.success() { (count, most) } else { (fit, count - 1) };
            count = (fit + most).div_ceil(2);
        }
        Ok(fit)
    }
}

/// Starts both in each round, and leaves the last two running.
fn starts<'a>(
    wanted: &Wanted,
    few: &'a File,
    many: &'a File,
    count: usize,
    kib: Option<f64>,
) -> Result<(Served<'a>, Served<'a>, Vec<Measure>)> {
    let (mut time, mut cpu, mut size, mut each) = (vec![], vec![], vec![], vec![]);
    loop {
        let start = |file: &'a File, count| -> Result<Served<'a>> {
            let reveille = Reveille::start(wanted, file.name, &file.text(count), How::default())?;
            Ok(Served { file, count, reveille })
        };
        let few = start(few, FEW)?;
        let many = start(many, count)?;
        time.push(many.reveille.took.as_secs_f64() * 1e3);
        cpu.push(many.reveille.cpu()?.as_secs_f64() * 1e3);
        let (less, more) = (few.reveille.resident()?, many.reveille.resident()?);
        size.push(more / 1024.0);
        each.push((more - less) / (count - FEW) as f64);
        if time.len() < wanted.rounds {
            continue;
        }
        let all = vec![
            Measure::new(format!("start to ready, {count} apps"), "ms", time),
            Measure::new("CPU until then", "ms", cpu),
            Measure::new(format!("memory, {count} apps"), "MiB", size),
            Measure::new("memory, each app", "KiB", each).at_most(kib, None),
        ];
        return Ok((few, many, all));
    }
}

/// CPU of a request with few and with many apps, in turns.
fn routes(wanted: &Wanted, few: &Served<'_>, many: &Served<'_>) -> Result<Vec<Measure>> {
    let script = (many.file.reached == Reached::ByHost).then_some(BY_HOST);
    let tool = Tool::Wrk { connections: 64, path: "/", script };
    let request = |served: &Served<'_>| -> Result<f64> {
        Ok(served.reveille.under(wanted, tool, served.file.port, LOAD_CORE)?.cpu_us)
    };
    let (by_few, by_many) = in_turns(wanted.rounds, || request(few), || request(many))?;
    let ratios = by_many.iter().zip(&by_few).map(|(many, few)| many / few).collect();
    Ok(vec![
        Measure::new(format!("a request, {FEW} apps"), "us of CPU", by_few),
        Measure::new(format!("a request, {} apps", many.count), "us of CPU", by_many),
        Measure::new("ratio of the two", "", ratios).at_most(Some(1.05), None),
    ])
}

/// CPU of one app's falling asleep and waking, with few and with many apps.
fn sleeps(wanted: &Wanted, few: &Served<'_>, many: &Served<'_>) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for served in [few, many] {
        let mut rounds = Vec::new();
        for _ in 0..wanted.rounds {
            let before = served.reveille.cpu()?;
            for _ in 0..SLEEPS {
                served.reveille.admin.sleep(CALLED)?;
                served.reveille.admin.wake(CALLED)?;
            }
            let used = served.reveille.cpu()?.saturating_sub(before);
            rounds.push((used / SLEEPS).as_secs_f64() * 1e3);
        }
        let name = format!("one app's sleep and wake, {} apps", served.count);
        measures.push(Measure::new(name, "ms of CPU", rounds));
    }
    Ok(measures)
}

/// One app of the file changes: how long it takes until that is in force, and what it costs.
fn reloads(wanted: &Wanted, served: &Served<'_>) -> Result<Vec<Measure>> {
    let text = served.file.text(served.count);
    let (mut time, mut cpu) = (vec![], vec![]);
    for round in 0..wanted.rounds {
        let ttl = format!("{}s", round + 2);
        let changed = text.replacen("ttl: 1s", &format!("ttl: {ttl}"), 1);
        let (begun, before) = (Instant::now(), served.reveille.cpu()?);
        served.reveille.reload(&changed)?;
        let in_force = |app: &serde_json::Value| app["ttl"] == ttl.as_str();
        served.reveille.admin.wait(CHANGED, "has another TTL", Duration::from_millis(5), in_force)?;
        time.push(begun.elapsed().as_secs_f64() * 1e3);
        clock::pause(SETTLES_WITHIN);
        cpu.push(served.reveille.cpu()?.saturating_sub(before).as_secs_f64() * 1e3);
    }
    let name = |what| format!("one app of the file changes, {} apps: {what}", served.count);
    Ok(vec![Measure::new(name("in force"), "ms", time), Measure::new(name("CPU"), "ms", cpu)])
}
