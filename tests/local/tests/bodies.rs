//! Large bodies both ways, in bounded memory, and clients that wait to be asked for theirs.

use std::{io::Write, thread};

use reveille_tests_local::{
    App, Conn, Reveille,
    app::now,
    get, pause,
    report::figure,
    until,
    wait::{ms, secs},
};

use crate::support::{SOON, sleep, start, start_awake};

const LARGE: u64 = 100 << 20;
/// How much Reveille's resident memory may grow while a large body passes.
const BOUND_KIB: u64 = 32 * 1024;

/// Sends a POST of 100 MiB from a thread of its own, so that the answer can be read meanwhile.
fn send_large(conn: &Conn) -> thread::JoinHandle<std::io::Result<()>> {
    let mut sender = conn.sender();
    thread::spawn(move || {
        write!(sender, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")?;
        let piece = vec![b'x'; 256 * 1024];
        for _ in 0..LARGE / piece.len() as u64 {
            sender.write_all(&piece)?;
        }
        Ok(())
    })
}

/// Notes the most memory that Reveille needs while `work` runs, in KiB above what it had.
fn growth(reveille: &Reveille, work: impl FnOnce() + Send) -> u64 {
    let process = reveille.process();
    let (before, mut most) = (process.resident_kib(), 0);
    thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            most = most.max(process.resident_kib());
            pause(ms(5));
        }
        work.join().expect("the transfer succeeds");
    });
    most.saturating_sub(before)
}

#[test]
fn a_hundred_mebibytes_pass_both_ways_in_bounded_memory() {
    let app = App::slow("large");
    let reveille = start_awake(&app);
    let down = growth(&reveille, || {
        let mut conn = Conn::open(app.listen);
        conn.send_get(&format!("/big?bytes={LARGE}"));
        let mut framing = conn.head().unwrap().framing("GET").unwrap();
        let mut received = 0;
        while let Some(piece) = conn.piece(&mut framing).unwrap() {
            assert!(piece.iter().all(|byte| *byte == b'x'));
            received += piece.len() as u64;
        }
        assert_eq!(received, LARGE);
    });
    let up = growth(&reveille, || {
        let mut conn = Conn::open(app.listen);
        let sender = send_large(&conn);
        assert_eq!(conn.answer().json()["length"], LARGE);
        sender.join().unwrap().unwrap();
    });
    figure(
        "bodies",
        &format!("resident memory grew by {down} KiB for 100 MiB down, {up} KiB for 100 MiB up"),
    );
    assert!(down < BOUND_KIB && up < BOUND_KIB, "down {down} KiB, up {up} KiB");
    reveille.stop();
}

#[test]
fn a_held_body_stays_in_the_clients_socket() {
    let app = App::starting_in("heldbody", 1_500);
    let reveille = start(&[&app]);
    let grown = growth(&reveille, || {
        let mut conn = Conn::open(app.listen);
        let sender = send_large(&conn);
        reveille.admin.await_held("heldbody", 1, SOON);
        assert_eq!(conn.answer().json()["length"], LARGE);
        sender.join().unwrap().unwrap();
    });
    assert!(grown < BOUND_KIB, "resident memory grew by {grown} KiB");
    reveille.stop();
}

#[test]
fn a_client_that_does_not_read_slows_the_app_down() {
    let app = App::slow("unread");
    let reveille = start_awake(&app);
    let mut conn = Conn::open(app.listen);
    let grown = growth(&reveille, || {
        conn.send_get(&format!("/big?bytes={LARGE}"));
        assert_eq!(conn.head().unwrap().status, 200);
        pause(secs(1));
    });
    assert!(grown < BOUND_KIB, "resident memory grew by {grown} KiB");
    assert_eq!(app.events("answered").len(), 0, "the app could not send all of it");
    conn.reset();
    until("nothing is in flight", SOON, || reveille.admin.in_flight("unread") == 0);
    reveille.stop();
}

const EXPECTING: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn a_client_that_waits_to_be_asked_is_asked_when_the_app_asks() {
    let app = App::starting_in("asking", 1_200);
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send(EXPECTING);
    reveille.admin.await_held("asking", 1, SOON);
    assert_eq!(conn.head().unwrap().status, 100);
    let asked = now();
    let ready = app.events("ready").first().map(|event| event.at);
    assert!(ready.is_some_and(|ready| ready <= asked), "asked for the body while the app was not ready");
    assert_eq!(app.requests("/echo"), 1, "asked for the body before the app had the request");
    conn.send("body");
    assert_eq!(conn.answer().json()["body"], "body");

    conn.send(EXPECTING);
    assert_eq!(conn.head().unwrap().status, 100, "warm, on the same connection");
    conn.send("warm");
    assert_eq!(conn.answer().json()["body"], "warm");
    reveille.stop();
}

#[test]
fn a_client_that_does_not_wait_to_be_asked_is_served_all_the_same() {
    let app = App::starting_in("eager", 300);
    let reveille = start(&[&app]);
    for _ in 0..2 {
        let mut conn = Conn::open(app.listen);
        conn.send(EXPECTING);
        conn.send("body");
        assert_eq!(conn.answer().json()["body"], "body");
        sleep(&reveille, "eager");
    }
    reveille.stop();
}

#[test]
fn a_final_answer_that_comes_first_asks_for_no_body() {
    let app = App::starting_in("early", 300);
    let reveille = start(&[&app]);
    for state in ["held", "warm"] {
        let mut conn = Conn::open(app.listen);
        conn.send(
            "POST /early?ms=200 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        );
        let answer = conn.answer();
        assert_eq!(
            (answer.status(), answer.interim.as_slice()),
            (413, &[][..]),
            "{state}: {:?}",
            answer.head
        );
        assert_eq!(answer.text(), "too large");
    }
    reveille.stop();
}

#[test]
fn a_refusal_of_ones_own_asks_for_no_body_either() {
    let app = App::slow("failing").env("SLOW_EXIT", "1");
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send(EXPECTING);
    let answer = conn.answer();
    assert_eq!((answer.status(), answer.interim.as_slice()), (502, &[][..]));
    assert_eq!(get(app.listen, "/").status(), 502);
    reveille.stop();
}

#[test]
fn an_early_answer_over_an_unread_body_arrives() {
    let app = App::slow("unreadbody");
    let reveille = start_awake(&app);
    let ask = |path: &str| {
        let mut conn = Conn::open(app.listen);
        conn.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"));
        let _ = conn.try_send("x".repeat(100_000));
        conn.answer()
    };
    for _ in 0..20 {
        let answer = ask("/early");
        assert_eq!((answer.status(), answer.text()), (413, "too large".into()));
    }
    // An app that resets may take its answer back: then the client gets to know that at once.
    let statuses: Vec<u16> = (0..20).map(|_| ask("/abrupt").status()).collect();
    assert!(statuses.iter().all(|status| matches!(status, 413 | 502)), "{statuses:?}");
    let arrived = statuses.iter().filter(|status| **status == 413).count();
    figure("bodies", &format!("{arrived} of 20 early answers arrived although the app reset the connection"));
    until("nothing is in flight", SOON, || reveille.admin.in_flight("unreadbody") == 0);
    reveille.stop();
}

#[test]
fn chunks_pass_as_they_come_and_add_up() {
    let app = App::starting_in("chunks", 300);
    let reveille = start(&[&app]);
    for _ in 0..2 {
        let mut conn = Conn::open(app.listen);
        conn.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut length = 0;
        for size in [1, 15, 16, 17, 4096, 65_537, 200_000] {
            conn.send(format!("{size:X};extension=\"quoted\"\r\n{}\r\n", "x".repeat(size)));
            length += size;
        }
        conn.send("0\r\n\r\n");
        assert_eq!(conn.answer().json()["length"], length);
        sleep(&reveille, "chunks");
    }
    reveille.stop();
}
