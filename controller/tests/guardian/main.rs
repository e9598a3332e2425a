//! Runs real processes under real guardians. A guardian is the program itself, started again: so this test
//! has a main of its own, which plays the part that its first argument names and otherwise runs the tests.
//!
//! Needs `sh`, `setsid`, `sleep`, `seq`, `head`, `cat` and `ls`, which every Linux has.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this is a test")]

mod cases;
mod endings;
mod parts;
mod tools;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    process::ExitCode,
};

use reveille_controller::local::guardian;

/// A test: it fails by a panic.
type Case = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// Lists tests by the names of their functions.
macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((stringify!($name), || Box::pin($module::$name()))),*]
    };
}

const CASES: &[Case] = cases![
    cases::an_exit_code_is_told,
    cases::an_end_by_a_real_time_signal_is_told,
    cases::a_missing_program_is_told_with_a_hint,
    cases::the_app_is_given_its_environment_and_folder,
    cases::the_app_inherits_nothing_of_the_guardian,
    cases::the_output_is_complete_when_the_exit_is_told,
    cases::endless_output_takes_no_memory,
    cases::a_foreign_holder_of_the_output_does_not_hang_the_end,
    cases::no_event_is_lost_to_a_cancelled_future,
    endings::sigterm_is_honoured,
    endings::ignored_sigterm_is_followed_by_sigkill,
    endings::what_left_the_group_is_gone_after_stop,
    endings::leftovers_of_an_app_that_ended_are_gone,
    endings::a_dropped_handle_kills_everything,
    endings::a_stop_that_is_dropped_kills_everything,
    endings::a_port_that_a_worker_shares_is_free_when_gone,
    endings::nothing_outlives_a_killed_reveille,
    endings::nothing_outlives_a_killed_guardian,
    endings::signals_do_not_end_a_guardian,
    endings::many_runs_leave_no_zombie_and_no_open_file,
];

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next().and_then(|argument| argument.into_string().ok()).unwrap_or_default();
    match first.as_str() {
        guardian::SUBCOMMAND => guardian::main(arguments),
        "reveille" => parts::reveille(),
        "server" => parts::server(arguments),
        "worker" => parts::worker(),
        filter => run(if filter.starts_with('-') { "" } else { filter }),
    }
}

fn run(filter: &str) -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(filter)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(case())));
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        match result {
            Ok(()) => passed += 1,
            Err(_) => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
