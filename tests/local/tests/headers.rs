//! Which fields are added, kept and removed on the way to the app and back.

use reveille_tests_local::{App, Conn};
use serde_json::Value;

use crate::support::{echoed, sleep, start, start_awake};

fn echo(port: u16, fields: &str) -> Value {
    let mut conn = Conn::open(port);
    conn.send(format!("GET /echo HTTP/1.1\r\nHost: web.example:81\r\n{fields}\r\n"));
    conn.answer().json()
}

#[test]
fn forwarding_fields_are_set_and_those_of_an_untrusted_client_replaced() {
    let app = App::slow("forwarded");
    let reveille = start_awake(&app);
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
                  Forwarded: for=6.6.6.6;host=evil.example\r\n";
    for fields in ["", fields] {
        let echo = echo(app.listen, fields);
        assert_eq!(echoed(&echo, "host"), ["web.example:81"], "{echo}");
        assert_eq!(echoed(&echo, "x-forwarded-for"), ["127.0.0.1"], "{echo}");
        assert_eq!(echoed(&echo, "x-forwarded-proto"), ["http"], "{echo}");
        assert_eq!(echoed(&echo, "x-forwarded-host"), ["web.example:81"], "{echo}");
        let forwarded = echoed(&echo, "forwarded").join(",");
        assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{forwarded}");
        assert!(
            forwarded.contains("host=\"web.example:81\""),
            "a port makes it a quoted string: {forwarded}"
        );
        assert!(!forwarded.contains("6.6.6.6") && !forwarded.contains("evil"), "{forwarded}");
    }
    reveille.stop();
}

#[test]
fn a_request_has_an_id_its_own_or_a_new_one() {
    let app = App::slow("id");
    let reveille = start_awake(&app);
    let own = echo(app.listen, "X-Request-Id: my-own-id-1\r\n");
    assert_eq!(echoed(&own, "x-request-id"), ["my-own-id-1"]);
    let (first, second) = (echo(app.listen, ""), echo(app.listen, ""));
    let (first, second) = (echoed(&first, "x-request-id"), echoed(&second, "x-request-id"));
    assert_eq!((first.len(), second.len()), (1, 1));
    assert!(first[0].len() >= 16 && first != second, "{first:?} {second:?}");
    reveille.stop();
}

#[test]
fn a_trace_is_continued() {
    let app = App::slow("trace");
    let reveille = start_awake(&app);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fields = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: a=1,b=2\r\n");
    let echo = echo(app.listen, &fields);
    let parents = echoed(&echo, "traceparent");
    assert_eq!(parents.len(), 1, "{echo}");
    assert!(parents[0].starts_with(&format!("00-{trace}-")) && parents[0].ends_with("-01"), "{parents:?}");
    assert_eq!(echoed(&echo, "tracestate"), ["a=1,b=2"]);
    reveille.stop();
}

#[test]
fn a_held_answer_says_how_long_it_was_held_and_a_warm_one_does_not() {
    let app = App::starting_in("timed", 400);
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    let held = conn.get("/");
    let timing = held.field("server-timing").expect("a held answer has Server-Timing").to_owned();
    let duration = |name: &str| -> f64 {
        let part = timing.split(',').map(str::trim).find(|part| part.starts_with(name));
        let part = part.unwrap_or_else(|| panic!("no {name} in {timing}"));
        part.split("dur=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
    };
    assert!((300.0..20_000.0).contains(&duration("hold")), "{timing}");
    assert!((300.0..20_000.0).contains(&duration("wake")), "{timing}");
    assert_eq!(conn.get("/").field("server-timing"), None);
    sleep(&reveille, "timed");
    assert!(conn.get("/").field("server-timing").is_some());
    reveille.stop();
}

#[test]
fn fields_of_one_hop_stay_on_their_hop() {
    let app = App::slow("hop");
    let reveille = start_awake(&app);
    let fields = "Connection: keep-alive, x-secret, TE\r\nX-Secret: 1\r\nKeep-Alive: timeout=9\r\n\
                  Proxy-Connection: keep-alive\r\nTE: gzip;q=0.5\r\nUpgrade: h2c\r\nX-Kept: 1\r\n";
    let echo = echo(app.listen, fields);
    for name in ["x-secret", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(echoed(&echo, name).is_empty(), "{name} was forwarded: {echo}");
    }
    assert!(!echoed(&echo, "te").iter().any(|te| te.contains("gzip")), "{echo}");
    assert_eq!(echoed(&echo, "x-kept"), ["1"]);

    let answer = Conn::open(app.listen).get("/hop");
    for name in ["x-private", "keep-alive"] {
        assert_eq!(answer.field(name), None, "{:?}", answer.head);
    }
    assert_eq!((answer.field("x-public"), answer.text()), (Some("1"), "hop".into()));
    reveille.stop();
}

#[test]
fn fields_pass_in_their_order_and_number() {
    let app = App::slow("order");
    let reveille = start_awake(&app);
    let echo = echo(
        app.listen,
        "X-A: 1\r\nCookie: a=1; b=2\r\nX-A: 2\r\nX-A: 3\r\nX-Empty:\r\nX-High: caf\u{e9}\r\n",
    );
    assert_eq!(echoed(&echo, "x-a"), ["1", "2", "3"]);
    assert_eq!(echoed(&echo, "cookie"), ["a=1; b=2"]);
    assert_eq!(echoed(&echo, "x-empty"), [""]);
    assert_eq!(echoed(&echo, "x-high"), ["caf\u{e9}"]);
    reveille.stop();
}
