//! WebSocket and TCP.

use reveille_tests_local::{
    App, get,
    server::Seen,
    tcp::Tcp,
    until,
    wait::ms,
    ws::{Came, Refused, Ws},
};

use super::alone;
use crate::support::SOON;

#[test]
fn web_sockets_are_echoed() {
    let app = App::ws("alone");
    let _server = alone(&app);
    let mut ws =
        Ws::try_open(app.upstream, "/chat?room=1", &[("sec-websocket-protocol", "one, two")]).unwrap();
    assert_eq!((ws.head.status().as_u16(), ws.field("sec-websocket-protocol")), (101, Some("one")));
    assert_eq!(ws.ask("hi"), Came::Text("hi".into()));
    let big = vec![7; 2 << 20];
    ws.binary(&big);
    assert_eq!(ws.read(), Came::Binary(big));
    ws.ping(b"there?");
    assert_eq!(ws.read(), Came::Pong(b"there?".to_vec()));
    assert_eq!(ws.ask("!ping you?"), Came::Ping(b"you?".to_vec()));
    assert_eq!(ws.ask("!send 2 10 0"), Came::Binary(vec![b'w'; 10]));
    assert_eq!(ws.read(), Came::Binary(vec![b'w'; 10]));
    assert!(ws.is_quiet_for(ms(20)));
    assert_eq!(ws.close(4001, "done"), Came::Close(Some((4001, "done".into()))));
    until("the end is logged", SOON, || app.events("end").len() == 1);
    assert_eq!(
        (app.count("close", "4001 done"), app.count("ping", "there?"), app.count("pong", "you?")),
        (1, 1, 1)
    );
    assert_eq!(app.requests("/chat?room=1"), 1);

    assert_eq!(
        Ws::open(app.upstream, "/").ask("!close 4002 go away"),
        Came::Close(Some((4002, "go away".into())))
    );
    assert!(matches!(Ws::open(app.upstream, "/").ask("!drop"), Came::Broken(_)));
    let Err(Refused::Status(denied)) = Ws::try_open(app.upstream, "/deny", &[]) else {
        panic!("it is denied")
    };
    assert_eq!(denied.status().as_u16(), 403);
    assert_eq!(get(app.upstream, "/").status(), 426);
    Ws::open(app.upstream, "/").vanish();
    until("it is missed", SOON, || app.count("broken", "WebSocket protocol error") == 1);
}

#[test]
fn bytes_pass_in_both_directions() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let echo = App::tcp("echo", "echo");
    let _echo = alone(&echo);
    let conn = Tcp::open(echo.upstream);
    conn.send("ping");
    assert_eq!(conn.read(4), b"ping");
    assert!(conn.is_quiet_for(ms(20)));
    assert!(conn.exchange(&bytes).unwrap() == bytes);
    until("the end is logged", SOON, || echo.count("end", "received=3000004") == 1);
    Tcp::open(echo.upstream).reset();
    until("it is missed", SOON, || echo.events("broken").len() == 1);

    let banner = App::tcp("banner", "banner");
    let _banner = alone(&banner);
    assert_eq!(Tcp::open(banner.upstream).read(11), b"220 ready\r\n");

    let count = App::tcp("count", "count");
    let _count = alone(&count);
    let conn = Tcp::open(count.upstream);
    conn.send("x");
    assert!(conn.is_quiet_for(ms(20)), "it answers only when the client has finished");
    let answer: serde_json::Value =
        serde_json::from_slice(&Tcp::open(count.upstream).exchange(&bytes).unwrap()).unwrap();
    assert_eq!(answer, Seen::of(&bytes).json());

    let farewell = App::tcp("farewell", "farewell");
    let _farewell = alone(&farewell);
    let conn = Tcp::open(farewell.upstream);
    assert_eq!(conn.read_to_end().unwrap(), b"220 ready\r\n");
    conn.send("still read");
    conn.finish();
    until("the end is logged", SOON, || farewell.count("end", "received=10") == 1);
}

#[test]
fn a_slow_reader_lets_bytes_pile_up() {
    let app = App::tcp("slow", "slow").env("ECHO_READ_MS", "50");
    let _server = alone(&app);
    let conn = Tcp::open(app.upstream);
    let sent = conn.send_until_full(100 << 20, ms(20));
    assert!(sent < 100 << 20, "it took {sent} bytes at once");
    drop(conn);
    let conn = Tcp::open(app.upstream);
    conn.send("few");
    conn.finish();
    assert_eq!(conn.read_to_end().unwrap(), Seen::of(b"few").json().to_string().into_bytes());
    assert_eq!(Tcp::open(app.upstream).ends_within(ms(20)), None);
}
