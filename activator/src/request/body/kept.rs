//! What was taken of a request's body, in case the app does not process it and it has to be sent again.

use bytes::Bytes;
use http_body::Frame;

/// The most that is kept, in bytes.
const KEEP: usize = 64 << 10;

/// See the [module](self).
#[derive(Default)]
pub(super) enum Kept {
    /// Nobody wants it again.
    #[default]
    No,
    /// All of it, in pieces; the number of those that were given out once more.
    All { pieces: Vec<Bytes>, bytes: usize, again: usize },
    /// It is more than is kept.
    TooMuch,
}

impl Kept {
    /// From now on keeps what is taken.
    pub(super) fn begin(&mut self) {
        if let Self::No = self {
            *self = Self::All { pieces: Vec::new(), bytes: 0, again: 0 };
        }
    }

    /// Keeps nothing any more, but for what has still to be given out again.
    pub(super) fn forget(&mut self) {
        if !self.has_again() {
            *self = Self::No;
        }
    }

    /// Begins anew with the first piece. False if it is not all there any more.
    pub(super) fn rewind(&mut self) -> bool {
        match self {
            Self::All { again, .. } => {
                *again = 0;
                true
            }
            Self::No | Self::TooMuch => false,
        }
    }

    /// Keeps what was given out for the first time.
    pub(super) fn note(&mut self, frame: &Frame<Bytes>) {
        let Self::All { pieces, bytes, again } = self else { return };
        match frame.data_ref() {
            Some(data) if *bytes + data.len() <= KEEP => {
                *bytes += data.len();
                pieces.push(data.clone());
                *again = pieces.len();
            }
            // Trailers end it; whoever sends it again would have to know them, too.
            Some(_) | None => *self = Self::TooMuch,
        }
    }

    /// A piece that is given out once more.
    pub(super) fn next_again(&mut self) -> Option<Bytes> {
        let Self::All { pieces, again, .. } = self else { return None };
        let piece = pieces.get(*again)?.clone();
        *again += 1;
        Some(piece)
    }

    /// Whether a piece has to be given out once more.
    pub(super) fn has_again(&self) -> bool {
        matches!(self, Self::All { pieces, again, .. } if *again < pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kept: &mut Kept, data: &'static [u8]) {
        kept.note(&Frame::data(Bytes::from_static(data)));
    }

    #[test]
    fn what_was_taken_is_given_out_again_in_order() {
        let mut kept = Kept::default();
        note(&mut kept, b"before anybody asked");
        kept.begin();
        assert!(kept.rewind(), "nothing was taken since");
        assert!(kept.next_again().is_none());
        note(&mut kept, b"a");
        note(&mut kept, b"b");
        assert!(kept.next_again().is_none(), "not asked to begin anew");
        assert!(kept.rewind());
        assert_eq!(kept.next_again().as_deref(), Some(&b"a"[..]));
        // Half-way through, it fails again.
        assert!(kept.rewind());
        assert_eq!(kept.next_again().as_deref(), Some(&b"a"[..]));
        assert_eq!(kept.next_again().as_deref(), Some(&b"b"[..]));
        assert!(!kept.has_again());
        note(&mut kept, b"c");
        assert!(kept.rewind());
        let all: Vec<_> = std::iter::from_fn(|| kept.next_again()).collect();
        assert_eq!(all, ["a", "b", "c"]);
    }

    #[test]
    fn more_than_is_kept_is_never_sent_again() {
        let mut kept = Kept::default();
        kept.begin();
        kept.note(&Frame::data(Bytes::from(vec![0; KEEP])));
        assert!(kept.rewind());
        while kept.next_again().is_some() {}
        note(&mut kept, b"x");
        assert!(!kept.rewind());
        let mut kept = Kept::default();
        kept.begin();
        kept.note(&Frame::trailers(http::HeaderMap::new()));
        assert!(!kept.rewind(), "trailers are not kept");
    }

    #[test]
    fn what_has_still_to_be_sent_is_not_forgotten() {
        let mut kept = Kept::default();
        kept.begin();
        note(&mut kept, b"a");
        kept.rewind();
        kept.forget();
        assert_eq!(kept.next_again().as_deref(), Some(&b"a"[..]));
        kept.forget();
        assert!(!kept.rewind());
    }
}
