//! Starting an app, and what is told of it.

use std::{
    fs::{self, File},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{SigHandler, Signal, signal},
};
use reveille_controller::local::process::{Event, Exit};
use tokio::time::timeout;

use crate::tools::*;

pub(crate) async fn an_exit_code_is_told() {
    let mut process = sh("exit 3");
    let Event::Started { pid } = event(&mut process).await else { panic!("it starts first") };
    assert_eq!(process.pid(), Some(pid));
    assert_eq!(event(&mut process).await, Event::Exited(Exit::Code(3)));
    assert_eq!(event(&mut process).await, Event::Gone);
    assert_eq!(event(&mut process).await, Event::Gone);
}

pub(crate) async fn an_end_by_a_real_time_signal_is_told() {
    assert_eq!(rest(&mut sh("kill -40 $$")).await, [Event::Exited(Exit::Signal(40)), Event::Gone]);
}

pub(crate) async fn a_missing_program_is_told_with_a_hint() {
    let script = std::env::temp_dir().join(format!("reveille-guardian-test-{}", std::process::id()));
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let plain = script.to_str().unwrap();
    let mut nowhere = command(&["sh", "-c", "exit 0"]);
    nowhere.working_dir = "/no/such/folder".into();
    let cases = [
        (command(&["/no/such/program", "x"]), ["/no/such/program", "install it"]),
        (command(&[plain]), [plain, "make the file executable"]),
        (nowhere, ["/no/such/folder", "does not exist"]),
    ];
    for (command, words) in cases {
        let mut process = start(&command, &[]);
        let Event::CannotStart { reason } = event(&mut process).await else { panic!("{command:?} started") };
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        assert_eq!((event(&mut process).await, process.pid()), (Event::Gone, None));
    }
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut process = start(&command(&[plain]), &[]);
    let Event::CannotStart { reason } = event(&mut process).await else { panic!("it has no interpreter") };
    assert!(reason.contains("interpreter"), "{reason}");
    fs::remove_file(script).unwrap();
}

pub(crate) async fn the_app_is_given_its_environment_and_folder() {
    let mut command = command(&["sh", "-c", r#"echo "$0 $1 $A $PORT $PATH_IS_SET"; pwd"#, "na me", "$A"]);
    command.env = [("A", "one"), ("PORT", "1")].map(|(name, value)| (name.into(), value.into())).into();
    command.working_dir = "/proc".into();
    // More than a pipe holds: the guardian must read while it is written.
    let long = "x".repeat(100_000);
    let mut process = start(&command, &[("PORT", "2"), ("LONG", &long)]);
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Code(0)), Event::Gone]);
    assert_eq!(process.tail().lines(), ["na me $A one 2", "/proc"]);
}

pub(crate) async fn the_app_inherits_nothing_of_the_guardian() {
    let inherited = File::open("/dev/zero").unwrap();
    fcntl(&inherited, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let before = dispose_sigusr1(SigHandler::SigIgn);
    let mut process =
        sh("ls /proc/self/fd; readlink /proc/self/fd/0; grep -E 'Sig(Blk|Ign)' /proc/self/status");
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Code(0)), Event::Gone]);
    dispose_sigusr1(before);
    drop(inherited);
    let lines = process.tail().lines();
    // The last file is the folder itself while it is listed.
    assert_eq!(lines[..6], ["0", "1", "2", "3", "/dev/null", "SigBlk: 0000000000000000"]);
    let ignored = u64::from_str_radix(lines[6].strip_prefix("SigIgn: ").unwrap(), 16).unwrap();
    let of_the_c_library = 0b11 << 31; // 32 and 33, which it lets nobody set
    assert_eq!(ignored & !of_the_c_library, 0, "{lines:?}");
}

#[expect(unsafe_code, reason = "signal is unsafe for the sake of handlers")]
fn dispose_sigusr1(how: SigHandler) -> SigHandler {
    // SAFETY: neither disposition that is set here is a handler.
    unsafe { signal(Signal::SIGUSR1, how) }.unwrap()
}

pub(crate) async fn the_output_is_complete_when_the_exit_is_told() {
    let mut process = sh("seq 1 100000; echo cannot bind >&2; exit 1");
    while event(&mut process).await != Event::Exited(Exit::Code(1)) {}
    let lines = process.tail().lines();
    assert_eq!(lines.len(), 20);
    assert_eq!(lines[18..], ["100000", "cannot bind"]);
    assert_eq!(event(&mut process).await, Event::Gone);
}

pub(crate) async fn endless_output_takes_no_memory() {
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = resident();
    let mut process = sh("head -c 300000000 /dev/zero");
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Code(0)), Event::Gone]);
    let grown = resident().saturating_sub(before);
    assert!(grown < 8_000, "{grown} kB more for 300 MB without a newline");
    let lines = process.tail().lines();
    assert!(lines.len() == 1 && lines[0].len() <= 300, "{lines:?}");
}

pub(crate) async fn a_foreign_holder_of_the_output_does_not_hang_the_end() {
    let mut process = sh("echo ready; exec sleep 600");
    let Event::Started { pid } = event(&mut process).await else { panic!("it starts first") };
    let held = File::options().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    process.kill();
    assert_eq!(rest(&mut process).await, [Event::Exited(Exit::Signal(9)), Event::Gone]);
    drop(held);
}

pub(crate) async fn no_event_is_lost_to_a_cancelled_future() {
    let mut process = sh("sleep 0.05; exit 7");
    let mut events = Vec::new();
    let listening = async {
        while events.last() != Some(&Event::Gone) {
            if let Ok(event) = timeout(Duration::from_micros(200), process.event()).await {
                events.push(event);
            }
        }
    };
    timeout(DEADLINE, listening).await.unwrap();
    assert!(matches!(events[0], Event::Started { .. }), "{events:?}");
    assert_eq!(events[1..], [Event::Exited(Exit::Code(7)), Event::Gone]);
}
