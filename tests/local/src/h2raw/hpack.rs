//! As much of HPACK (RFC 7541) as raw frames need.

/// A block with these fields, each a literal with a new name, without indexing and without Huffman's code. Names and
/// values may be what no library would send.
pub fn fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(list: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in list {
        block.push(0);
        string(&mut block, name.as_ref());
        string(&mut block, value.as_ref());
    }
    block
}

fn string(block: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(bytes);
}

/// The `:status` of a block, which stands first, from an encoder that was allowed no table.
pub(super) fn status(mut block: &[u8]) -> Option<u16> {
    // Changes of the table's size come before it (6.3).
    while let [size, rest @ ..] = block {
        if size & 0xe0 != 0x20 || size & 0x1f == 0x1f {
            break;
        }
        block = rest;
    }
    let (first, rest) = block.split_first()?;
    match first {
        // Indexed, of the static table (appendix A).
        0x88..=0x8e => Some([200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)]),
        // A literal whose name is `:status`: with indexing, without, never.
        0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => {
            let (length, rest) = rest.split_first()?;
            let value = rest.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 { std::str::from_utf8(value).ok()?.parse().ok() } else { digits(value) }
        }
        _ => None,
    }
}

/// Three digits in Huffman's code (appendix B): 0 to 2 have five bits, 3 to 9 six.
fn digits(bytes: &[u8]) -> Option<u16> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut take = |count: usize, from: u8| -> Option<u8> {
        (0..count).try_fold(from, |code, _| Some(code << 1 | bits.next()?))
    };
    let mut number = 0;
    for _ in 0..3 {
        let code = take(5, 0)?;
        let digit = if code <= 2 { code } else { take(1, code)?.checked_sub(0b01_1001)? + 3 };
        number = number * 10 + u16::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_however_it_is_written() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8d]), Some(404));
        assert_eq!(status(b"\x08\x03503"), Some(503));
        // RFC 7541, C.6.1 and C.6.2: 302 and 307 in Huffman's code.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(status(&[0x48, 0x83, 0x64]), None);
    }

    #[test]
    fn long_strings_have_their_length_in_several_bytes() {
        // RFC 7541, C.1.2: 1337 after a prefix of five bits; here of seven, 1337 - 127 = 1210 = 58 + 9 * 128.
        let block = fields(&[("n", "v".repeat(1337))]);
        assert_eq!(block[..6], [0, 1, b'n', 127, 58 | 128, 9]);
        assert_eq!(block.len(), 6 + 1337);
    }
}
