//! Which protocol a client speaks, told from its first bytes on one port: HTTP/2 by prior knowledge (its
//! preface), HTTP/1 (words), TLS (a handshake record), or something else.
//!
//! Whatever could be taken for a request by anybody is HTTP/1, however malformed, and is refused if it is: what
//! passes as other bytes is not looked at any more.
//!
//! Nothing here waits: the caller reads on while the answer is open, bounded by the connection's own timer.

use super::frames::PREFACE;

/// What a client's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detected {
    /// HTTP/1.0 or 1.1, well-formed or not.
    Http1,
    /// HTTP/2 by prior knowledge (RFC 9113, 3.3).
    Http2,
    /// A TLS handshake (RFC 8446, 5.1).
    Tls,
    /// None of these.
    Other,
}

/// The first word is looked at so far, in bytes.
const MAX_WORD: usize = 64;

/// What the first bytes say; `None` while more are needed.
pub(super) fn detect(bytes: &[u8]) -> Option<Detected> {
    let first = *bytes.first()?;
    let common = bytes.len().min(PREFACE.len());
    if bytes[..common] == PREFACE[..common] {
        return (common == PREFACE.len()).then_some(Detected::Http2);
    }
    if first == 0x16 {
        // A record's version begins with 3, whatever the version of TLS.
        return match bytes.get(1) {
            None => None,
            Some(3) => Some(Detected::Tls),
            Some(_) => Some(Detected::Other),
        };
    }
    // Empty lines before a request are to be skipped (RFC 9112, 2.2).
    if matches!(first, b'\r' | b'\n') {
        return Some(Detected::Http1);
    }
    for (length, byte) in bytes.iter().take(MAX_WORD).enumerate() {
        match byte {
            b' ' | b'\t' => return Some(Detected::Http1),
            byte if byte.is_ascii_graphic() => {}
            // A line of a method alone is half a request, and the rest may follow.
            b'\r' | b'\n' if bytes[..length].iter().all(u8::is_ascii_alphabetic) => {
                return Some(Detected::Http1);
            }
            // A first line of one word, or no text at all.
            _ => return Some(Detected::Other),
        }
    }
    (bytes.len() >= MAX_WORD).then_some(Detected::Http1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Detected::Http1)),
            (b"P", None),
            (b"PR", None),
            (b"POST /", Some(Detected::Http1)),
            (b"PRI ", None),
            (b"PRI /x", Some(Detected::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(Detected::Http2)),
            (b"custom-token /", Some(Detected::Http1)),
            (b"\r\nGET / HTTP/1.1", Some(Detected::Http1)),
            (b"\x16", None),
            (b"\x16\x03\x01\x02", Some(Detected::Tls)),
            (b"\x16\x02", Some(Detected::Other)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some(Detected::Other)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(Detected::Other)),
            (b" GET / HTTP/1.1", Some(Detected::Http1)),
            (b"G(E)T / HTTP/1.1", Some(Detected::Http1)),
            (b"GET\t/ HTTP/1.1", Some(Detected::Http1)),
            (b"GET\r\n", Some(Detected::Http1)),
            (b"*1\r\n$4\r\nPING\r\n", Some(Detected::Other)),
            (b"", None),
        ] {
            assert_eq!(detect(bytes), expected, "{:?}", bytes.escape_ascii().to_string());
        }
        assert_eq!(detect(&[b'x'; 63]), None);
        assert_eq!(detect(&[b'x'; 64]), Some(Detected::Http1));
    }

    proptest! {
        /// More bytes never change an answer, and enough of them always give one.
        #[test]
        fn an_answer_is_final(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x21u8..0x7f], 64..80)) {
            let mut answer = None;
            for n in 0..=bytes.len() {
                let now = detect(&bytes[..n]);
                if answer.is_some() {
                    prop_assert_eq!(now, answer);
                }
                answer = now;
            }
            prop_assert!(answer.is_some());
        }
    }
}
