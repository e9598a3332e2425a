//! A file that changes while Reveille serves.

use std::net::TcpStream;

use reveille_tests_local::{App, Conn, Reveille, app::file, get, pause, until, wait::ms};

use crate::support::{SOON, sleep, start, start_awake, wake};

/// The status may show a new app a moment before its port is open.
#[track_caller]
fn await_open(port: u16) {
    until("the new port is open", SOON, || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_new_app_is_served_and_an_unchanged_one_keeps_its_connections() {
    let (old, new) = (App::slow("old"), App::slow("new"));
    let reveille = start_awake(&old);
    let mut kept = Conn::open(old.listen);
    assert_eq!(kept.get("/before").status(), 200);
    let mut stream = Conn::open(old.listen);
    stream.send_get("/drip?bytes=10&ms=150");

    reveille.reload(&file(&[&old, &new]));
    until("the new app is known", SOON, || reveille.admin.names() == ["new", "old"]);
    await_open(new.listen);
    assert_eq!(get(new.listen, "/new").status(), 200);
    assert_eq!(kept.get("/after").status(), 200, "the same connection goes on");
    assert_eq!(stream.answer().body.len(), 10, "a stream goes on");
    assert_eq!(old.starts(), 1, "an unchanged app is not started again");
    assert!(reveille.admin.app("old")["pending"].is_null());
    reveille.stop();
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let (old, new) = (App::slow("old"), App::slow("new"));
    let reveille = start(&[&old]);
    reveille.write_file(&file(&[&old, &new]));
    until("the new app is known", SOON, || reveille.admin.names() == ["new", "old"]);
    await_open(new.listen);
    assert_eq!(get(new.listen, "/").status(), 200);
    reveille.stop();
}

#[test]
fn a_changed_command_applies_at_the_next_wake_and_the_status_says_so() {
    let first = App::slow("web").env("SLOW_NAME", "first");
    let reveille = start_awake(&first);
    let before = get(first.listen, "/name").json();
    assert_eq!(before["name"], "first");

    let second = first.again().env("SLOW_NAME", "second");
    reveille.reload(&file(&[&second]));
    until("the status says what is pending", SOON, || reveille.admin.app("web")["pending"].is_string());
    assert_eq!(get(first.listen, "/name").json(), before, "the running process goes on");

    sleep(&reveille, "web");
    assert_eq!(get(first.listen, "/name").json()["name"], "second");
    assert!(reveille.admin.app("web")["pending"].is_null(), "{}", reveille.admin.app("web"));
    reveille.stop();
}

#[test]
fn a_changed_policy_applies_at_once() {
    let long = App::slow("web").set("idle: {ttl: 1h}");
    let reveille = start_awake(&long);
    assert_eq!(reveille.admin.app("web")["ttl"], "1h");
    reveille.reload(&file(&[&long.again().set("idle: {ttl: 200ms}")]));
    until("the status shows the new TTL", SOON, || reveille.admin.app("web")["ttl"] == "200ms");
    reveille.admin.await_phase("web", "Asleep", SOON);
    assert_eq!(long.starts(), 1);
    reveille.stop();
}

#[test]
fn an_app_that_is_taken_out_ends_with_its_port_after_its_work() {
    let (stays, goes) = (App::slow("stays"), App::slow("goes"));
    let reveille = start(&[&stays, &goes]);
    wake(&reveille, "goes");
    let process = goes.await_start(1, SOON);
    let mut stream = Conn::open(goes.listen);
    stream.send_get("/drip?bytes=8&ms=150");
    goes.await_request("/drip", SOON);
    reveille.reload(&file(&[&stays]));
    until("it is forgotten", SOON, || reveille.admin.names() == ["stays"]);
    assert_eq!(stream.answer().body.len(), 8, "work in flight ends properly");
    until("its port is closed", SOON, || TcpStream::connect(("127.0.0.1", goes.listen)).is_err());
    until("its process is gone", SOON, || !process.runs());
    assert_eq!(get(stays.listen, "/").status(), 200);
    reveille.stop();
}

#[test]
fn a_port_that_changes_is_served_where_it_is_now() {
    let web = App::slow("web");
    let reveille = start_awake(&web);
    let mut moved = web.again();
    moved.listen = reveille_tests_local::ports::free();
    reveille.reload(&file(&[&moved]));
    await_open(moved.listen);
    assert_eq!(get(moved.listen, "/").status(), 200);
    until("the old port is closed", SOON, || TcpStream::connect(("127.0.0.1", web.listen)).is_err());
    reveille.stop();
}

#[test]
fn a_bad_file_changes_nothing() {
    let (web, new) = (App::slow("web").set("idle: {ttl: 5m}"), App::slow("new"));
    let reveille = start_awake(&web);
    let mut kept = Conn::open(web.listen);
    assert_eq!(kept.get("/before").status(), 200);
    let good = file(&[&web]);
    let bad_files = [
        "apps: [".to_owned(),
        String::new(),
        file(&[&new.again().set("idel: {ttl: 1s}"), &web]),
        file(&[&web.again().set("idle: {ttl: 1s}"), &new.again().command(&["/no/such/program"])]),
    ];
    for bad in bad_files {
        let logged = reveille.log().len();
        reveille.reload(&bad);
        let what = format!("the log says that this file is bad: {bad}");
        until(&what, SOON, || {
            reveille.log()[logged..].contains("ERROR") || reveille.log()[logged..].contains("WARN")
        });
        assert_eq!(reveille.admin.names(), ["web"]);
        assert_eq!(reveille.admin.app("web")["ttl"], "5m");
        assert_eq!(kept.get("/after").status(), 200);
        assert_eq!(web.starts(), 1);
    }
    reveille.reload(&good);
    assert_eq!(kept.get("/again").status(), 200);
    reveille.stop();
}

#[test]
fn reloading_again_and_again_under_load_fails_no_request() {
    let (web, other) = (App::slow("web"), App::slow("other"));
    let reveille = start_awake(&web);
    let (with, without) = (file(&[&web, &other]), file(&[&web]));
    let port = web.listen;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = |fresh: bool| {
            let stop = &stop;
            move || {
                let mut conn = Conn::open(port);
                let mut served = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if fresh {
                        conn = Conn::open(port);
                    }
                    assert_eq!(conn.get("/load").status(), 200);
                    served += 1;
                }
                served
            }
        };
        let clients = [scope.spawn(client(true)), scope.spawn(client(false))];
        for round in 0..6 {
            let (yaml, count) = if round % 2 == 0 { (&with, 2) } else { (&without, 1) };
            reveille.reload(yaml);
            until("the reload applied", SOON, || reveille.admin.names().len() == count);
            pause(ms(50));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("no request fails") > 0);
        }
    });
    reveille.stop();
}

#[test]
fn a_free_port_is_handed_over_where_none_is_named() {
    let app = App::slow("chosen");
    let listen = app.listen;
    let app = app.set(&format!("ports: [{{listen: \"127.0.0.1:{listen}\"}}]")).env("SLOW_PORT", "");
    let reveille = Reveille::start(&file(&[&app]));
    assert_eq!(get(listen, "/").status(), 200);
    sleep(&reveille, "chosen");
    assert_eq!(get(listen, "/").status(), 200, "and again at the next wake");
    reveille.stop();
}
