//! Many requests at once.

use std::time::{Duration, Instant};

use reveille_tests_local::{App, Conn, Reveille, app::file, report::figure, until, wait::ms};

use crate::support::{SOON, sleep};

const CROWD: usize = 1_000;

/// Sends a crowd's requests, each over a connection of its own, before any answer is read.
fn send_crowd(port: u16) -> (Vec<Conn>, Duration) {
    let started = Instant::now();
    let mut conns: Vec<Conn> = (0..CROWD).map(|_| Conn::open(port)).collect();
    for (number, conn) in conns.iter_mut().enumerate() {
        conn.send_get(&format!("/crowd/{number}"));
    }
    (conns, started.elapsed())
}

fn assert_all_answered(conns: &mut [Conn]) {
    for (number, conn) in conns.iter_mut().enumerate() {
        let answer = conn.answer();
        assert_eq!(
            (answer.status(), answer.text()),
            (200, "ok".into()),
            "request {number}: {:?}",
            answer.head
        );
    }
}

#[test]
fn a_thousand_requests_at_once_cause_one_wake_and_are_admitted_in_order_of_arrival() {
    let app = App::starting_in("crowd", 2_000);
    let reveille = Reveille::start_with(&file(&[&app]), &["--access-log"]);
    let (mut conns, sent_in) = send_crowd(app.listen);
    assert_all_answered(&mut conns);

    assert_eq!(app.starts(), 1, "processes started");
    assert_eq!(reveille.admin.metric("reveille_wakes_total", &[("app", "crowd")]), 1.0);
    assert_eq!(app.requests("/crowd/"), CROWD, "each request was delivered once");

    // The line of a request is written when it ends, so the last ones may still be on their way.
    let all_lines = || reveille.logged("admitted").iter().filter(|(_, value)| value.is_u64()).count();
    if sent_in < ms(1_500) {
        until("every request of the crowd was held and logged", SOON, || all_lines() == CROWD);
    }
    let mut admitted: Vec<(u64, u64)> = reveille
        .logged("hold_ticket")
        .iter()
        .filter_map(|(line, ticket)| {
            let admitted = line.get("admitted").or_else(|| line["fields"].get("admitted"))?;
            Some((ticket.as_u64()?, admitted.as_u64()?))
        })
        .collect();
    assert!(admitted.len() > CROWD / 2, "only {} requests were held", admitted.len());
    admitted.sort_unstable();
    for pair in admitted.windows(2) {
        assert!(pair[0].1 < pair[1].1, "a newcomer was admitted first: (ticket, admitted) {pair:?}");
    }
    figure(
        "crowd",
        &format!(
            "{CROWD} requests sent in {sent_in:?}, {} held, 1 wake, {CROWD} x 200, in order",
            admitted.len()
        ),
    );
    drop(conns);
    reveille.stop();
}

#[test]
fn crowds_leave_neither_memory_nor_open_files_behind() {
    let app = App::starting_in("again", 300).set("idle: {ttl: never}");
    // The allocator gives back at once what is free, so that resident memory tells what is in use.
    let thrifty = [("MIMALLOC_PURGE_DELAY", "0")];
    let reveille = Reveille::start_in(&file(&[&app]), &[], &thrifty);
    let process = reveille.process();
    let baseline = process.open_files();
    let mut resident = Vec::new();
    for round in 0..14 {
        let (mut conns, _) = send_crowd(app.listen);
        assert_all_answered(&mut conns);
        drop(conns);
        until("no request is in flight", SOON, || reveille.admin.in_flight("again") == 0);
        sleep(&reveille, "again");
        let limit = baseline + 16;
        until(&format!("open files are back at {baseline} after round {round}"), SOON, || {
            process.open_files() <= limit
        });
        resident.push(process.resident_kib());
    }
    figure("crowd", &format!("resident KiB after each crowd of {CROWD}: {resident:?}"));
    // Live bytes are counted exactly in `activator/tests/heap.rs`. Resident memory also shows how the allocator's
    // free space is scattered, which varies by some MiB; here it is for whatever is not the heap's or not the
    // data plane's, and a connection's buffers left behind (8 KiB and more for each request) cannot hide in it: it
    // would be 32 MiB over four crowds.
    let least = |rounds: &[u64]| rounds.iter().copied().min().unwrap_or_default();
    let grown = least(&resident[10..]).saturating_sub(least(&resident[6..10]));
    assert!(grown < 24 * 1024, "resident memory grew by {grown} KiB over four crowds: {resident:?}");
}

#[test]
fn a_crowd_within_a_concurrency_limit_is_served_at_the_pace_of_the_app() {
    let app = App::starting_in("paced", 200).env("SLOW_REQUEST_MS", "20").set("concurrency: 4");
    let reveille = Reveille::start(&file(&[&app]));
    let mut conns: Vec<Conn> = (0..60).map(|_| Conn::open(app.listen)).collect();
    for conn in &mut conns {
        conn.send_get("/paced");
    }
    assert_all_answered(&mut conns);
    // From the app's own log: how many requests it had begun and not answered, at most.
    let mut steps: Vec<(Duration, i32)> = Vec::new();
    steps.extend(app.events("request").iter().map(|event| (event.at, 1)));
    steps.extend(app.events("answered").iter().map(|event| (event.at, -1)));
    steps.sort_unstable();
    let (_, most) = steps.iter().fold((0, 0), |(now, most), (_, step)| (now + step, most.max(now + step)));
    // The answer may reach Reveille, and the next request the app, before the app has logged the answer.
    assert!((2..=8).contains(&most), "{most} requests at a time, at a limit of 4");
    drop(reveille);
}
