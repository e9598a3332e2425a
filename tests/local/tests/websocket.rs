//! WebSocket and other upgrades through the activator, over HTTP/1.1 and HTTP/2 on the client's side.

use std::{io::Write, time::Instant};

use nix::sys::signal::Signal;
use reveille_tests_local::{
    App, Conn, Reveille,
    app::file,
    h2::{Client, Request},
    h2raw::{Ended, H2, kind},
    pause,
    report::figure,
    until,
    wait::{ms, secs},
    ws::{Came, Refused, Ws},
};

use crate::support::{SOON, start, start_awake};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A text frame "hi", masked with zeros.
const HI: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];

#[track_caller]
fn await_nothing_left(reveille: &Reveille, app: &str) {
    until("nothing is held", SOON, || reveille.admin.held(app) == 0);
    until("nothing is in flight", SOON, || reveille.admin.in_flight(app) == 0);
}

#[test]
fn frames_pass_untouched_held_and_warm() {
    let app = App::ws("chat").env("SLOW_START_MS", "500");
    let reveille = start(&[&app]);
    for n in 1..=2 {
        let mut ws =
            Ws::try_open(app.listen, "/chat?room=1", &[("sec-websocket-protocol", "one, two")]).unwrap();
        assert_eq!((ws.head.status().as_u16(), ws.field("sec-websocket-protocol")), (101, Some("one")));
        assert_eq!(ws.field("server-timing").is_some(), n == 1, "the first was held");
        let big = vec![7; 2 << 20];
        ws.binary(&big);
        assert_eq!(ws.read(), Came::Binary(big));
        ws.ping(b"there?");
        assert_eq!(ws.read(), Came::Pong(b"there?".to_vec()));
        assert_eq!(ws.ask("!ping you?"), Came::Ping(b"you?".to_vec()));
        assert_eq!(reveille.admin.in_flight("chat"), 1);
        assert_eq!(ws.close(4001, "done"), Came::Close(Some((4001, "done".into()))));
        until("the app sees the code", SOON, || app.count("close", "4001 done") == n);
        await_nothing_left(&reveille, "chat");
    }
    assert_eq!(
        Ws::open(app.listen, "/").ask("!close 4002 go away"),
        Came::Close(Some((4002, "go away".into())))
    );
    assert!(matches!(Ws::open(app.listen, "/").ask("!drop"), Came::Broken(_)));
    let labels = [("app", "chat"), ("protocol", "upgrade")];
    until("all are counted", SOON, || reveille.admin.metric("reveille_requests_total", &labels) == 4.0);
    for direction in ["to-app", "to-client"] {
        let bytes = reveille
            .admin
            .metric("reveille_tunnel_bytes_total", &[("app", "chat"), ("direction", direction)]);
        assert!(bytes > (4 << 20) as f64, "{direction}: {bytes}");
    }
    reveille.stop();
}

#[test]
fn a_refusal_is_an_ordinary_answer_and_other_upgrades_are_ordinary_requests() {
    let app = App::ws("picky");
    let plain = App::slow("plain").set("upgrades: []");
    let reveille = start(&[&app, &plain]);
    let Err(Refused::Status(denied)) = Ws::try_open(app.listen, "/deny", &[]) else { panic!("it is denied") };
    assert_eq!(denied.status().as_u16(), 403);
    for upgrade in ["h2c", "websocket", "spdy/3.1"] {
        let mut conn = Conn::open(plain.listen);
        for _ in 0..2 {
            conn.send(format!(
                "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
            ));
            let answer = conn.answer();
            assert_eq!(answer.status(), 200);
            let fields = answer.json()["fields"].to_string().to_lowercase();
            assert!(!fields.contains("upgrade") && !fields.contains("http2-settings"), "{fields}");
        }
    }
    reveille.stop();
}

#[test]
fn what_follows_the_upgrade_at_once_is_passed_on() {
    let app = App::ws("eager").env("SLOW_START_MS", "300");
    let reveille = start(&[&app]);
    for _ in 0..2 {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", app.listen)).unwrap();
        socket.write_all(&[UPGRADE.as_bytes(), HI].concat()).unwrap();
        let mut came = Vec::new();
        let echo = [0x81, 2, b'h', b'i'];
        socket.set_read_timeout(Some(SOON)).unwrap();
        while !came.ends_with(&echo) {
            let mut piece = [0; 1024];
            let n = std::io::Read::read(&mut socket, &mut piece).unwrap();
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&came));
            came.extend_from_slice(&piece[..n]);
        }
        let text = String::from_utf8_lossy(&came).to_lowercase();
        assert!(text.starts_with("http/1.1 101 "), "{text}");
        assert!(text.contains("connection: upgrade") && text.contains("sec-websocket-accept: "), "{text}");
    }
    reveille.stop();
}

#[test]
fn an_open_socket_keeps_the_app_awake_however_quiet() {
    let app = App::ws("quiet").set("idle: {ttl: 500ms}");
    let reveille = start(&[&app]);
    let mut ws = Ws::open(app.listen, "/");
    pause(secs(2));
    assert_eq!((reveille.admin.phase("quiet"), reveille.admin.in_flight("quiet")), ("Awake".into(), 1));
    assert_eq!(ws.ask("still"), Came::Text("still".into()));
    ws.close(1000, "");
    reveille.admin.await_phase("quiet", "Asleep", SOON);
    reveille.stop();
}

#[test]
fn whoever_goes_the_other_side_sees_it() {
    let app = App::ws("gone").starting_when_let();
    let reveille = start(&[&app]);
    // While it is held.
    let mut conn = Conn::open(app.listen);
    conn.send(UPGRADE);
    reveille.admin.await_held("gone", 1, SOON);
    drop(conn);
    await_nothing_left(&reveille, "gone");
    app.let_start();
    let ws = Ws::open(app.listen, "/");
    assert_eq!(app.events("request").len(), 1, "what was given up while held never reached the app");
    ws.vanish();
    until("the app misses it", SOON, || app.events("broken").len() + app.events("end").len() == 1);
    await_nothing_left(&reveille, "gone");
    let mut ws = Ws::open(app.listen, "/");
    app.await_start(1, SOON).signal(Signal::SIGKILL);
    assert!(matches!(ws.read(), Came::Broken(_)));
    await_nothing_left(&reveille, "gone");
    assert_eq!(Ws::open(app.listen, "/").ask("next"), Came::Text("next".into()), "the next process");
    reveille.stop();
}

#[test]
fn a_full_hold_and_a_failed_wake_are_told_before_the_upgrade() {
    let full = App::ws("full").env("SLOW_START_MS", "60000").set("hold: {maxRequests: 1}");
    let broken = App::ws("broken").command(&["/bin/false"]);
    let late = App::ws("late").env("SLOW_START_MS", "60000").set("wake: {deadline: 1s}");
    let reveille = start(&[&full, &broken, &late]);
    let mut held = Conn::open(full.listen);
    held.send(UPGRADE);
    reveille.admin.await_held("full", 1, SOON);
    for (app, status) in [(&full, 503), (&broken, 502), (&late, 504)] {
        let Err(Refused::Status(answer)) = Ws::try_open(app.listen, "/", &[]) else { panic!("{}", app.name) };
        assert_eq!(answer.status().as_u16(), status, "{}", app.name);
    }
    reveille.stop();
}

#[test]
fn drain_and_reload_leave_an_open_socket_its_time() {
    let (app, other) = (App::ws("kept"), App::slow("other"));
    let mut reveille = start(&[&app, &other]);
    let mut ws = Ws::open(app.listen, "/");
    reveille.reload(&file(&[&app]));
    until("the other is gone", SOON, || reveille.admin.names() == ["kept"]);
    assert_eq!(ws.ask("after a reload"), Came::Text("after a reload".into()));
    reveille.signal(Signal::SIGTERM);
    pause(secs(1));
    assert_eq!(ws.ask("in a drain"), Came::Text("in a drain".into()));
    ws.close(1000, "");
    assert!(reveille.await_end(secs(20)).success());

    let app = App::ws("cut");
    let mut reveille = Reveille::start_with(&file(&[&app]), &["--drain", "1s"]);
    let mut ws = Ws::open(app.listen, "/");
    reveille.signal(Signal::SIGTERM);
    assert!(matches!(ws.read(), Came::Broken(_)), "cut at the end of the grace");
    reveille.await_end(secs(20));
}

#[test]
fn time_outs_end_a_quiet_socket() {
    let app = App::ws("timed").set("timeouts: {streamIdle: 500ms}");
    let reveille = start_awake(&app);
    let mut ws = Ws::open(app.listen, "/");
    for _ in 0..4 {
        pause(ms(250));
        assert_eq!(ws.ask("x"), Came::Text("x".into()), "it is in use");
    }
    assert!(matches!(ws.read(), Came::Broken(_)));
    await_nothing_left(&reveille, "timed");
    reveille.stop();
}

#[test]
fn two_hundred_cycles_lose_no_socket() {
    let app = App::ws("edge").set("idle: {ttl: 100ms}");
    let reveille = start(&[&app]);
    let asleep = || reveille.admin.metric("reveille_sleeps_total", &[("app", "edge"), ("outcome", "slept")]);
    let began = Instant::now();
    let (mut sockets, mut gap) = (0u32, 1u64);
    while asleep() < 200.0 && began.elapsed() < secs(100) {
        let mut burst: Vec<_> = (0..2).map(|_| Ws::open(app.listen, "/")).collect();
        for ws in &mut burst {
            assert_eq!(ws.ask("x"), Came::Text("x".into()), "socket {sockets}");
            assert_eq!(ws.close(1000, ""), Came::Close(Some((1000, String::new()))));
            sockets += 1;
        }
        drop(burst);
        gap = gap * 1_103_515_245 % 2_147_483_647;
        pause(ms(95 + gap % 40));
    }
    figure(
        "websocket edge",
        &format!("{sockets} sockets in {} cycles, 0 failed, {:?}", asleep(), began.elapsed()),
    );
    assert!(asleep() >= 200.0, "{} cycles", asleep());
    reveille.stop();
}

#[test]
fn a_websocket_over_http2_becomes_one_of_http1() {
    let app = App::ws("two").env("SLOW_START_MS", "500");
    let (plain, h2c) = (App::slow("plain"), App::h2c("h2c").port("upstreamProtocol: h2c"));
    let reveille = start(&[&app, &plain, &h2c]);
    let mut raw = H2::open(app.listen);
    let open = |raw: &mut H2, protocol: &str| {
        let more = [(":protocol", protocol), (":authority", "a"), ("sec-websocket-version", "13")];
        raw.request("CONNECT", "/chat", &more, false)
    };
    for _ in 0..2 {
        let stream = open(&mut raw, "websocket");
        let head = raw.until("the head", |frame| frame.kind == kind::HEADERS && frame.stream == stream);
        assert_eq!(head.status(), Some(200));
        raw.data(stream, HI, false);
        let echo = raw.until("the echo", |frame| frame.kind == kind::DATA && frame.stream == stream);
        assert_eq!(echo.payload, [0x81, 2, b'h', b'i']);
        // A close frame, code 1000, and the end of the stream.
        raw.data(stream, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], true);
        let close = raw.until("the close", |frame| frame.kind == kind::DATA && frame.stream == stream);
        assert_eq!(close.payload[0], 0x88);
    }
    let stream = open(&mut raw, "spdy");
    assert_eq!(raw.answer(stream).status, Some(501), "a protocol that is not among the app's upgrades");
    let more = [(":protocol", "websocket"), (":authority", "a"), ("sec-websocket-version", "13")];
    let stream = raw.request("CONNECT", "/deny", &more, false);
    assert_eq!(raw.answer(stream).status, Some(403));
    let more = [(":protocol", "websocket"), (":authority", "a"), ("content-length", "40")];
    let stream = raw.request("CONNECT", "/deny", &more, false);
    assert_eq!(raw.answer(stream).status, Some(400), "the app would wait for these bytes");
    await_nothing_left(&reveille, "two");
    let mut raw = H2::open(h2c.listen);
    let stream = open(&mut raw, "websocket");
    assert_eq!(raw.answer(stream).status, Some(501), "it would have to speak HTTP/1.1");
    assert_eq!(h2c.starts(), 0, "nothing is woken for that");
    let client = Client::open(plain.listen);
    let mut raw = H2::open(plain.listen);
    let stream = open(&mut raw, "websocket");
    assert_eq!(raw.answer(stream).status, Some(502), "an ordinary answer is no tunnel");
    let stream = raw.get("/");
    let answer = raw.answer(stream);
    assert_eq!((answer.status, answer.ended), (Some(200), Ended::Properly), "other streams go on");
    assert_eq!(client.ask(&Request::get("/")).status(), 200);
    reveille.stop();
}

#[test]
fn interim_answers_without_end_are_no_upgrade() {
    let app = App::slow("hints");
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    conn.send(UPGRADE.replacen("GET /", "GET /hints", 1));
    let answer = conn.answer();
    assert_eq!(
        (answer.status(), answer.interim.len()),
        (502, 16),
        "so many are passed on: {:?}",
        answer.head
    );
    assert!(answer.text().contains("final response"), "{}", answer.text());
    await_nothing_left(&reveille, "hints");
    assert_eq!(Conn::open(app.listen).get("/").status(), 200);
    reveille.stop();
}
