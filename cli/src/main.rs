//! The `reveille` program. Everything is in the library, so that tests reach it.

use std::{env, process::ExitCode};

use reveille_controller::local::guardian;

/// Chosen by measurement: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, while the process has one thread and has opened nothing: a guardian forks.
    if env::args_os().nth(1).is_some_and(|word| word == guardian::SUBCOMMAND) {
        return guardian::main(env::args_os().skip(2));
    }
    reveille_cli::main(env::args_os())
}
