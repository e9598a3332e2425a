//! Cases from a seed: each depends on nothing but the seed and its number.

mod fields;

use fastrand::Rng;

use super::{
    Route, Speaks,
    script::{Body, Case, Framing, HOST, Request, Response},
};

/// The case of this number on this route.
pub fn case(seed: u64, number: u64, route: Route) -> Case {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let request = request(&mut rng, route);
    let response = response(&mut rng, &request, route);
    Case { request, response }
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn pick<'a, T: ?Sized>(rng: &mut Rng, choices: &[&'a T]) -> &'a T {
    choices[rng.usize(..choices.len())]
}

fn request(rng: &mut Rng, route: Route) -> Request {
    let is_h1 = route.client == Speaks::H1;
    let method = match rng.u32(..20) {
        0..6 => "GET",
        6..8 => "HEAD",
        8..13 => "POST",
        13 => "PUT",
        14 => "DELETE",
        15 => "OPTIONS",
        16 => "PATCH",
        17 => "PROPFIND",
        18 => "x-Own.1",
        _ => pick(rng, &["TRACE", "QUERY", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"]),
    };
    let target = target(rng, method, is_h1);
    let old = is_h1 && one_in(rng, 25);
    // Neither says what a body would mean there; TRACE must have none (RFC 9110, 9.3.8).
    let may_have_body = method != "TRACE" && (!matches!(method, "GET" | "HEAD") || one_in(rng, 5));
    let mut body = if may_have_body { body(rng, &[Framing::Length, Framing::Chunked]) } else { Body::none() };
    if old && body.framing == Framing::Chunked {
        body = Body::of(Framing::Length, body.length);
    }
    let mut fields = fields::of_request(rng);
    // Over h2c the mirror says no 100, and the activator waits for a second before it does.
    let rare = if route.app == Speaks::H2 { 60 } else { 6 };
    let expects = is_h1 && !old && body.length > 0 && one_in(rng, rare);
    trailers(rng, &mut body, &mut fields);
    let host = (!(old && one_in(rng, 2))).then(|| HOST.to_owned());
    Request { method: method.to_owned(), target, host, old, fields, expects, body }
}

fn target(rng: &mut Rng, method: &str, is_h1: bool) -> String {
    if method == "OPTIONS" {
        match rng.u32(..4) {
            0 => return "*".to_owned(),
            1 if is_h1 => return format!("http://{HOST}"),
            _ => {}
        }
    }
    let path = match rng.u32(..16) {
        0 => "/".to_owned(),
        1 => "//".to_owned(),
        2 => "//other.example/path".to_owned(),
        3 => "/a//b///".to_owned(),
        4 => "/a/./b/../c/..".to_owned(),
        5 => "/%2e%2e/%2F%5c%00%7e%7E".to_owned(),
        6 => "/%zz/%/%4".to_owned(),
        7 => format!("/{}", "long/".repeat(rng.usize(1..900))),
        8 => "/!$&'()*+,;=:@-._~".to_owned(),
        9 => "/a;p=1;q=2/b".to_owned(),
        10 => "/{a}|b\"c".to_owned(),
        _ => format!("/plain/{}", rng.u16(..)),
    };
    let query = match rng.u32(..8) {
        0 => "?",
        1 => "?a=%20b&c=%2F&d=+",
        2 => "?x=//y/../z&%7e",
        3 => "?q?r??s",
        4 => "?a=b&a=c&&=",
        5 => "?http://other.example/",
        _ => "",
    };
    // An absolute target of HTTP/1.1 names the host again.
    if is_h1 && one_in(rng, 12) {
        return match rng.u32(..6) {
            0 => format!("http://{HOST}"),
            1 => format!("http://{HOST}?a=1"),
            _ => format!("http://{HOST}{path}{query}"),
        };
    }
    path + query
}

fn body(rng: &mut Rng, framings: &[Framing]) -> Body {
    let framing = framings[rng.usize(..framings.len())];
    let length = match rng.u32(..24) {
        0..4 => 0,
        4..6 => 1,
        6..18 => rng.usize(2..2000),
        18 => 65_535,
        19 => 65_536,
        20 => 65_537,
        21 => 16_384,
        22 => 300 << 10,
        _ => rng.usize(2000..60_000),
    };
    let pieces = if one_in(rng, 3) { rng.usize(2..6) } else { 1 };
    let pause = if pieces > 1 && one_in(rng, 4) { rng.u64(1..8) } else { 0 };
    Body { framing, length, pieces, pause, extensions: one_in(rng, 6), trailers: Vec::new() }
}

fn trailers(rng: &mut Rng, body: &mut Body, fields: &mut Vec<(String, String)>) {
    if body.framing == Framing::Chunked && one_in(rng, 2) {
        body.trailers = fields::of_trailers(rng);
        if !one_in(rng, 4) {
            let names: Vec<&str> = body.trailers.iter().map(|(name, _)| name.as_str()).collect();
            fields.push(("Trailer".into(), names.join(", ")));
        }
    }
}

/// Statuses with their reasons. 101 asks for an upgrade, which nobody does here.
const STATUSES: [(u16, &str); 22] = [
    (200, "OK"),
    (200, "Fine by me"),
    (200, ""),
    (201, "Created"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (299, "Odd"),
    (301, "Moved Permanently"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (404, "Not Found"),
    (416, "Range Not Satisfiable"),
    (418, "I'm a teapot"),
    (421, "Misdirected Request"),
    (500, "Internal Server Error"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (599, "caf\u{e9} \u{ff}"),
];

fn response(rng: &mut Rng, request: &Request, route: Route) -> Response {
    let (status, reason) = if one_in(rng, 3) { STATUSES[0] } else { STATUSES[rng.usize(..STATUSES.len())] };
    let mut body = match status {
        204 => Body::none(),
        // No content, and it says so (RFC 9110, 15.3.6).
        205 => Body::of(if rng.bool() { Framing::Length } else { Framing::Chunked }, 0),
        304 if rng.bool() => Body::none(),
        304 => body(rng, &[Framing::Length]),
        _ => {
            body(rng, &[Framing::Length, Framing::Length, Framing::Chunked, Framing::Chunked, Framing::Close])
        }
    };
    let mut fields = fields::of_response(rng);
    if status != 205 {
        trailers(rng, &mut body, &mut fields);
    }
    let is_old = request.old || route.client == Speaks::H2;
    let interim = if !is_old && one_in(rng, 20) { vec![103; rng.usize(1..3)] } else { Vec::new() };
    // Over HTTP/2 the mirror waits for the body, so that it is asked for in the end.
    let refuses = route.is_all(Speaks::H1) && one_in(rng, 3);
    Response { status, reason: reason.to_owned(), fields, interim, refuses, body }
}
