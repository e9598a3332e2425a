//! Apps to declare in a file: the slow server and the echo servers, whose logs tell what reached them, and a
//! real nginx.

mod echo;
mod nginx;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    ports,
    process::Process,
    product,
    scratch::Scratch,
    wait::{until, until_some},
};

/// One app of a file.
#[derive(Debug)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub listen: u16,
    /// Where it listens itself.
    pub upstream: u16,
    command: Vec<String>,
    env: Vec<(String, String)>,
    lines: Vec<String>,
    scratch: Scratch,
}

/// One line of the slow server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since the epoch.
    pub at: Duration,
    /// The server's pid.
    pub pid: u32,
    /// What happened: `start`, `ready`, `connection`, `request`, `term`, and what the echo servers add.
    pub kind: String,
    /// More about it, such as method and path.
    pub detail: String,
}

/// An app that runs without Reveille.
#[derive(Debug)]
pub struct Alone(pub Child);

impl Drop for Alone {
    fn drop(&mut self) {
        // Not SIGKILL: nobody would end the workers of a killed nginx.
        if let Some(process) = Process::of(self.0.id()) {
            process.signal(Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// The time since the epoch, as the slow server stamps it.
pub fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970")
}

impl App {
    /// The slow-to-start server. It starts at once unless told otherwise by [`env`](Self::env).
    pub fn slow(name: &str) -> Self {
        let program = product::slow_server().display().to_string();
        let app = Self::new(name, vec![program]);
        let (port, log) = (app.upstream.to_string(), app.log().display().to_string());
        app.env("SLOW_PORT", &port).env("SLOW_LOG", &log)
    }

    /// The slow server that needs so many milliseconds before it listens.
    pub fn starting_in(name: &str, millis: u64) -> Self {
        Self::slow(name).env("SLOW_START_MS", &millis.to_string())
    }

    /// Makes its server wait for [`let_start`](Self::let_start) before it listens, so that a test decides for how long
    /// requests are held.
    #[must_use]
    pub fn starting_when_let(self) -> Self {
        let told = self.start_file().display().to_string();
        self.env("SLOW_START_IF", &told)
    }

    /// Lets its server listen, now and whenever it starts again.
    ///
    /// # Panics
    /// If its folder is gone.
    pub fn let_start(&self) {
        fs::write(self.start_file(), "").expect("the app's folder is there");
    }

    fn start_file(&self) -> PathBuf {
        self.folder().join("start")
    }

    /// Any program.
    pub fn new(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            listen: ports::free(),
            upstream: ports::free(),
            command,
            env: Vec::new(),
            lines: Vec::new(),
            scratch: Scratch::new(name),
        }
    }

    /// Another app of the same server on the same ports and in the same folder, to be set differently.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            listen: self.listen,
            upstream: self.upstream,
            command: self.command.clone(),
            env: self.env.clone(),
            lines: self.lines.clone(),
            scratch: Scratch::new(&self.name),
        }
    }

    /// Sets a variable of its environment, in place of an earlier one of that name.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(other, _)| other != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets its command, arguments and all.
    #[must_use]
    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds a line of its entry, such as `idle: {ttl: 100ms}`, in place of an earlier one of that key.
    #[must_use]
    pub fn set(mut self, line: &str) -> Self {
        let key = |line: &str| line.split(':').next().map(str::to_owned);
        self.lines.retain(|other| key(other) != key(line));
        self.lines.push(line.to_owned());
        self
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs it without Reveille, to look at the app or the harness itself. It is told to end on drop.
    pub fn run_alone(&self) -> Alone {
        let (program, arguments) = self.command.split_first().expect("an app has a command");
        let env = self.env.iter().map(|(key, value)| (key, value));
        let child = Command::new(program)
            .args(arguments)
            .envs(env)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Alone(child.expect("the app can be started"))
    }

    /// Its entry of `apps:`.
    pub fn yaml(&self) -> String {
        // JSON is YAML: nothing has to be quoted by hand.
        let env: serde_json::Map<_, _> =
            self.env.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let mut text = format!("  - name: {}\n    command: {}\n", self.name, json!(self.command));
        text += &format!("    env: {}\n", json!(env));
        if !self.lines.iter().any(|line| line.starts_with("ports:")) {
            let (listen, upstream) = (self.listen, self.upstream);
            text += &format!(
                "    ports: [{{listen: \"127.0.0.1:{listen}\", upstream: \"127.0.0.1:{upstream}\"}}]\n"
            );
        }
        for line in &self.lines {
            text += &format!("    {line}\n");
        }
        text
    }

    /// Says more about its port, such as `protocol: tcp`.
    #[must_use]
    pub fn port(self, more: &str) -> Self {
        let (listen, upstream) = (self.listen, self.upstream);
        self.set(&format!(
            "ports: [{{listen: \"127.0.0.1:{listen}\", upstream: \"127.0.0.1:{upstream}\", {more}}}]"
        ))
    }

    /// Where the slow server logs.
    pub fn log(&self) -> PathBuf {
        let set = self.env.iter().find(|(key, _)| key == "SLOW_LOG");
        set.map_or_else(|| self.scratch.file("slow.log"), |(_, path)| path.into())
    }

    /// What the slow server logged of one kind.
    pub fn events(&self, kind: &str) -> Vec<Event> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let event = |line: &str| {
            let mut words = line.splitn(4, ' ');
            Some(Event {
                at: Duration::from_micros(words.next()?.parse().ok()?),
                pid: words.next()?.parse().ok()?,
                kind: words.next()?.to_owned(),
                detail: words.next().unwrap_or_default().to_owned(),
            })
        };
        text.lines().filter_map(event).filter(|event| event.kind == kind).collect()
    }

    /// How often the slow server was started.
    pub fn starts(&self) -> usize {
        self.events("start").len()
    }

    /// The requests whose path begins so, among those that reached the slow server.
    pub fn requests(&self, path: &str) -> usize {
        let is_it = |event: &Event| event.detail.split(' ').nth(1).is_some_and(|p| p.starts_with(path));
        self.events("request").iter().filter(|event| is_it(event)).count()
    }

    /// Waits until the slow server has been started so often; returns the process of that start.
    #[track_caller]
    pub fn await_start(&self, number: usize, limit: Duration) -> Process {
        let what = format!("{} is started {number} times", self.name);
        let pid = until_some(&what, limit, || Some(self.events("start").get(number - 1)?.pid));
        Process::of(pid).expect("the server that has just logged its start runs")
    }

    /// Waits until a request whose path begins so has reached the slow server.
    #[track_caller]
    pub fn await_request(&self, path: &str, limit: Duration) {
        until(&format!("{} got a request for {path}", self.name), limit, || self.requests(path) > 0);
    }
}

/// The file of these apps, without the lines of Reveille itself.
pub fn file(apps: &[&App]) -> String {
    let entries: String = apps.iter().map(|app| app.yaml()).collect();
    format!("apps:\n{entries}")
}
