//! What gRPC adds to HTTP/2: how a call is told from other requests, its deadline, its status, its messages.
//!
//! Source: gRPC over HTTP/2 (the protocol's own description), and the mapping of its codes to HTTP's.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};

/// How long the client waits for the whole call.
pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The outcome of a call, in its trailers or, where there is no message, among its headers.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long a client waits before it tries again; a negative number: it does not.
pub(crate) const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// The content type of a call without a message format of its own.
pub(crate) const APPLICATION_GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether a request is a gRPC call. gRPC-Web is not: it is made for HTTP/1.1.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    match kind.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';' | b' ')),
        None => false,
    }
}

/// `grpc-timeout`: at most eight digits and a unit. `None` if there is none, or it makes no sense.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3_600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// A time as `grpc-timeout` says it: in the finest unit that eight digits allow, rounded down.
pub(super) fn timeout_value(time: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let text = [(time.as_nanos(), 'n'), (time.as_micros(), 'u'), (time.as_millis(), 'm')]
        .into_iter()
        .find(|(n, _)| *n <= MOST)
        .map_or_else(|| format!("{}S", time.as_secs().min(99_999_999)), |(n, unit)| format!("{n}{unit}"));
    HeaderValue::from_str(&text).expect("digits and a letter are a valid field value")
}

/// A message as it is framed: not compressed, its length, itself.
pub(crate) fn message(payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + payload.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(payload.len()).expect("our own messages are short"));
    framed.put_slice(payload);
    framed.freeze()
}

/// `grpc-message`: text, percent-encoded but for visible ASCII.
pub(crate) fn encode_message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&encoded).expect("visible ASCII is a valid field value")
}

/// The class of HTTP status that a call's outcome stands for (`google.rpc.Code`): 2, 4 or 5.
pub(super) fn status_class(headers: &HeaderMap) -> Option<u16> {
    let code: u8 = headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()?;
    Some(match code {
        0 => 2,
        // CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
        // FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNAUTHENTICATED.
        1 | 3 | 5..=11 | 16 => 4,
        _ => 5,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=x", true),
            ("application/grpc-web", false),
            ("application/grpc-web-text", false),
            ("application/json", false),
        ] {
            assert_eq!(is_call(&headers(CONTENT_TYPE, kind)), is, "{kind}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn timeouts_are_read_and_written() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("1.5S", None),
            ("-1S", None),
            ("1s", None),
            ("1é", None),
        ] {
            let value =
                HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_bytes(text.as_bytes()).unwrap())]);
            assert_eq!(timeout(&value), expected, "{text:?}");
        }
        assert_eq!(timeout_value(Duration::from_millis(99)), "99000000n");
        assert_eq!(timeout_value(Duration::from_secs(90)), "90000000u");
        assert_eq!(timeout_value(Duration::from_secs(3_600)), "3600000m");
        assert_eq!(timeout_value(Duration::from_secs(200_000)), "200000S");
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(encode_message("50% späť\n"), "50%25 sp%C3%A4%C5%A5%0A");
    }

    proptest! {
        /// What is written is read back as no more than it was, and by at most a second less.
        #[test]
        fn a_written_timeout_is_never_longer(nanos in 0u64..u64::MAX / 4) {
            let time = Duration::from_nanos(nanos);
            let written = timeout(&HeaderMap::from_iter([(GRPC_TIMEOUT, timeout_value(time))])).unwrap();
            prop_assert!(written <= time);
            prop_assert!(time - written < Duration::from_secs(1) || time.as_secs() > 99_999_999);
        }

        #[test]
        fn no_timeout_panics(bytes in prop::collection::vec(0x20u8..0x7f, 0..12)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = timeout(&HeaderMap::from_iter([(GRPC_TIMEOUT, value)]));
            }
        }
    }
}
