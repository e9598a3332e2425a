//! One running Reveille: its file, its process, its admin port.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Wanted,
    admin::Admin,
    clock, cpu,
    error::{Error, Result},
    ports,
    tools::{self, Tool},
};

/// How long it may take to serve, with as many apps as there may be.
const SERVES_WITHIN: Duration = Duration::from_secs(60);

/// How it is run. [`Default`] is how all of it is, unless a case says otherwise: one worker on core 0.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// As `taskset -c` takes them.
    pub(crate) cores: &'static str,
    pub(crate) workers: u8,
    /// Further words of its command line.
    pub(crate) words: &'static [&'static str],
}

impl Default for How {
    fn default() -> Self {
        Self { cores: "0", workers: 1, words: &[] }
    }
}

/// A request of a load.
pub(crate) struct Request {
    /// CPU time, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
}

pub(crate) struct Reveille {
    pub(crate) admin: Admin,
    file: PathBuf,
    child: Child,
    /// From its start until it served.
    pub(crate) took: Duration,
}

impl Reveille {
    /// Starts one and waits until it serves. `apps` is the file's text from `apps:` on, or from `gateway:`. What it says
    /// is in `NAME.log` beside its file.
    pub(crate) fn start(wanted: &Wanted, name: &str, apps: &str, how: How) -> Result<Self> {
        let [port] = ports::free()?;
        let file = write(&wanted.folder, &format!("{name}.yaml"), apps)?;
        let log = fs::File::create(wanted.folder.join(format!("{name}.log")))
            .map_err(Error::of("a log cannot be written"))?;
        let begun = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", how.cores])
            .arg(&wanted.reveille)
            .args(["local", "--workers", &how.workers.to_string(), "--admin", &format!("127.0.0.1:{port}")])
            .args(how.words)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::of("reveille cannot be started"))?;
        let mut reveille = Self { admin: Admin { port }, file, child, took: Duration::ZERO };
        while !reveille.admin.is_ready() {
            let ended = reveille.child.try_wait().map_err(Error::of("reveille cannot be waited for"))?;
            if ended.is_some() || begun.elapsed() > SERVES_WITHIN {
                return Err(Error::new(format!("reveille does not serve; see target/bench/run/{name}.log")));
            }
            clock::pause(Duration::from_millis(2));
        }
        reveille.took = begun.elapsed();
        Ok(reveille)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that it has used so far, its apps and their guardians apart.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::spent(self.pid())
    }

    /// What a request costs, and how many there are, while a load runs on one core and one of its ports.
    pub(crate) fn under(&self, wanted: &Wanted, load: Tool, port: u16, core: usize) -> Result<Request> {
        let before = self.cpu()?;
        let load = tools::run(load, port, wanted.seconds, &wanted.folder, core)?;
        let used = self.cpu()?.saturating_sub(before);
        let cpu_us = used.as_secs_f64() * 1e6 / load.requests as f64;
        Ok(Request { cpu_us, per_second: load.per_second() })
    }

    /// Which share of a core it uses, in percent, in so many stretches of time from then on.
    pub(crate) fn shares(&self, mut begin: Instant, rounds: usize, each: Duration) -> Result<Vec<f64>> {
        let share = |_| {
            clock::until(begin);
            let (begun, before) = (Instant::now(), self.cpu()?);
            begin += each;
            clock::until(begin);
            let used = self.cpu()?.saturating_sub(before);
            Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
        };
        (0..rounds).map(share).collect()
    }

    /// Its resident memory in KiB, counted page by page. The kernel's buffers of its sockets are no part of it.
    pub(crate) fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let text = fs::read_to_string(&path).map_err(Error::of(format!("{path} cannot be read")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let size = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        size.ok_or_else(|| Error::new(format!("{path} says no size")))
    }

    /// Gives it another file and tells it so.
    pub(crate) fn reload(&self, apps: &str) -> Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, apps).map_err(Error::of("the new file cannot be written"))?;
        fs::rename(&new, &self.file).map_err(Error::of("the file cannot be replaced"))?;
        self.signal(Signal::SIGHUP).map_err(Error::of("it cannot be told"))
    }

    fn signal(&self, signal: Signal) -> nix::Result<()> {
        kill(Pid::from_raw(self.pid().cast_signed()), signal)
    }
}

impl Drop for Reveille {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Writes a file of the run.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(Error::of(format!("{} cannot be written", path.display())))?;
    Ok(path)
}
