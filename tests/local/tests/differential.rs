//! The same requests directly and through the activator: same status, fields, body and trailers, at the app and
//! at the client. See `src/differential`; `REVEILLE_DIFF_SEED`, `REVEILLE_DIFF_CASES` and `REVEILLE_DIFF_CASE`
//! choose the cases.

use reveille_tests_local::{
    App, Reveille,
    app::Alone,
    differential::{
        Route, Speaks,
        allowed::DOCUMENTED,
        run::{Pair, Plan, Ways, run},
        script::{Body, Case, Framing},
        tamper::{self, Tamper},
    },
    ports, product, until,
};

use crate::support::{SOON, start_awake};

/// Enough for each rare thing to come up; REVEILLE_DIFF_CASES for more.
const CASES: u64 = 500;

const H1_TO_H1: Route = Route { client: Speaks::H1, app: Speaks::H1 };

/// A mirror as an app, and its control port.
fn mirror() -> (App, u16) {
    let control = ports::free();
    let app = App::new("mirror", vec![product::mirror_server().display().to_string()]);
    let port = app.upstream.to_string();
    let app = app.env("MIRROR_PORT", &port).env("MIRROR_CONTROL", &control.to_string());
    (app.set("idle: {ttl: 1h}"), control)
}

/// A mirror that runs without Reveille, in front of itself.
fn mirror_alone(route: Route) -> (App, Alone, Ways) {
    let (app, control) = mirror();
    let alone = app.run_alone();
    let port = app.upstream;
    until("the mirror listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let ways = Ways { direct: port, through: port, control, route, allowed: &[] };
    (app, alone, ways)
}

/// Directly against through Reveille, whose file says of the port that the app speaks `upstream_protocol`.
fn through_reveille(test: &str, route: Route, upstream_protocol: Option<&str>) {
    let (mut app, control) = mirror();
    if let Some(protocol) = upstream_protocol {
        let (listen, upstream) = (app.listen, app.upstream);
        app = app.set(&format!(
            "ports: [{{listen: \"127.0.0.1:{listen}\", upstream: \"127.0.0.1:{upstream}\", protocol: http, \
             upstreamProtocol: {protocol}}}]"
        ));
    }
    let reveille: Reveille = start_awake(&app);
    let ways = Ways { direct: app.upstream, through: app.listen, control, route, allowed: DOCUMENTED };
    run(test, Plan::from_env(CASES), ways);
    reveille.stop();
}

#[test]
fn h1_to_h1() {
    through_reveille("differential::h1_to_h1", H1_TO_H1, None);
}

#[test]
fn h2_to_h1() {
    let route = Route { client: Speaks::H2, app: Speaks::H1 };
    through_reveille("differential::h2_to_h1", route, Some("auto"));
}

#[test]
fn h1_to_h2() {
    let route = Route { client: Speaks::H1, app: Speaks::H2 };
    through_reveille("differential::h1_to_h2", route, Some("h2c"));
}

#[test]
fn h2_to_h2() {
    let route = Route { client: Speaks::H2, app: Speaks::H2 };
    through_reveille("differential::h2_to_h2", route, Some("h2c"));
}

#[test]
fn directly_nothing_differs_and_nothing_has_to_be_allowed() {
    for speaks in [Speaks::H1, Speaks::H2] {
        let (_app, _alone, ways) = mirror_alone(Route { client: speaks, app: speaks });
        run("differential::directly", Plan::from_env(CASES), ways);
    }
}

#[test]
fn what_a_proxy_changes_is_found() {
    let (_app, _alone, ways) = mirror_alone(H1_TO_H1);
    let mut case = Case::plain();
    case.request.method = "POST".into();
    case.request.target = "/a//b?".into();
    case.request.fields = vec![("TE".into(), "trailers".into()), ("X-One".into(), "same".into())];
    case.request.body = Body::of(Framing::Chunked, 100);
    case.request.body.trailers = vec![("X-Sum".into(), "42".into())];
    case.response.fields = vec![
        ("Set-Cookie".into(), "a=1".into()),
        ("Set-Cookie".into(), "b=2".into()),
        ("Vary".into(), "x".into()),
    ];
    case.response.body = case.request.body.clone();
    let (_, _, untouched) = Pair::new(ways).run(&case);
    assert_eq!(untouched.differences, []);
    for (requests, find, replace, expected) in [
        (true, "POST /a", "PUT /a", "request: method"),
        (true, "/a//b?", "/a/b?", "request: target"),
        (true, "//b? HTTP", "//b HTTP", "request: target"),
        (true, "X-One: same", "X-One: seme", "request: field X-One"),
        (true, "X-One: same", "X-One: same\r\nX-One: same", "request: field X-One"),
        (true, "TE: trailers\r\n", "", "request: field TE"),
        (true, "X-Sum: 42\r\n", "", "request: trailers"),
        (true, "TE: trailers\r\nX-One: same\r\n", "X-One: same\r\nTE: trailers\r\n", "request: field order"),
        (false, "200 OK", "201 OK", "response: status"),
        (false, "200 OK", "200 Fine", "response: reason"),
        (false, "a=1\r\nSet-Cookie: b=2", "b=2\r\nSet-Cookie: a=1", "response: field Set-Cookie"),
        (false, "a=1\r\nSet-Cookie: b=2", "a=1, b=2", "response: field Set-Cookie"),
        (false, "Vary: x\r\n", "", "response: field Vary"),
        (false, "Vary: x", "vary: y", "response: field Vary"),
        (false, "X-Sum: 42", "X-Sum: 43", "response: trailers"),
        (false, "chunked\r\n\r\n64\r\n\0", "chunked\r\n\r\n64\r\n\x01", "response: bytes of the body"),
        (false, "chunked\r\n\r\n64\r\n", "chunked\r\n\r\n63\r\n", "response: none, or a faulty one"),
        (false, "HTTP/1.1 200", "HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200", "response: interim answers"),
        (false, "X-Sum: 42\r\n\r\n", "X-Sum: 42\r\n\r\n!", "response: none, or a faulty one"),
        (false, "Vary: x", "Vary : x", "response: none, or a faulty one"),
        (false, "Vary: x\r\n", "Vary: x\r\nContent-Length: 100\r\n", "response: none, or a faulty one"),
    ] {
        let tamper = Tamper { requests, find: find.as_bytes(), replace: replace.as_bytes() };
        let through = tamper::start(ways.direct, tamper);
        let (_, _, verdict) = Pair::new(Ways { through, ..ways }).run(&case);
        let labels: Vec<&str> = verdict.differences.iter().map(|found| found.label.as_str()).collect();
        assert_eq!(labels.first(), Some(&expected), "{find:?} by {replace:?}: {:?}", verdict.differences);
    }
}
