//! Requests that change the protocol: `Upgrade` on HTTP/1.1 (RFC 9110, 7.8), CONNECT with a protocol on HTTP/2
//! (RFC 8441). Both become an `Upgrade` towards the app, which speaks WebSocket over HTTP/1.1.
//!
//! Only protocols that the app's policy names are asked for, never HTTP/2 itself: what is tunnelled is not
//! looked at, so an upgrade to h2c would take whole requests past every check.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body::Body;
use reveille_core::{app::AppId, policy::Policy};

use super::headers;
use crate::error::{Error, Kind};

/// The protocol that the client wants to change to, in the spelling of the policy, if it may.
pub(super) fn wanted<B: Body>(request: &Request<B>, policy: &Policy) -> Option<String> {
    if request.version() == Version::HTTP_2 {
        let protocol = request.extensions().get::<h2::ext::Protocol>()?.as_str();
        return allowed(policy, protocol);
    }
    // HTTP/1.0 has no upgrade, and a body would have to be sent before it.
    if request.version() != Version::HTTP_11 || !request.body().is_end_stream() {
        return None;
    }
    if !headers::has_token(request.headers(), &CONNECTION, b"upgrade") {
        return None;
    }
    let offers = request.headers().get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).find_map(|offer| allowed(policy, offer.trim()))
}

fn allowed(policy: &Policy, protocol: &str) -> Option<String> {
    policy.upgrades.iter().find(|known| known.eq_ignore_ascii_case(protocol)).cloned()
}

/// Makes an extended CONNECT a request for an upgrade (RFC 8441, 5: the method is GET, and there is a key).
pub(super) fn from_connect<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::GET;
    request.extensions_mut().remove::<h2::ext::Protocol>();
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, websocket_key());
}

/// CONNECT for a protocol that the app's policy does not name.
pub(super) fn not_allowed(app: &AppId) -> Error {
    let detail = format!("the protocol that CONNECT asks for is not among the `upgrades` of {app}");
    Error::new(Kind::MethodNotSupported, detail).for_app(app)
}

/// CONNECT for an app that is spoken to over HTTP/2.
pub(super) fn not_over_http2(app: &AppId) -> Error {
    let detail = format!(
        "{app} has `upstreamProtocol: h2c`, and WebSocket is passed on over HTTP/1.1 alone; set it to `auto`"
    );
    Error::new(Kind::MethodNotSupported, detail).for_app(app)
}

/// The app gave an ordinary answer, which would be taken for an open tunnel (RFC 9110, 9.3.6).
pub(super) fn not_agreed(app: &AppId, status: StatusCode) -> Error {
    let detail =
        format!("{app} answered with {status} instead of changing to the protocol that it was asked to");
    Error::new(Kind::UpstreamProtocol, detail).for_app(app)
}

/// Sixteen random bytes in Base64.
fn websocket_key() -> HeaderValue {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = fastrand::u128(..);
    let mut text = [b'='; 24];
    for digit in &mut text[..21] {
        *digit = ALPHABET[(bits & 63) as usize];
        bits >>= 6;
    }
    // Of the 22nd digit only two bits are left; the other four are zero.
    text[21] = ALPHABET[((bits & 3) << 4) as usize];
    HeaderValue::from_bytes(&text).expect("Base64 is a valid field value")
}

/// Whether the app has changed to the protocol that it was asked to.
pub(super) fn is_agreed(response: &HeaderMap, protocol: &str) -> bool {
    response.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()))
}

/// The client's version of the app's `101 Switching Protocols`.
pub(super) fn to_client(response: &mut Response<()>, protocol: &str, over_http2: bool) {
    let protocol = HeaderValue::from_str(protocol).expect("a checked token");
    headers::to_client(response.headers_mut());
    if over_http2 {
        // The tunnel is open with any 2xx; the key's answer has no meaning (RFC 8441, 5.1).
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use reveille_core::policy::{Mode, PolicySpec};

    use super::*;

    fn request(headers: &[(&str, &str)], version: Version) -> Request<Empty<bytes::Bytes>> {
        let mut builder = Request::builder().version(version);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Empty::new()).unwrap()
    }

    #[test]
    fn only_what_the_policy_names_is_asked_for() {
        let policy = PolicySpec::default().resolve(Mode::Local).unwrap();
        let wanted = |connection, upgrade, version| {
            wanted(&request(&[("connection", connection), ("upgrade", upgrade)], version), &policy)
        };
        assert_eq!(wanted("Upgrade", "WebSocket", Version::HTTP_11).as_deref(), Some("websocket"));
        assert_eq!(
            wanted("keep-alive, upgrade", "h2c, websocket", Version::HTTP_11).as_deref(),
            Some("websocket")
        );
        for (connection, upgrade, version) in [
            ("upgrade", "h2c", Version::HTTP_11),
            ("keep-alive", "websocket", Version::HTTP_11),
            ("upgrade", "websocket", Version::HTTP_10),
            ("upgrade", "", Version::HTTP_11),
        ] {
            assert_eq!(wanted(connection, upgrade, version), None, "{connection} {upgrade}");
        }
    }

    #[test]
    fn keys_are_sixteen_bytes_of_base64() {
        for _ in 0..1_000 {
            let key = websocket_key();
            let text = key.to_str().unwrap();
            assert_eq!((text.len(), &text[22..]), (24, "=="));
            assert!("AQgw".contains(&text[21..22]), "{text}");
        }
    }
}
