//! A body in chunks (RFC 9112, 7.1), read as strictly as is written: lines end with CR LF, sizes are hex digits.

use bytes::Bytes;
use http::HeaderMap;
use memchr::{memchr, memchr_iter};

use super::{
    ReadBuffer,
    fields::{self, end_of_block},
    response::Malformed,
};

/// A chunk's first line, with its extensions, may have this many bytes; and all trailers together.
const LONGEST: usize = 16 << 10;

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At a chunk's first line.
    Size,
    /// In its data, of which so many bytes are left.
    Data(u64),
    /// Behind its data.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind the body.
    End,
    /// Where it is not valid, and nothing that follows can be.
    Malformed(Malformed),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// What came behind the last chunk and was not taken yet.
    trailers: Option<Box<HeaderMap>>,
}

/// What can be had of a body.
pub(super) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { place: Place::Size, trailers: None }
    }

    /// Whether there is nothing more to be had.
    pub(super) fn is_at_end(&self) -> bool {
        self.place == Place::End && self.trailers.is_none()
    }

    /// What is there of the body; `None` if more has to be read first.
    ///
    /// # Errors
    /// If it is not valid, again and again.
    pub(super) fn next(&mut self, buffer: &mut ReadBuffer) -> Result<Option<Part>, Malformed> {
        self.advance(buffer)?;
        match self.place {
            Place::Data(left) if !buffer.is_empty() => {
                let there = buffer.as_slice().len();
                let count = usize::try_from(left).map_or(there, |left| left.min(there));
                let left = left - count as u64;
                self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                let data = buffer.take(count);
                // If the end came along, it need not be asked for again; what is wrong is said when it is.
                let _ = self.advance(buffer);
                Ok(Some(Part::Data(data)))
            }
            Place::End => Ok(Some(match self.trailers.take() {
                Some(trailers) => Part::Trailers(*trailers),
                None => Part::End,
            })),
            Place::Size | Place::Data(_) | Place::DataEnd | Place::Trailers | Place::Malformed(_) => Ok(None),
        }
    }

    /// Goes on to the next data, or the end, as far as what was read goes.
    fn advance(&mut self, buffer: &mut ReadBuffer) -> Result<(), Malformed> {
        self.step(buffer).inspect_err(|malformed| self.place = Place::Malformed(*malformed))
    }

    fn step(&mut self, buffer: &mut ReadBuffer) -> Result<(), Malformed> {
        loop {
            self.place = match self.place {
                Place::Size => {
                    let Some((size, length)) = size_line(buffer.as_slice())? else { return Ok(()) };
                    buffer.skip(length);
                    if size == 0 { Place::Trailers } else { Place::Data(size) }
                }
                Place::DataEnd => match buffer.as_slice() {
                    [b'\r', b'\n', ..] => {
                        buffer.skip(2);
                        Place::Size
                    }
                    [] | [b'\r'] => return Ok(()),
                    _ => return Err(Malformed("a chunk is longer than its size (RFC 9112, 7.1)")),
                },
                Place::Trailers => match buffer.as_slice() {
                    [b'\r', b'\n', ..] => {
                        buffer.skip(2);
                        Place::End
                    }
                    [] | [b'\r'] => return Ok(()),
                    bytes => {
                        if has_bare_newline(bytes) {
                            return Err(BAD_TRAILERS);
                        }
                        let Some(end) = end_of_block(bytes, 0) else {
                            return if bytes.len() > LONGEST { Err(TOO_LONG) } else { Ok(()) };
                        };
                        self.trailers = Some(Box::new(trailers(&buffer.take(end))?));
                        Place::End
                    }
                },
                Place::Malformed(malformed) => return Err(malformed),
                Place::Data(_) | Place::End => return Ok(()),
            }
        }
    }
}

const BAD_TRAILERS: Malformed = Malformed("the trailers are not valid (RFC 9112, 7.1.2)");
const TOO_LONG: Malformed = Malformed("a chunk's extensions or the trailers are longer than 16 KiB");

/// A chunk's size, and how long the line is that says it.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    const BAD: Malformed = Malformed("a chunk's size is not valid (RFC 9112, 7.1)");
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 16 {
        return Err(BAD);
    }
    let Some(newline) = memchr(b'\n', bytes) else {
        return if bytes.len() > LONGEST {
            Err(TOO_LONG)
        } else if digits == 0 && !bytes.is_empty() {
            Err(BAD)
        } else {
            Ok(None)
        };
    };
    let [line @ .., b'\r'] = &bytes[..newline] else { return Err(BAD) };
    let extension = line[digits..].trim_ascii_start();
    if digits == 0 || line.contains(&b'\r') || !matches!(extension, [] | [b';', ..]) {
        return Err(BAD);
    }
    let size = line[..digits].iter().fold(0, |size: u64, digit| {
        size << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
    });
    Ok(Some((size, newline + 1)))
}

/// Whether a line of trailers ends without CR, as far as is there: the body would end elsewhere for others. Trailers end
/// with an empty line, behind which everything may come.
fn has_bare_newline(bytes: &[u8]) -> bool {
    let end = end_of_block(bytes, 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r')
}

fn trailers(block: &Bytes) -> Result<HeaderMap, Malformed> {
    let mut space = [httparse::EMPTY_HEADER; fields::MAX_FIELDS];
    let mut headers = HeaderMap::new();
    match httparse::parse_headers(block, &mut space) {
        Ok(httparse::Status::Complete((length, found))) if length == block.len() => {
            fields::add(block, found, &mut headers)?;
            Ok(headers)
        }
        _ => Err(BAD_TRAILERS),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    /// Data, trailers, whether it has ended, and what is left in the buffer.
    type Had = (Vec<u8>, Option<HeaderMap>, bool, Vec<u8>);

    /// What is had of a body that comes in these pieces.
    fn read(pieces: &[&[u8]]) -> Result<Had, Malformed> {
        let (mut buffer, mut chunked) = (ReadBuffer::new(), Chunked::new());
        let (mut data, mut trailers, mut ended) = (Vec::new(), None, false);
        for piece in pieces {
            let mut source = *piece;
            while !source.is_empty() {
                let filled = std::future::poll_fn(|cx| buffer.poll_fill(cx, &mut source)).now_or_never();
                filled.unwrap().unwrap();
            }
            while !ended && let Some(part) = chunked.next(&mut buffer)? {
                match part {
                    Part::Data(bytes) => data.extend_from_slice(&bytes),
                    Part::Trailers(fields) => trailers = Some(fields),
                    Part::End => ended = true,
                }
            }
        }
        Ok((data, trailers, ended, buffer.as_slice().to_vec()))
    }

    #[test]
    fn chunks_extensions_and_trailers() {
        let (data, trailers, ended, left) =
            read(&[b"3\r\nabc\r\nA ;x=\"y\"\r\n0123456789\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\nnext"])
                .unwrap();
        assert_eq!((data.as_slice(), ended, left.as_slice()), (&b"abc0123456789"[..], true, &b"next"[..]));
        let sums: Vec<_> = trailers.as_ref().unwrap().get_all("x-sum").iter().collect();
        assert_eq!(sums, ["1", "2"]);
        let (data, trailers, ended, _) = read(&[b"0\r\n\r\n"]).unwrap();
        assert!(data.is_empty() && trailers.is_none() && ended);
    }

    #[test]
    fn the_end_is_known_with_the_last_data_if_it_came_along() {
        let (mut buffer, mut chunked) = (ReadBuffer::new(), Chunked::new());
        let mut source = &b"1\r\na\r\n0\r\n\r\n"[..];
        std::future::poll_fn(|cx| buffer.poll_fill(cx, &mut source)).now_or_never().unwrap().unwrap();
        assert!(matches!(chunked.next(&mut buffer), Ok(Some(Part::Data(_)))));
        assert!(chunked.is_at_end());
    }

    #[test]
    fn what_others_might_read_differently_is_refused() {
        let long = format!("1;{}", "x".repeat(LONGEST));
        for bad in [
            "1\na\n0\n\n",
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x1\r\na\r\n",
            "1 1\r\na\r\n",
            "1\r\r\na\r\n",
            "1;a\rb\r\na\r\n",
            "11111111111111111\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n folded: 1\r\n\r\n",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "3\r\nabc\r\n0\r\nno colon\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &long,
        ] {
            assert!(read(&[bad.as_bytes()]).is_err(), "{:?}", &bad[..bad.len().min(40)]);
        }
        assert!(read(&[b"FFFFFFFFFFFFFFFF\r\na"]).is_ok(), "as long as can be");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            with_trailers in any::<bool>(),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(if with_trailers { &b"0\r\na: b\r\n\r\n"[..] } else { b"0\r\n\r\n" });
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([wire.len()]) {
                pieces.push(&wire[from..cut]);
                from = cut;
            }
            let (data, trailers, ended, left) = read(&pieces).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(trailers.is_some(), with_trailers);
            prop_assert!(ended && left.is_empty());
        }

        #[test]
        fn nothing_panics(wire in "[0-9a-f;\r\n x:]{0,60}") {
            let _ = read(&[wire.as_bytes()]);
        }
    }
}
