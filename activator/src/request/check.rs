//! What can be parsed and yet is no request to be passed on: checked here and answered with 400, as an app might read
//! such a request differently than we do.
//!
//! Malformed and differing lengths, folded lines, bare CR and NUL, and heads that are too long or have too many fields
//! are refused before, where heads are read: by [`crate::http1`] and by h2.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use super::headers;
use crate::error::{Error, Kind};

/// Checks a request's head.
///
/// # Errors
/// What is wrong, with the clause that says so.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    // With a protocol it is no tunnel to anywhere, but a WebSocket over HTTP/2 (RFC 8441).
    if request.method() == Method::CONNECT && request.extensions().get::<h2::ext::Protocol>().is_none() {
        let detail = "CONNECT asks for a tunnel, which an HTTP port does not give; call the app directly";
        return Err(Error::new(Kind::MethodNotSupported, detail));
    }
    check_target(request).map_err(bad)?;
    if request.version() == Version::HTTP_2 {
        check_http2(request).map_err(bad)?;
    }
    check_host(request).map_err(bad)?;
    check_transfer_coding(request.headers(), request.version()).map_err(bad)
}

fn bad(what: &'static str) -> Error {
    Error::new(Kind::BadRequest, what)
}

fn check_target<B>(request: &Request<B>) -> Result<(), &'static str> {
    let uri = request.uri();
    match uri.scheme_str() {
        _ if uri.path() == "*" && request.method() != Method::OPTIONS => {
            Err("the request's target is *, which is for OPTIONS alone (RFC 9112, 3.2.4)")
        }
        Some("http" | "https") if headers::origin_form(uri).is_some() => Ok(()),
        Some("http" | "https") => Err("the request's target is not a valid one (RFC 9112, 3.2)"),
        Some(_) => Err("the request's target has a scheme that is not http (RFC 9112, 3.2.2)"),
        None if uri.authority().is_some() => {
            Err("the request's target is an authority, which is for CONNECT alone (RFC 9112, 3.2.3)")
        }
        None => Ok(()),
    }
}

/// What h2 lets through, and an app on HTTP/1.1 might read differently.
fn check_http2<B>(request: &Request<B>) -> Result<(), &'static str> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut values = request.headers().values().map(HeaderValue::as_bytes);
    if values.any(|value| is_blank(value.first()) || is_blank(value.last())) {
        return Err("a field's value begins or ends with a blank (RFC 9113, 8.2.1)");
    }
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next().map(HeaderValue::as_bytes), lengths.next()) {
        (None, _) => Ok(()),
        // What follows is the other protocol's, and its length is nobody's to say (RFC 9113, 8.5).
        (Some(_), _) if request.method() == Method::CONNECT => Err("CONNECT has a Content-Length"),
        (Some(only), None) if !only.is_empty() && only.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err("the request's Content-Length is not one number (RFC 9110, 8.6)"),
    }
}

fn check_host<B>(request: &Request<B>) -> Result<(), &'static str> {
    if request.uri().authority().is_some_and(|authority| !is_valid_host(authority.as_str().as_bytes())) {
        return Err(
            "the request's authority is not a host with an optional port (RFC 9110, 4.2.4; RFC 9113, 8.3.1)",
        );
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err("the request has more than one Host (RFC 9112, 3.2)"),
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err("the request has no Host, which HTTP/1.1 asks for (RFC 9112, 3.2)");
        }
        (None, _) => return Ok(()),
    };
    if !is_valid_host(host.as_bytes()) {
        return Err("the request's Host is not a host with an optional port (RFC 9110, 7.2)");
    }
    match request.uri().authority() {
        Some(authority) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err("the request's Host differs from its target (RFC 9112, 3.2.2)")
        }
        _ => Ok(()),
    }
}

/// `uri-host [ ":" port ]` of RFC 3986; empty is valid for a target without an authority.
fn is_valid_host(host: &[u8]) -> bool {
    let (name, port) = if host.first() == Some(&b'[') {
        let Some(end) = host.iter().position(|b| *b == b']') else { return false };
        let literal = std::str::from_utf8(&host[1..end]).ok();
        if literal.and_then(|text| text.parse::<Ipv6Addr>().ok()).is_none() {
            return false;
        }
        match &host[end + 1..] {
            [] => return true,
            [b':', port @ ..] => (&b""[..], port),
            _ => return false,
        }
    } else {
        match host.iter().position(|b| *b == b':') {
            None => (host, &b""[..]),
            Some(colon) => (&host[..colon], &host[colon + 1..]),
        }
    };
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    let digits = std::str::from_utf8(port).unwrap_or("x");
    name.iter().all(is_name)
        && (digits.is_empty() || digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

fn check_transfer_coding(headers: &HeaderMap, version: Version) -> Result<(), &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next().map(HeaderValue::as_bytes), codings.next()) {
        (None, _) => Ok(()),
        (Some(_), None) if version != Version::HTTP_11 => {
            Err("the request has a transfer coding, which its version of HTTP does not know (RFC 9112, 6.1)")
        }
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("the request's transfer coding is not chunked and nothing else (RFC 9112, 6.1)"),
    }
}

/// The host by which the gateway knows an app: in lower case, without port and final dot. `None` if the
/// request names none.
pub(super) fn gateway_host<B>(request: &Request<B>) -> Option<String> {
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    let name = if host.starts_with('[') {
        &host[..=host.find(']')?]
    } else {
        host.split(':').next().unwrap_or_default()
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)], version: Version) -> Request<()> {
        let mut builder = Request::builder().uri(uri).version(version);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn hosts() {
        let verdict = |uri, headers: &[_]| check(&request(uri, headers, Version::HTTP_11)).is_ok();
        for host in
            ["a", "a.b:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "", "a:", "A_b", "xn--bcher-kva.example"]
        {
            assert!(verdict("/", &[("host", host)]), "{host}");
        }
        for host in
            ["a b", "a/b", "a@b", "a:b", "a:99999", "[::1", "[x]", "[::1]x", "a:80:90", "a#", "a?b", "ä"]
        {
            assert!(!verdict("/", &[("host", host)]), "{host}");
        }
        assert!(!verdict("/", &[]), "none");
        assert!(!verdict("/", &[("host", "a"), ("host", "a")]), "two");
        assert!(verdict("http://a/x", &[("host", "A")]));
        assert!(!verdict("http://a/x", &[("host", "b")]), "differs from the target");
        for (target, version) in [("http://u:p@a/x", Version::HTTP_11), ("http://u@a/x", Version::HTTP_2)] {
            assert!(check(&request(target, &[], version)).is_err(), "user information: {target} {version:?}");
        }
        assert!(check(&request("/", &[], Version::HTTP_10)).is_ok(), "HTTP/1.0 needs none");
    }

    #[test]
    fn targets() {
        let verdict = |method: &str, uri: &str| {
            let mut request = request(uri, &[("host", "a")], Version::HTTP_11);
            *request.method_mut() = method.parse().unwrap();
            check(&request).is_ok()
        };
        for (method, uri) in [("GET", "/"), ("GET", "http://a/x"), ("GET", "http://a?x"), ("OPTIONS", "*")] {
            assert!(verdict(method, uri), "{method} {uri}");
        }
        for (method, uri) in [("GET", "a"), ("GET", "*"), ("GET", "ftp://a/x"), ("CONNECT", "a:80")] {
            assert!(!verdict(method, uri), "{method} {uri}");
        }
    }

    #[test]
    fn what_http2_lets_through() {
        let verdict = |method: &str, uri: &str, headers: &[_]| {
            let mut request = request(uri, headers, Version::HTTP_2);
            *request.method_mut() = method.parse().unwrap();
            request.extensions_mut().insert(h2::ext::Protocol::from("websocket"));
            check(&request).is_ok()
        };
        assert!(verdict("POST", "http://a/", &[("content-length", "4"), ("x", "a b")]));
        assert!(verdict("CONNECT", "http://a/", &[]));
        for headers in [
            &[("x", " a")][..],
            &[("x", "a\t")],
            &[("content-length", "")],
            &[("content-length", "+4")],
            &[("content-length", "4"), ("content-length", "4")],
        ] {
            assert!(!verdict("POST", "http://a/", headers), "{headers:?}");
        }
        assert!(!verdict("CONNECT", "http://a/", &[("content-length", "40")]));
    }

    #[test]
    fn transfer_codings() {
        let verdict = |headers: &[(&str, &str)], version| {
            let mut all = vec![("host", "a")];
            all.extend(headers);
            check(&request("/", &all, version)).is_ok()
        };
        assert!(verdict(&[("transfer-encoding", "chunked")], Version::HTTP_11));
        assert!(verdict(&[("transfer-encoding", "Chunked")], Version::HTTP_11));
        for coding in ["gzip, chunked", "identity", "chunked, chunked", "", "xchunked"] {
            assert!(!verdict(&[("transfer-encoding", coding)], Version::HTTP_11), "{coding}");
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert!(!verdict(&twice, Version::HTTP_11));
        assert!(!verdict(&[("transfer-encoding", "chunked")], Version::HTTP_10));
    }

    #[test]
    fn gateway_hosts_are_normalised() {
        let host = |host| gateway_host(&request("/", &[("host", host)], Version::HTTP_11));
        assert_eq!(host("Web.LocalHost:8080").as_deref(), Some("web.localhost"));
        assert_eq!(host("web.localhost.").as_deref(), Some("web.localhost"));
        assert_eq!(host("[::1]:80").as_deref(), Some("[::1]"));
        assert_eq!(host(""), None);
        let absolute = request("http://Other/x", &[("host", "other")], Version::HTTP_11);
        assert_eq!(gateway_host(&absolute).as_deref(), Some("other"));
    }

    proptest! {
        #[test]
        fn no_host_panics(host in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = is_valid_host(&host);
            if let Ok(value) = HeaderValue::from_bytes(&host) {
                let mut request = request("/", &[], Version::HTTP_11);
                request.headers_mut().insert(header::HOST, value);
                let _ = check(&request);
                let _ = gateway_host(&request);
            }
        }
    }
}
