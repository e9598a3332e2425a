//! The parts that this program plays besides the test: a Reveille to be killed, and a server with a worker
//! that shares its socket, as nginx has.

use std::{
    ffi::OsString,
    io::Write,
    net::TcpListener,
    process::{Command, ExitCode},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::pause,
};

use crate::tools::{FAMILY, family_of, own_exe, sh};

/// Runs an app, prints all processes as `pid N`, then `ready`, and waits to be killed.
pub(crate) fn reveille() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let process = sh(FAMILY);
        for pid in family_of(&process).await {
            println!("pid {pid}");
        }
        println!("pid {}", process.guardian_pid());
        println!("ready");
        std::io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
        drop(process);
    });
    ExitCode::SUCCESS
}

/// Listens, starts a worker that inherits the socket, prints it as `pid N`, then `ready`.
pub(crate) fn server(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let addr = arguments.next().unwrap().into_string().unwrap();
    let listener = TcpListener::bind(addr).unwrap();
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut worker = Command::new(own_exe()).arg("worker").spawn().unwrap();
    println!("pid {}\nready", worker.id());
    worker.wait().unwrap();
    ExitCode::SUCCESS
}

pub(crate) fn worker() -> ExitCode {
    pause();
    ExitCode::SUCCESS
}
