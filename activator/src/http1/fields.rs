//! Field lines: where a block of them ends, and what they are.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use memchr::memchr_iter;

use super::response::Malformed;

/// A head, or trailers, may have so many.
pub(super) const MAX_FIELDS: usize = 100;

/// Room for the fields of one block.
pub(super) type Space<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS];

pub(super) fn space<'a>() -> Space<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Where the block ends: behind its first empty line. The first `seen` bytes were searched before.
pub(super) fn end_of_block(bytes: &[u8], seen: usize) -> Option<usize> {
    // The end may have begun in what was searched before.
    let from = seen.saturating_sub(3);
    memchr_iter(b'\n', &bytes[from..]).find_map(|at| match bytes[from + at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// Which of the fields that frame a message are there: asking the map for each would cost more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) length: bool,
    pub(super) coding: bool,
    pub(super) connection: bool,
}

/// Adds the fields, whose values are part of `block`.
pub(super) fn add(
    block: &Bytes,
    fields: &[httparse::Header<'_>],
    headers: &mut HeaderMap,
) -> Result<Seen, Malformed> {
    let mut seen = Seen::default();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Malformed("a field's name is not valid (RFC 9110, 5.1)"))?;
        let value = HeaderValue::from_maybe_shared(block.slice_ref(field.value));
        let value = value.map_err(|_| Malformed("a field's value is not valid (RFC 9110, 5.5)"))?;
        match name {
            CONTENT_LENGTH => seen.length = true,
            TRANSFER_ENCODING => seen.coding = true,
            CONNECTION => seen.connection = true,
            _ => {}
        }
        headers.append(name, value);
    }
    Ok(seen)
}

/// Whether the connection goes on after the message: HTTP/1.1 says if not, HTTP/1.0 if so (RFC 9112, 9.3).
pub(super) fn keeps_alive(headers: &HeaderMap, seen: Seen, is_1_1: bool) -> bool {
    let says = |token: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
    };
    if !seen.connection { is_1_1 } else { !says(b"close") && (is_1_1 || says(b"keep-alive")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_behind_its_first_empty_line_however_it_comes() {
        for (text, expected) in [
            (&b"a: b\r\n\r\nrest"[..], Some(8)),
            (b"a: b\n\nrest", Some(6)),
            (b"a: b\n\r\nrest", Some(7)),
            (b"a: b\r\n\r", None),
            (b"a: b\r\n", None),
            (b"\r\r\r", None),
            (b"", None),
        ] {
            assert_eq!(end_of_block(text, 0), expected, "{text:?}");
            for seen in 0..=text.len() {
                let before = end_of_block(&text[..seen], 0);
                assert_eq!(before.or_else(|| end_of_block(text, seen)), expected, "{text:?} after {seen}");
            }
        }
    }
}
