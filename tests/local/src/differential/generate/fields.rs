//! Fields as they occur, and as they are allowed to.

use fastrand::Rng;

use super::{one_in, pick};
use crate::differential::script::Field;

/// All bytes that a value may have beside visible ASCII (RFC 9110, 5.5).
fn obs_text() -> String {
    ('\u{80}'..='\u{ff}').collect()
}

/// Fields of either direction that mean nothing to a proxy.
fn any(rng: &mut Rng) -> Vec<Field> {
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    match rng.u32(..18) {
        0 => {
            let name = pick(rng, &["X-Repeat", "x-repeat", "X-REPEAT"]);
            let count = rng.usize(2..5);
            (0..count).map(|n| (name.to_owned(), format!("{n}, {n}"))).collect()
        }
        1 => one("X-Empty", ""),
        2 => vec![("X-Empty-Twice".into(), String::new()), ("X-Empty-Twice".into(), String::new())],
        3 => one("X-Latin", "caf\u{e9}"),
        4 => one("X-Obs-Text", &obs_text()),
        5 => one("X-Tab", "a\tb \t c"),
        6 => one("X-Quoted", "\"a, b\\\" c\";d=\"e;f\", <g>(h){i}[j]@k:l/m?n=o"),
        7 => vec![(
            "X-Long".into(),
            pick(rng, &["v", "ab, ", "\u{fc}"]).repeat(rng.usize(1..1500)).trim().into(),
        )],
        8 => one("!#$%&'*+-.^_`|~0Az", "odd name"),
        9 => one("0", "0"),
        10 => one("x_under_score", "1"),
        11 => one("Cache-Control", "no-cache, max-age=0, private=\"x\""),
        12 => one(
            "Content-Type",
            pick(rng, &["text/plain; charset=\"utf-8\"", "application/json", "a/b;q=\"\\\"\""]),
        ),
        13 => one("Content-Encoding", pick(rng, &["gzip", "br, gzip", "identity"])),
        14 => one("Content-Language", "de, en"),
        15 => one("Via", "1.1 earlier (\"comment\")"),
        16 => (0..rng.usize(1..20)).map(|n| (format!("X-Many-{n}"), n.to_string())).collect(),
        _ => one("Pragma", "no-cache"),
    }
}

/// What concerns one hop, on a connection that goes on.
fn hop(rng: &mut Rng) -> Vec<Field> {
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match rng.u32(..4) {
        0 => vec![one("Connection", "X-Hop"), one("X-Hop", "for one hop"), one("x-hop", "twice")],
        1 => vec![
            one("Connection", "keep-alive, , x-hop-b"),
            one("Keep-Alive", "timeout=9"),
            one("X-Hop-B", ""),
        ],
        2 => vec![one("Proxy-Connection", "keep-alive")],
        _ => vec![one("Connection", "x-hop-not-there"), one("Connection", "Keep-Alive")],
    }
}

fn some(rng: &mut Rng, choose: impl Fn(&mut Rng) -> Vec<Field>) -> Vec<Field> {
    let count = rng.usize(..6);
    let mut fields: Vec<Field> = Vec::new();
    for _ in 0..count {
        let more = choose(rng);
        // A long value twice would go beyond the heads that others take.
        if !more.iter().any(|(name, _)| fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))) {
            fields.extend(more);
        }
    }
    if one_in(rng, 4) {
        fields.extend(hop(rng));
    }
    fields
}

/// Fields of a request.
pub(super) fn of_request(rng: &mut Rng) -> Vec<Field> {
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let mut fields = some(rng, |rng| match rng.u32(..26) {
        0 => one("Accept", "*/*;q=0.1, text/html"),
        1 => one("Accept-Encoding", "gzip, br;q=0"),
        2 => one("Authorization", "Basic YTpi"),
        3 => one("If-None-Match", "\"a\", W/\"b\", *"),
        4 => one("Range", "bytes=0-0,-1"),
        5 | 6 => (0..rng.usize(1..4)).map(|n| ("Cookie".into(), format!("c{n}={n}; d{n}=\"\""))).collect(),
        7 => one("User-Agent", "differential/1.0 (test)"),
        8 => one("X-Forwarded-For", "192.0.2.1, 192.0.2.2"),
        9 => vec![
            ("Forwarded".into(), "for=192.0.2.1;proto=https".into()),
            ("X-Forwarded-Proto".into(), "https".into()),
            ("X-Forwarded-Host".into(), "evil.example".into()),
        ],
        10 => one("X-Request-Id", "an-id-of-the-client's_own"),
        11 => one("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        12 => one("Referer", "http://other.example/a?b"),
        13 => one("Origin", "null"),
        _ => any(rng),
    });
    if one_in(rng, 3) {
        let te = pick(rng, &["trailers", "trailers", "deflate;q=0.5, trailers", "gzip"]);
        fields.extend([("TE".into(), te.into()), ("Connection".into(), "TE".into())]);
    }
    if one_in(rng, 12) {
        fields.extend([("Upgrade".into(), "own/2".into()), ("Connection".into(), "Upgrade".into())]);
    }
    if one_in(rng, 12) {
        fields.push(("Connection".into(), "close".into()));
    }
    fields
}

/// Fields of a response.
pub(super) fn of_response(rng: &mut Rng) -> Vec<Field> {
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let mut fields = some(rng, |rng| match rng.u32(..26) {
        0 | 1 => {
            (0..rng.usize(1..5)).map(|n| ("Set-Cookie".into(), format!("s{n}=a,b; Path=/, x"))).collect()
        }
        2 => vec![("Vary".into(), "Accept".into()), ("vary".into(), "Cookie, *".into())],
        3 => one("ETag", pick(rng, &["\"a\"", "W/\"b,c\"", "\"\""])),
        4 => one("Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT"),
        5 => one("Location", "//elsewhere.example/%zz?#frag"),
        6 => one("Server", "mirror/1 (own)"),
        7 => vec![
            ("WWW-Authenticate".into(), "Basic realm=\"a, b\"".into()),
            ("WWW-Authenticate".into(), "Negotiate".into()),
        ],
        8 => one("Content-Range", "bytes */10"),
        9 => one("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
        10 => one("Link", "</a>; rel=\"preload\", </b>; rel=x"),
        11 => one("Server-Timing", "app;dur=1.5, db;desc=\"x\""),
        12 => one("X-Request-Id", "an id of the app"),
        13 => one("Alt-Svc", "clear"),
        14 => one("Age", "0"),
        _ => any(rng),
    });
    if !one_in(rng, 3) {
        fields.push(("Date".into(), "Tue, 15 Nov 1994 08:12:31 GMT".into()));
    }
    fields
}

/// Fields of a trailer section.
pub(super) fn of_trailers(rng: &mut Rng) -> Vec<Field> {
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match rng.u32(..4) {
        0 => vec![one("X-Sum", "42")],
        1 => vec![one("X-Sum", "1"), one("x-sum", "2"), one("X-Empty-End", "")],
        2 => vec![one("X-End", &obs_text()), one("Server-Timing", "total;dur=1")],
        _ => vec![one("ETag", "\"late\"")],
    }
}
