//! How a process becomes a guardian: what it must be before it may have children.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    sys::{
        prctl,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::dup2_stderr,
};

/// The first file that is none of stdin, stdout and stderr.
const FIRST_INHERITED: libc::c_uint = 3;

/// The three ends that lead to Reveille.
pub(super) struct Pipes {
    /// Orders; its end is the order to kill.
    pub(super) control: File,
    /// Reports.
    pub(super) report: File,
    /// Where the app writes.
    pub(super) output: OwnedFd,
}

/// Takes the ends of the pipes from stdin, stdout and stderr.
pub(super) fn take_pipes() -> io::Result<Pipes> {
    close_inherited();
    let pipes = Pipes {
        control: io::stdin().as_fd().try_clone_to_owned()?.into(),
        report: io::stdout().as_fd().try_clone_to_owned()?.into(),
        output: io::stderr().as_fd().try_clone_to_owned()?,
    };
    // Or the output would not end while the guardian lives.
    dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    Ok(pipes)
}

/// Closes what Reveille's own parent left open, so that nobody waits for the app to close it.
#[expect(unsafe_code, reason = "there is no safe way to close a file that nothing here owns")]
fn close_inherited() {
    // SAFETY: this is the first thing that the process does: nothing in it has opened a file yet. The raw
    // system call, because the C library's wrapper is younger than the oldest one that we run on.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, 0) };
    if closed == -1 {
        // Before Linux 5.9. The numbers are collected first: the directory is itself an open file.
        let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        let open: Vec<i32> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        for fd in open.into_iter().filter(|fd| *fd > 2) {
            // SAFETY: as above. The directory is closed already, and closing its number again only fails.
            unsafe { libc::close(fd) };
        }
    }
}

/// Becomes what adopts and outlives: no signal but SIGKILL ends it, orphans among its descendants become its
/// children, and their ends can be waited for with the returned file.
pub(super) fn become_guardian() -> nix::Result<SignalFd> {
    // An ignored SIGCHLD, which is inherited, would lose every exit code.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "sigaction is unsafe for the sake of handlers")]
    // SAFETY: there is no handler, only the default.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    // Blocked is as good as ignored, but is not inherited by mistake: the app's mask is cleared.
    SigSet::all().thread_set_mask()?;
    prctl::set_name(c"rv-guardian")?;
    prctl::set_child_subreaper(true)?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}
