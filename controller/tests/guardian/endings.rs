//! Ending an app: nothing is left of it, whoever dies first.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reveille_controller::local::{
    process::{Event, Exit},
    upstream,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::tools::*;

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

pub(crate) async fn sigterm_is_honoured() {
    let process =
        sh("trap 'echo bye; exit 0' TERM; echo pid $$; echo ready; while :; do sleep 600 & wait; done");
    let (pids, tail) = (family_of(&process).await, process.tail());
    let exit = timeout(DEADLINE, process.stop(LONG)).await.unwrap();
    assert_eq!((exit, alive(&pids)), (Some(Exit::Code(0)), vec![]));
    assert_eq!(tail.lines().last().unwrap(), "bye");
}

pub(crate) async fn ignored_sigterm_is_followed_by_sigkill() {
    let process =
        sh("trap '' TERM; sleep 600 & echo pid $!; echo pid $$; echo ready; while :; do sleep 600; done");
    let pids = family_of(&process).await;
    let exit = timeout(DEADLINE, process.stop(Duration::from_millis(100))).await.unwrap();
    assert_eq!((exit, alive(&pids)), (Some(Exit::Signal(9)), vec![]));
}

pub(crate) async fn what_left_the_group_is_gone_after_stop() {
    let process = sh(FAMILY);
    let pids = family_of(&process).await;
    assert_eq!(pids.len(), 3);
    let exit = timeout(DEADLINE, process.stop(LONG)).await.unwrap();
    assert_eq!((exit, alive(&pids)), (Some(Exit::Signal(15)), vec![]));
}

pub(crate) async fn leftovers_of_an_app_that_ended_are_gone() {
    let mut process = sh(&FAMILY.replace("exec sleep 600", "exit 5"));
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Code(5)), Event::Gone]);
    let pids = pids_in(&process.tail().lines());
    assert_eq!((pids.len(), alive(&pids)), (3, vec![]));
}

pub(crate) async fn a_dropped_handle_kills_everything() {
    let process = sh(FAMILY);
    let pids = family_of(&process).await;
    let guardian = process.guardian_pid();
    drop(process);
    until("all are dead", || alive(&pids).is_empty()).await;
    until("the guardian is reaped", || !fs::exists(format!("/proc/{guardian}")).unwrap()).await;
}

pub(crate) async fn a_stop_that_is_dropped_kills_everything() {
    let process = sh(&format!("trap '' TERM; {FAMILY}"));
    let pids = family_of(&process).await;
    assert!(timeout(Duration::from_millis(20), process.stop(LONG)).await.is_err());
    until("all are dead", || alive(&pids).is_empty()).await;
}

pub(crate) async fn a_port_that_a_worker_shares_is_free_when_gone() {
    for victim in [Signal::SIGKILL, Signal::SIGTERM] {
        let port = upstream::choose(&HashSet::new()).unwrap();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = start(&command(&[&own_exe(), "server", &addr.to_string()]), &[]);
        let Event::Started { pid } = event(&mut process).await else { panic!("it starts first") };
        let worker = family_of(&process).await;
        let taken = upstream::check_free(addr).unwrap_err();
        assert!(taken.contains("(pid "), "{taken}");
        send(pid, victim); // to the master alone
        assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Signal(victim as i32)), Event::Gone]);
        assert_eq!((upstream::check_free(addr), alive(&worker)), (Ok(()), vec![]));
    }
}

pub(crate) async fn nothing_outlives_a_killed_reveille() {
    let mut reveille =
        tokio::process::Command::new(own_exe()).arg("reveille").stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(reveille.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "ready") {
        let line = timeout(DEADLINE, printed.next_line()).await.unwrap().unwrap();
        lines.push(line.expect("the copy says that it is ready"));
    }
    let pids = pids_in(&lines);
    assert_eq!(alive(&pids).len(), 4, "{lines:?}");
    reveille.kill().await.unwrap(); // SIGKILL
    until("all are dead", || alive(&pids).is_empty()).await;
}

pub(crate) async fn nothing_outlives_a_killed_guardian() {
    let mut process = sh(FAMILY);
    let pids = family_of(&process).await;
    let guardian = process.guardian_pid();
    send(guardian, Signal::SIGKILL);
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::GuardianLost), Event::Gone]);
    assert_eq!(alive(&pids), [0; 0]);
    assert!(!fs::exists(format!("/proc/{guardian}")).unwrap(), "it is reaped");
}

pub(crate) async fn signals_do_not_end_a_guardian() {
    let mut process = sh(FAMILY);
    family_of(&process).await;
    let guardian = process.guardian_pid();
    assert_eq!(fs::read_to_string(format!("/proc/{guardian}/comm")).unwrap(), "rv-guardian\n");
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGTERM, Signal::SIGQUIT] {
        send(guardian, signal);
    }
    // Had it died of one, this would be `GuardianLost`.
    process.terminate();
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Signal(15)), Event::Gone]);
}

pub(crate) async fn many_runs_leave_no_zombie_and_no_open_file() {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    let children = || {
        let me = format!("/proc/{0}/task/{0}/children", std::process::id());
        fs::read_to_string(me).unwrap_or_default()
    };
    rest(&mut sh("exit 0")).await; // what is opened once is opened now
    let files = count("/proc/self/fd");
    for _ in 0..20 {
        let mut runs: Vec<_> = (0..5).map(|n| sh(&format!("exit {n}"))).collect();
        for (n, run) in (0..).zip(&mut runs) {
            assert_eq!(rest(run).await, [Event::Exited(Exit::Code(n)), Event::Gone]);
        }
    }
    until("all files are closed", || count("/proc/self/fd") <= files).await;
    assert_eq!(children(), "");
}
