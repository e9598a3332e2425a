//! The programs that a cluster is made of, and the tools that are run beside them.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// A tool that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a log is shown.
const TAIL_LINES: usize = 30;

/// One program of the cluster, such as the API server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts `command`, which writes to `log`, at its end.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file.unwrap_or_else(|error| panic!("{} cannot be written: {error}", log.display()));
        let copy = file.try_clone().expect("a file can be duplicated");
        command.stdin(Stdio::null()).stdout(copy).stderr(file).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), log: log.to_owned(), child }
    }

    /// Sends it a signal. `SIGSTOP` makes it hang, `SIGCONT` lets it go on.
    ///
    /// # Panics
    /// If it ended.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        let pid = i32::try_from(pid).expect("Linux keeps pids below 2^22");
        kill(Pid::from_raw(pid), signal).expect("a child that nobody waited for can be signalled");
    }

    /// Ends it at once.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await; // which fails where it has ended already
    }

    /// For loops that wait for what it does.
    ///
    /// # Panics
    /// If it ended, with the end of its log.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
            panic!("{} ended ({status}); {}:\n{}", self.name, self.log.display(), tail(&self.log));
        }
    }
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// What a tool said.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it answered.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Its answer, without the white space around it.
    ///
    /// # Panics
    /// If it failed, with what it said.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}\n{}{}", self.command, self.status, self.stdout, self.stderr);
        self.stdout.trim().to_owned()
    }
}

/// Makes a command of a program and its arguments.
pub fn command(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a tool to its end.
///
/// # Panics
/// If it does not start, or hangs.
pub async fn run(command: Command) -> Output {
    run_with(command, "").await
}

/// Runs a tool that reads `input`.
///
/// # Panics
/// If it does not start, or hangs.
pub async fn run_with(command: Command, input: &str) -> Output {
    run_within(command, input, PATIENCE).await
}

/// Runs a tool that may take so long.
///
/// # Panics
/// If it does not start, or hangs.
pub async fn run_within(mut command: Command, input: &str, patience: Duration) -> Output {
    let text = describe(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{text}: does not start: {error}"));
    let mut stdin = child.stdin.take().expect("its standard input is a pipe");
    let output = tokio::time::timeout(patience, async {
        let write = async move {
            let _ = stdin.write_all(input.as_bytes()).await; // what does not read is free not to
        };
        tokio::join!(write, child.wait_with_output()).1
    });
    let output = output.await.unwrap_or_else(|_| panic!("{text}: hangs"));
    let output = output.unwrap_or_else(|error| panic!("{text}: {error}"));
    Output {
        command: text,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn describe(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
