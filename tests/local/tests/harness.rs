//! The slow server and the client themselves, without Reveille between them: what the other tests find is
//! then Reveille's.

use reveille_tests_local::{
    App, Conn,
    app::now,
    get, product, until,
    wait::{ms, secs},
};

use crate::support::{SOON, echoed};

#[test]
fn the_slow_server_starts_as_late_as_it_is_told_and_logs_what_reaches_it() {
    let app = App::starting_in("alone", 500);
    let started = now();
    let server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    assert!(now() - started >= ms(500));
    assert_eq!(get(app.upstream, "/one").text(), "ok");
    assert_eq!((app.starts(), app.requests("/one"), app.requests("/two")), (1, 1, 0));
    assert_eq!(app.events("start")[0].pid, server.0.id());
}

#[test]
fn the_client_reads_every_framing() {
    let app = App::slow("alone");
    let _server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    let mut conn = Conn::open(app.upstream);
    let chunked = conn.get("/chunked");
    assert_eq!((chunked.text().as_str(), chunked.trailer("x-end")), ("one two three", Some("yes")));
    conn.send("HEAD /big?bytes=7 HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = conn.try_answer("HEAD").unwrap();
    assert_eq!((head.field("content-length"), head.body.len()), (Some("7"), 0));
    assert_eq!(conn.get("/status?code=204").status(), 204);
    assert_eq!(conn.get("/sse?events=3&ms=1").text().matches("data: ").count(), 3);
    conn.send(
        "POST /echo HTTP/1.1\r\nX-A: 1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-T: 2\r\n\r\n",
    );
    let answer = conn.answer();
    assert_eq!(answer.interim, [100]);
    let echo = answer.json();
    assert_eq!((&echo["body"], echoed(&echo, "x-a").as_slice()), (&"hi".into(), &["1"][..]));
    assert_eq!(echo["trailers"][0][0], "x-t");
    assert!(conn.is_quiet_for(ms(20)));
    assert_eq!(conn.get("/close").text(), "closing");
    assert!(conn.is_closed_within(secs(2)));
}

#[test]
fn the_slow_server_takes_a_thousand_connections() {
    product::allow_many_files();
    let app = App::slow("alone");
    let _server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    let mut conns: Vec<Conn> = (0..1_000).map(|_| Conn::open(app.upstream)).collect();
    conns.iter_mut().for_each(|conn| conn.send_get("/"));
    assert!(conns.iter_mut().all(|conn| conn.answer().status() == 200));
}

#[test]
fn the_slow_server_fails_and_stops_as_it_is_told() {
    let failing = App::slow("failing").env("SLOW_EXIT", "3");
    assert_eq!(failing.run_alone().0.wait().unwrap().code(), Some(3));
    let app = App::slow("stopping").env("SLOW_STOP_MS", "300");
    let mut server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    reveille_tests_local::process::Process::of(server.0.id())
        .unwrap()
        .signal(nix::sys::signal::Signal::SIGTERM);
    until("it got the signal", SOON, || app.events("term").len() == 1);
    assert_eq!(get(app.upstream, "/").text(), "ok", "it serves while it stops");
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[test]
fn nginx_serves() {
    let app = App::nginx("alone");
    let _server = app.run_alone();
    until("it listens", SOON, || Conn::try_open(app.upstream).is_ok());
    assert_eq!(get(app.upstream, "/").text(), "hello from nginx\n");
}
