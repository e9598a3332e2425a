//! What the cases share: starting, waiting for conditions, looking at processes.

use std::{collections::BTreeMap, env, fs, path::PathBuf, time::Duration};

use reveille_controller::local::{
    config::Command,
    process::{Event, Process, Spawn, spawn},
};
use reveille_core::app::AppId;
use tokio::time::{sleep, timeout};

/// No condition takes this long, however busy the machine: when it has passed, the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A grace that never passes in a test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A shell that starts one child in its group, with an empty environment, and one that double-forks out of
/// its session, prints all three as `pid N`, and stays.
pub(crate) const FAMILY: &str = r#"
    env -i /bin/sleep 600 & echo "pid $!"
    setsid sh -c 'sleep 600 & echo "pid $!"'
    echo "pid $$"
    echo ready
    exec sleep 600
"#;

pub(crate) fn command(argv: &[&str]) -> Command {
    let program = if argv[0].contains('/') { argv[0].into() } else { PathBuf::from("/bin").join(argv[0]) };
    Command {
        argv: argv.iter().map(|word| (*word).into()).collect(),
        program,
        env: BTreeMap::new(),
        working_dir: "/".into(),
        stop_grace: LONG,
    }
}

pub(crate) fn start(command: &Command, extra_env: &[(&str, &str)]) -> Process {
    let extra_env = extra_env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let guardian_exe = "/proc/self/exe".into();
    spawn(&Spawn { guardian_exe, app: AppId::local("test"), command, extra_env }).unwrap()
}

pub(crate) fn sh(script: &str) -> Process {
    start(&command(&["sh", "-c", script]), &[])
}

/// This program in another part.
pub(crate) fn own_exe() -> String {
    env::current_exe().unwrap().into_os_string().into_string().unwrap()
}

/// The next event, or a failure.
pub(crate) async fn event(process: &mut Process) -> Event {
    timeout(DEADLINE, process.event()).await.expect("an event before the deadline")
}

/// All events up to `Gone`, after `Started` was left out.
pub(crate) async fn rest(process: &mut Process) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last() != Some(&Event::Gone) {
        let event = event(process).await;
        if !matches!(event, Event::Started { .. }) {
            events.push(event);
        }
    }
    events
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not before the deadline: {what}"));
}

/// Waits until the app has printed `ready`, and returns the processes that it named before.
pub(crate) async fn family_of(process: &Process) -> Vec<i32> {
    let tail = process.tail();
    until("the app prints `ready`", || tail.lines().iter().any(|line| line == "ready")).await;
    let pids = pids_in(&tail.lines());
    assert!(!pids.is_empty() && pids.iter().all(|pid| is_alive(*pid)), "{:?}", tail.lines());
    pids
}

pub(crate) fn pids_in(lines: &[String]) -> Vec<i32> {
    lines.iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).collect()
}

/// Whether a process runs: one that only waits to be reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

pub(crate) fn alive(pids: &[i32]) -> Vec<i32> {
    pids.iter().copied().filter(|pid| is_alive(*pid)).collect()
}
