//! The guardian's children: starting the app, noticing ends, killing what is left.
//!
//! Only direct children are killed by their number. They cannot be mistaken for another process, since
//! nobody else can reap them; and whatever they leave behind becomes a direct child in its turn, because the
//! guardian is a subreaper. So a tree of any shape is gone when `waitpid` knows no child any more.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{SigSet, Signal, kill, killpg},
    },
    unistd::{Pid, getpid, getppid},
};

use super::protocol::{Report, Start};
use crate::local::procfs;

/// Starts the app in a process group of its own, with nothing of the guardian about it.
pub(super) fn start(start: &Start, output: OwnedFd) -> io::Result<Pid> {
    let (name, arguments) = start.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(&start.program);
    command
        .arg0(name)
        .args(arguments)
        .envs(start.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&start.working_dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    let guardian = getpid();
    #[expect(unsafe_code, reason = "what runs between fork and exec cannot be checked by the compiler")]
    // SAFETY: the closure makes system calls only: it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || prepare_app(guardian));
    }
    let app = command.spawn()?.id();
    Ok(Pid::from_raw(i32::try_from(app).expect("the kernel's process ids fit into pid_t")))
}

/// Runs in the app's first process before it becomes the program.
fn prepare_app(guardian: Pid) -> io::Result<()> {
    // Reliable here, and only here: the thread that forked is the guardian's only one.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != guardian {
        return Err(Errno::ESRCH.into()); // the guardian died before the line above
    }
    for signal in 1..=64 {
        #[expect(unsafe_code, reason = "signal is unsafe for the sake of handlers")]
        // SAFETY: there is no handler, only the default. It fails for the few that cannot be changed.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Says why [`start`] failed, in words that name the thing to mend.
pub(super) fn explain(start: &Start, error: &io::Error) -> String {
    let (program, dir) = (Path::new(&start.program), Path::new(&start.working_dir));
    let hint = match error.kind() {
        _ if !dir.is_dir() => return format!("its working directory {} does not exist", dir.display()),
        io::ErrorKind::NotFound if program.exists() => "the interpreter that the file names is missing",
        io::ErrorKind::NotFound => "install it, or correct the first word of its command",
        io::ErrorKind::PermissionDenied => "make the file executable, and its folders accessible",
        _ => return format!("{} could not be run: {error}", program.display()),
    };
    format!("{} could not be run: {error}; {hint}", program.display())
}

/// What one look at the children showed.
pub(super) enum Reaped {
    /// The app's first process ended, like this.
    App(Report),
    /// Another one ended.
    Other,
    /// All that are left still run.
    NoneNow,
    /// None is left.
    NoneLeft,
}

/// Reaps one child, if one has ended.
pub(super) fn reap(app: Pid) -> Reaped {
    let mut status = 0;
    #[expect(unsafe_code, reason = "nix's waitpid cannot name real-time signals and loses the pid with them")]
    // SAFETY: the pointer is valid for the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match pid {
        0 => Reaped::NoneNow,
        -1 if Errno::last() == Errno::ECHILD => Reaped::NoneLeft,
        _ if pid != app.as_raw() => Reaped::Other,
        _ if libc::WIFEXITED(status) => Reaped::App(Report::ExitedWithCode(libc::WEXITSTATUS(status))),
        _ => Reaped::App(Report::EndedBySignal(libc::WTERMSIG(status))),
    }
}

/// Sends a signal to the app's process group. To be called only while its first process is not reaped:
/// afterwards the number may name another group.
pub(super) fn signal_group(app: Pid, signal: Signal) {
    if killpg(app, signal) == Err(Errno::ESRCH) {
        // It has left its own group for another one.
        let _ = kill(app, signal);
    }
}

/// Kills every direct child.
pub(super) fn kill_all() {
    let me = getpid().as_raw();
    let kill_one = |pid| {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    };
    match fs::read_to_string(format!("/proc/self/task/{me}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).for_each(kill_one),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => procfs::processes().filter(|stat| stat.parent == me).for_each(|stat| kill_one(stat.pid)),
    }
}
