//! Header fields: what belongs to one hop is removed, and the app is told who called.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;
use ipnet::IpNet;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Names a request in logs and in our errors.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is kept.
const MAX_REQUEST_ID: usize = 128;

/// Fields that belong to one hop (RFC 9110, 7.6.1).
static HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// What apps are told about a client; one a connection, so that values are made once.
pub(crate) struct Forwarded {
    trusted: bool,
    peer: HeaderValue,
    /// The last `Host` seen, with the `Forwarded` element made for it.
    last: Option<(HeaderValue, HeaderValue)>,
    node: String,
}

impl Forwarded {
    pub(crate) fn new(peer: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let text = peer.to_string();
        let node = if peer.is_ipv6() { format!("for=\"[{text}]\"") } else { format!("for={text}") };
        Self {
            trusted: trusted_proxies.iter().any(|network| network.contains(&peer)),
            peer: HeaderValue::from_str(&text).expect("an IP address is a valid field value"),
            last: None,
            node,
        }
    }

    /// The `Forwarded` element for this host.
    fn element(&mut self, host: Option<&HeaderValue>) -> HeaderValue {
        let empty = HeaderValue::from_static("");
        let host = host.unwrap_or(&empty);
        if let Some((known, element)) = &self.last
            && known == host
        {
            return element.clone();
        }
        let element = match host.to_str() {
            // A host may have a port, which a token may not: quoted. What is in it was checked before.
            Ok(name) if !name.is_empty() => format!("{};host=\"{name}\";proto=http", self.node),
            _ => format!("{};proto=http", self.node),
        };
        let element = HeaderValue::from_str(&element).unwrap_or(HeaderValue::from_static(""));
        // A copy: it is not to keep the whole head of its request in memory.
        self.last = HeaderValue::from_bytes(host.as_bytes()).ok().map(|host| (host, element.clone()));
        element
    }
}

/// Makes a client's head one for the app, in origin form and with a Host, whichever version it goes on by.
/// `upgrade` names the protocol to change to. Returns the request's id.
pub(super) fn to_upstream<B>(
    request: &mut Request<B>,
    forwarded: &mut Forwarded,
    upgrade: Option<&str>,
    own_address: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let takes_trailers = has_token(request.headers(), &TE, b"trailers");
    let upgrade = upgrade.map(|protocol| HeaderValue::from_str(protocol).expect("a checked token"));
    remove_hop_by_hop(request.headers_mut());
    if takes_trailers {
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    // The target is sent in origin form: an absolute one says the same as Host, which was checked.
    if request.uri().scheme().is_some() {
        if let Some(authority) = request.uri().authority().map(|a| HeaderValue::from_str(a.as_str())) {
            request
                .headers_mut()
                .entry(HOST)
                .or_insert(authority.expect("an authority is a valid field value"));
        }
        // There is one, as was checked (`check`).
        *request.uri_mut() = origin_form(request.uri()).unwrap_or_default();
    }
    let headers = request.headers_mut();
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    add_forwarding(headers, forwarded);
    // HTTP/1.0 knows no Host, and HTTP/1.1 asks for one.
    headers.entry(HOST).or_insert_with(own_address);
    let id = match headers.get(X_REQUEST_ID) {
        Some(id) if is_request_id(id) => id.clone(),
        _ => new_request_id(),
    };
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

/// The target without scheme and authority. `http://a?x` has a query and no path: it gets one.
///
/// `None` if what is left is no target of its own: characters are taken after an authority that are taken nowhere
/// else.
pub(super) fn origin_form(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if target == "*" {
        return Some(Uri::from_static("*"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{slash}{target}").parse().ok()
}

/// Makes the head one of HTTP/1.1: a body whose length is not known is chunked, whatever the method. Pieces into which HTTP/2 may cut a Cookie become one (RFC 9113, 8.2.3).
pub(super) fn to_http1<B: Body>(request: &mut Request<B>) {
    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if version != Version::HTTP_2 {
        return;
    }
    let mut cookies = request.headers().get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for piece in [second].into_iter().chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(piece.as_bytes());
        }
        let joined = HeaderValue::from_bytes(&joined).expect("valid values joined by a semicolon are valid");
        request.headers_mut().insert(COOKIE, joined);
    }
}

/// Makes the head one of HTTP/2: what it is for stands in the target (RFC 9113, 8.3.1).
pub(super) fn to_http2(mut request: Request<()>, address: SocketAddr) -> Request<()> {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    // Checked before; an empty one is valid in HTTP/1.1 and no authority.
    let host = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = host.or_else(|| Authority::try_from(address.to_string()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = authority;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    request
}

/// Removes from a request's trailers what must not come from a client there.
pub(super) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in
        [HOST, CONTENT_LENGTH, FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_REQUEST_ID]
    {
        trailers.remove(name);
    }
}

/// Whether an app's transfer coding is one that is understood: none, or exactly `chunked`.
pub(super) fn has_known_coding(headers: &HeaderMap) -> bool {
    headers.get_all(TRANSFER_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Makes an app's head one for the client.
pub(super) fn to_client(headers: &mut HeaderMap) {
    // Beside a transfer coding a length means nothing, and must not be believed (RFC 9112, 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
}

/// Makes an app's trailers those for the client: nothing that frames a message belongs there (RFC 9110, 6.5.1).
pub(super) fn trailers_to_client(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    trailers.remove(CONTENT_LENGTH);
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // One look at the names costs less than asking for each of those that are mostly not there.
    let mut there = [false; 6];
    for name in headers.keys() {
        if let Some(index) = HOP_BY_HOP.iter().position(|hop| hop == name) {
            there[index] = true;
        }
    }
    if there[0] {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for (name, _) in HOP_BY_HOP.iter().zip(there).filter(|(_, there)| *there) {
        headers.remove(name);
    }
}

/// The fields that `Connection` names, but for those that are removed in any case.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // These frame or route the message: naming them must not make them vanish.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect()
}

pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|b| *b == b',').any(|part| {
            let part = part.split(|b| *b == b';').next().unwrap_or_default();
            part.trim_ascii().eq_ignore_ascii_case(token)
        })
    })
}

fn add_forwarding(headers: &mut HeaderMap, forwarded: &mut Forwarded) {
    let host = headers.get(HOST).cloned();
    let element = forwarded.element(host.as_ref());
    if forwarded.trusted {
        append(headers, &X_FORWARDED_FOR, &forwarded.peer);
        append(headers, &FORWARDED, &element);
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
    } else {
        headers.insert(X_FORWARDED_FOR, forwarded.peer.clone());
        headers.insert(FORWARDED, element);
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        match host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }
}

/// Appends to the list that a field is, in one field line.
fn append(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    let mut joined = Vec::new();
    for earlier in headers.get_all(name) {
        joined.extend_from_slice(earlier.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(value.as_bytes());
    let joined = HeaderValue::from_bytes(&joined).expect("valid values joined by a comma are valid");
    headers.insert(name, joined);
}

/// A request id that is kept: visible characters, not too long.
fn is_request_id(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn new_request_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = fastrand::u128(..);
    let mut text = [0u8; 32];
    for digit in &mut text {
        *digit = HEX[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).expect("hex digits are a valid field value")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that goes on for ever.
    fn pending() -> impl futures_util::Stream<Item = Result<http_body::Frame<bytes::Bytes>, std::io::Error>> {
        futures_util::stream::pending()
    }

    fn forward(request: http::request::Builder, trusted: &[&str]) -> HeaderMap {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut forwarded = Forwarded::new("10.1.2.3".parse().unwrap(), &trusted);
        let mut request = request.header("host", "web:80").body(()).unwrap();
        to_upstream(&mut request, &mut forwarded, None, || HeaderValue::from_static("127.0.0.1:80"));
        request.headers().clone()
    }

    #[test]
    fn what_belongs_to_one_hop_is_removed() {
        let headers = forward(
            Request::builder()
                .header("connection", "close, X-Secret")
                .header("connection", "x-other, host, content-length")
                .header("x-secret", "1")
                .header("x-other", "1")
                .header("keep-alive", "timeout=5")
                .header("proxy-connection", "keep-alive")
                .header("te", "gzip, trailers;q=0.5")
                .header("upgrade", "h2c")
                .header("content-length", "3")
                .header("trailer", "x-sum"),
            &[],
        );
        for name in ["connection", "x-secret", "x-other", "keep-alive", "proxy-connection", "upgrade"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["te"], "trailers", "put back for trailers to arrive");
        assert_eq!(
            (&headers["trailer"], &headers["host"], &headers["content-length"]),
            (
                &HeaderValue::from_static("x-sum"),
                &HeaderValue::from_static("web:80"),
                &HeaderValue::from_static("3")
            )
        );
    }

    #[test]
    fn forwarding_fields_of_strangers_are_replaced_and_of_trusted_peers_continued() {
        let incoming = || {
            Request::builder()
                .header("x-forwarded-for", "1.1.1.1")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-host", "public.example")
                .header("forwarded", "for=1.1.1.1;proto=https")
        };
        let stranger = forward(incoming(), &["192.168.0.0/16"]);
        assert_eq!(stranger["x-forwarded-for"], "10.1.2.3");
        assert_eq!(stranger["x-forwarded-proto"], "http");
        assert_eq!(stranger["x-forwarded-host"], "web:80");
        assert_eq!(stranger["forwarded"], "for=10.1.2.3;host=\"web:80\";proto=http");
        let trusted = forward(incoming(), &["10.0.0.0/8"]);
        assert_eq!(trusted["x-forwarded-for"], "1.1.1.1, 10.1.2.3");
        assert_eq!(trusted["x-forwarded-proto"], "https");
        assert_eq!(trusted["x-forwarded-host"], "public.example");
        assert_eq!(trusted["forwarded"], "for=1.1.1.1;proto=https, for=10.1.2.3;host=\"web:80\";proto=http");
    }

    #[test]
    fn ipv6_peers_are_quoted_and_mapped_ones_are_ipv4() {
        let element = |peer: &str| {
            let mut forwarded = Forwarded::new(peer.parse().unwrap(), &[]);
            forwarded.element(None).to_str().unwrap().to_owned()
        };
        assert_eq!(element("2001:db8::1"), "for=\"[2001:db8::1]\";proto=http");
        assert_eq!(element("::ffff:10.0.0.1"), "for=10.0.0.1;proto=http");
    }

    #[test]
    fn a_request_id_is_kept_or_made() {
        let kept = forward(Request::builder().header("x-request-id", "abc-123"), &[]);
        assert_eq!(kept["x-request-id"], "abc-123");
        for bad in ["", "has blank", &"x".repeat(129)] {
            let made = forward(Request::builder().header("x-request-id", bad), &[]);
            assert_eq!(made["x-request-id"].len(), 32, "{bad:?}");
        }
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(forward(Request::builder().header("traceparent", trace), &[])["traceparent"], trace);
    }

    #[test]
    fn every_absolute_target_has_an_origin_form() {
        for (target, expected) in [
            ("http://a", "/"),
            ("http://a?x=1", "/?x=1"),
            ("http://a/?", "/?"),
            ("http://a:80/b//c?d=/e", "/b//c?d=/e"),
            ("http://[::1]:80", "/"),
        ] {
            let uri = origin_form(&target.parse().unwrap()).unwrap();
            assert_eq!(uri.to_string(), expected, "{target}");
        }
    }

    #[test]
    fn heads_change_their_version() {
        let address = "127.0.0.1:9".parse().unwrap();
        let request = Request::builder()
            .uri("/a?b=1")
            .header("host", "web:80")
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3")
            .body(())
            .unwrap();
        let http2 = to_http2(request.clone(), address);
        let mut unsized_body = request.clone().map(|()| http_body_util::StreamBody::new(pending()));
        to_http1(&mut unsized_body);
        assert_eq!(unsized_body.headers()["transfer-encoding"], "chunked", "also for a GET");
        let mut request = request.map(|()| http_body_util::Empty::<bytes::Bytes>::new());
        assert_eq!(http2.uri().to_string(), "http://web:80/a?b=1");
        assert!(!http2.headers().contains_key("host"));
        to_http1(&mut request);
        assert_eq!(request.headers().get_all("cookie").iter().count(), 2, "as the client wrote them");
        *request.version_mut() = Version::HTTP_2;
        to_http1(&mut request);
        assert_eq!(request.headers()["cookie"], "a=1; b=2; c=3");
        assert_eq!(request.headers().get_all("cookie").iter().count(), 1);
        assert!(!request.headers().contains_key("transfer-encoding"), "there is no body");
        let mut request = request.map(drop);
        request.headers_mut().insert("host", HeaderValue::from_static(""));
        assert_eq!(to_http2(request, address).uri().to_string(), "http://127.0.0.1:9/a?b=1");
        let all = Request::options("*").header("host", "web").body(()).unwrap();
        assert_eq!(to_http2(all, address).uri().path(), "*");
    }

    #[test]
    fn absolute_targets_become_origin_form() {
        let mut forwarded = Forwarded::new("10.1.2.3".parse().unwrap(), &[]);
        let mut request = Request::builder().uri("http://web/a?b=1").body(()).unwrap();
        to_upstream(&mut request, &mut forwarded, None, || HeaderValue::from_static("127.0.0.1:80"));
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()["host"]),
            ("/a?b=1", &HeaderValue::from_static("web"))
        );
    }
}
