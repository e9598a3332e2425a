//! What the documented differences do not cover is found, on every route: outcomes as an activator would bring
//! them about are equal, and each single thing that it must not do is not.

use super::*;
use crate::differential::{
    Speaks,
    allowed::DOCUMENTED,
    script::{Body, Framing, HOST},
};

const H1: Speaks = Speaks::H1;
const H2: Speaks = Speaks::H2;

fn field(name: &str, value: &str) -> Field {
    (name.to_owned(), value.to_owned())
}

fn case() -> Case {
    let mut case = Case::plain();
    case.request.fields = vec![field("Cookie", "a=1"), field("Cookie", "b=2"), field("TE", "trailers")];
    case.response.fields = vec![field("Trailer", "x-sum")];
    case.response.body = Body::of(Framing::Chunked, 5);
    case.response.body.trailers = vec![field("x-sum", "1"), field("x-end", "2")];
    case
}

fn version(speaks: Speaks) -> &'static str {
    if speaks == H1 { "HTTP/1.1" } else { "HTTP/2" }
}

/// What a client's request comes to directly, and through an activator that does all right.
fn outcomes(route: Route) -> (Outcome, Outcome) {
    let request = Start::Request { method: "GET".into(), target: "/".into() };
    let own = vec![field("host", HOST), field("te", "trailers")];
    let cookies = [field("cookie", "a=1"), field("cookie", "b=2")];
    let mut direct = Message::new(version(route.client), request.clone(), own.clone());
    direct.fields.extend(cookies.clone());
    if route.client == H1 {
        direct.fields.extend([field("Connection", "TE, x-hop"), field("X-Hop", "1")]);
    }
    let mut through = Message::new(version(route.app), request, own);
    if (route.client, route.app) == (H2, H1) {
        through.fields.push(field("cookie", "a=1; b=2"));
    } else {
        through.fields.extend(cookies);
    }
    through.fields.extend([
        field("x-forwarded-for", "127.0.0.1"),
        field("x-forwarded-proto", "http"),
        field("x-forwarded-host", HOST),
        field("forwarded", &format!("for=127.0.0.1;host=\"{HOST}\";proto=http")),
        field("x-request-id", "0123456789abcdef0123456789abcdef"),
    ]);
    let ok = Start::Response { status: 200, reason: "OK".into() };
    let mut answer = Message::new(version(route.client), ok, vec![field("trailer", "x-sum")]);
    answer.add(b"12345");
    answer.trailers = vec![field("x-sum", "1"), field("x-end", "2")];
    let mut dated = answer.clone();
    dated.fields.push(field("date", "now"));
    if route.client == H1 {
        dated.fields.push(field("transfer-encoding", "chunked"));
        dated.framing = Framing::Chunked;
    }
    (Outcome { seen: vec![direct], answer: Ok(answer) }, Outcome { seen: vec![through], answer: Ok(dated) })
}

fn routes() -> [Route; 4] {
    [(H1, H1), (H1, H2), (H2, H1), (H2, H2)].map(|(client, app)| Route { client, app })
}

#[test]
fn what_is_documented_is_no_difference() {
    for route in routes() {
        let (direct, through) = outcomes(route);
        assert_eq!(compare(&case(), route, DOCUMENTED, &direct, &through).differences, [], "{route:?}");
    }
}

fn set(message: &mut Message, name: &str, value: &str) {
    message.remove(name);
    message.fields.push(field(name, value));
}

#[test]
fn what_is_not_documented_is_found_on_every_route() {
    type Change = fn(&mut Message, &mut Message);
    let changes: &[(&str, Change)] = &[
        ("request: field host", |seen, _| set(seen, "host", "other")),
        ("request: field x-new", |seen, _| set(seen, "x-new", "1")),
        ("request: field te", |seen, _| seen.remove("te")),
        ("request: field cookie", |seen, _| set(seen, "cookie", "a=1, b=2")),
        ("request: field x-hop", |seen, _| set(seen, "x-hop", "1")),
        ("request: field upgrade", |seen, _| set(seen, "upgrade", "own")),
        ("request: field connection", |seen, _| set(seen, "connection", "x-hop")),
        ("request: field x-forwarded-for", |seen, _| set(seen, "x-forwarded-for", "192.0.2.1, 127.0.0.1")),
        ("request: field forwarded", |seen, _| seen.remove("forwarded")),
        ("request: field x-request-id", |seen, _| seen.remove("x-request-id")),
        ("request: field content-length", |seen, _| set(seen, "content-length", "1")),
        ("request: version", |seen, _| seen.version = "HTTP/1.0".into()),
        ("request: length of the body", |seen, _| seen.add(b"x")),
        ("response: field trailer", |_, answer| answer.remove("trailer")),
        ("response: field content-length", |_, answer| set(answer, "content-length", "6")),
        ("response: field keep-alive", |_, answer| set(answer, "keep-alive", "timeout=5")),
        ("response: field date", |_, answer| answer.fields.push(field("date", "again"))),
        ("response: interim answers", |_, answer| answer.interim.push(100)),
        ("response: trailers", |_, answer| drop(answer.trailers.pop())),
        ("response: trailers", |_, answer| answer.trailers.clear()),
        ("response: bytes of the body", |_, answer| answer.hash ^= 1),
    ];
    for route in routes() {
        for (label, change) in changes {
            let (direct, mut through) = outcomes(route);
            change(&mut through.seen[0], through.answer.as_mut().unwrap());
            let verdict = compare(&case(), route, DOCUMENTED, &direct, &through);
            let labels: Vec<&str> = verdict.differences.iter().map(|found| found.label.as_str()).collect();
            assert_eq!(labels, [*label], "{route:?}");
        }
    }
}

#[test]
fn a_request_that_came_twice_or_not_at_all_is_found() {
    for route in routes() {
        let (direct, through) = outcomes(route);
        for seen in [vec![], vec![through.seen[0].clone(); 2]] {
            let through = Outcome { seen, answer: through.answer.clone() };
            let verdict = compare(&case(), route, DOCUMENTED, &direct, &through);
            assert_eq!(verdict.differences[0].label, "request: how often it came");
        }
        let broken = Outcome { answer: Err("cut off".into()), ..through };
        let verdict = compare(&case(), route, DOCUMENTED, &direct, &broken);
        assert_eq!(verdict.differences[0].label, "response: none, or a faulty one");
    }
}

#[test]
fn a_length_is_not_made_up_where_no_body_shows_it() {
    let mut case = case();
    case.request.method = "HEAD".into();
    let route = routes()[0];
    let (mut direct, mut through) = outcomes(route);
    for outcome in [&mut direct, &mut through] {
        let answer = outcome.answer.as_mut().unwrap();
        (answer.length, answer.hash) = (0, 0);
    }
    assert_eq!(compare(&case, route, DOCUMENTED, &direct, &through).differences, []);
    set(through.answer.as_mut().unwrap(), "content-length", "0");
    let verdict = compare(&case, route, DOCUMENTED, &direct, &through);
    assert_eq!(verdict.differences[0].label, "response: field content-length");
}
