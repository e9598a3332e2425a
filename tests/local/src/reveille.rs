//! One running Reveille: the real program, its file in a folder of its own, its log kept, its end checked.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    admin::Admin,
    ports,
    process::Process,
    product,
    scratch::Scratch,
    wait::{ms, pause, secs, until},
};

/// How many lines of the log a failed test shows.
const SHOWN_LINES: usize = 60;

/// One running Reveille. It is killed when this is dropped; [`stop`](Self::stop) ends it as a user would.
#[derive(Debug)]
pub struct Reveille {
    /// Its admin port.
    pub admin: Admin,
    child: Child,
    process: Process,
    scratch: Scratch,
}

impl Reveille {
    /// Starts it with this file (`apps:` and what else is wanted; the admin port is added) and waits until it
    /// is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[])
    }

    /// Starts it with more arguments.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn start_with(yaml: &str, arguments: &[&str]) -> Self {
        Self::start_in(yaml, arguments, &[])
    }

    /// Starts it with more arguments and more environment.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn start_in(yaml: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new("reveille");
        let admin = Admin { port: ports::free() };
        let file = scratch.write("reveille.yaml", &with_admin(yaml, admin));
        let log = File::create(scratch.file("log")).expect("the test's own folder can be written");
        let child = Command::new(product::reveille())
            .args(["local", "-c"])
            .arg(file)
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect("reveille can be started");
        let process = Process::of(child.id()).expect("a child that nobody waited for has its entry in /proc");
        let mut this = Self { admin, child, process, scratch };
        until("reveille is ready", secs(20), || {
            if let Some(status) = this.ended() {
                panic!("reveille ended instead of starting: {status}\n{}", this.log());
            }
            admin.is_ready()
        });
        this
    }

    /// Replaces its file, and says nothing about it.
    pub fn write_file(&self, yaml: &str) {
        self.scratch.write("reveille.yaml", &with_admin(yaml, self.admin));
    }

    /// Replaces its file and tells it so by SIGHUP.
    pub fn reload(&self, yaml: &str) {
        self.write_file(yaml);
        self.process.signal(Signal::SIGHUP);
    }

    /// Its file.
    pub fn file(&self) -> PathBuf {
        self.scratch.file("reveille.yaml")
    }

    /// Its process.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.file("log")).unwrap_or_default()
    }

    /// The lines of its log that are JSON and have this field, with the field's value.
    pub fn logged(&self, field: &str) -> Vec<(Value, Value)> {
        let value = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let value = line.get(field).or_else(|| line.get("fields")?.get(field))?.clone();
            Some((line, value))
        };
        self.log().lines().filter_map(value).collect()
    }

    /// Runs the command line against it.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(product::reveille());
        command.args(arguments).env("REVEILLE_SERVER", format!("http://127.0.0.1:{}", self.admin.port));
        command.stdin(Stdio::null()).output().expect("reveille can be run")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its exit status, if it has ended.
    ///
    /// # Panics
    /// If it is no child of this process.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is a child of this process")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn await_end(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(started.elapsed() < limit, "reveille did not end within {limit:?}");
            pause(ms(10));
        }
    }

    /// Ends it by SIGTERM: it must exit with 0 and leave no process behind.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn stop(mut self) {
        let below = self.process.descendants();
        self.signal(Signal::SIGTERM);
        let status = self.await_end(secs(40));
        assert_eq!(status.code(), Some(0), "exit after SIGTERM: {status}");
        assert_gone(&below, secs(5));
        assert!(!self.log().contains("panicked at"), "reveille panicked: {}", self.tail());
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

/// Waits until none of these processes runs.
///
/// # Panics
/// If one still does at the end of `limit`, with its command line.
#[track_caller]
pub fn assert_gone(processes: &[Process], limit: Duration) {
    let started = Instant::now();
    loop {
        let left: Vec<_> = processes.iter().filter(|process| process.runs()).collect();
        if left.is_empty() {
            return;
        }
        let named: Vec<_> = left.iter().map(|process| (process.pid, process.command_line())).collect();
        assert!(started.elapsed() < limit, "left behind after {limit:?}: {named:?}");
        pause(ms(10));
    }
}

fn with_admin(yaml: &str, admin: Admin) -> String {
    format!("admin: \"127.0.0.1:{}\"\n{yaml}", admin.port)
}

impl Drop for Reveille {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln_captured(&format!("--- the end of reveille's log ---\n{}", self.tail()));
        }
        let below = self.process.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The product has to see to this itself (there is a test for it); a failed test must not go on
        // disturbing the others.
        let patience = Instant::now();
        while below.iter().any(|process| process.runs()) && patience.elapsed() < secs(3) {
            pause(ms(10));
        }
        for process in below {
            process.signal(Signal::SIGKILL);
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows this with the failed test")]
fn eprintln_captured(text: &str) {
    eprintln!("{text}");
}
