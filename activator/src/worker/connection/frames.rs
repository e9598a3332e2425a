//! Counts the HTTP/2 frames of a client that ask for work and carry no request: a client that sends nothing
//! else keeps a core busy at no cost to itself (CVE-2019-9512, -9515, -9518; CVE-2023-44487).
//!
//! h2 bounds what such frames make it remember, and ends connections for some of them (CONTINUATION, empty
//! DATA, streams that are reset before they were looked at); it answers any number of PING and SETTINGS, and
//! lets any number of requests be reset. So the frames' headers are read here as they pass, and nothing else.

/// Bytes of a frame's header (RFC 9113, 4.1).
const HEADER: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
/// The head ends with this frame.
const END_HEADERS: u8 = 0x4;
/// The client's preface, before the first frame (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of DATA with one byte is 10 bytes long; two updates answer it, one of them for the connection.
const BYTES_PER_WINDOW_UPDATE: usize = 5;

/// What a client sends too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// RST_STREAM.
    Reset,
    /// PING.
    Ping,
    /// SETTINGS.
    Settings,
    /// Answers to PINGs that nobody sent.
    Ack,
    /// WINDOW_UPDATE.
    Window,
    /// PRIORITY, or frames of unknown types.
    Ignored,
}

/// How many frames of a kind a connection may send: at once, and in each half-second from then on.
struct Allowance {
    burst: u32,
    refill: u32,
}

impl Flood {
    const ALL: [Self; 6] = [Self::Reset, Self::Ping, Self::Settings, Self::Ack, Self::Window, Self::Ignored];

    /// The value of the metric's label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "flood-reset",
            Self::Ping => "flood-ping",
            Self::Settings => "flood-settings",
            Self::Ack => "flood-ack",
            Self::Window => "flood-window",
            Self::Ignored => "flood-ignored",
        }
    }

    /// A client may give up many requests at once, and measure its bandwidth by PINGs; neither goes on for ever.
    fn allowance(self) -> Allowance {
        match self {
            Self::Reset => Allowance { burst: 2_000, refill: 250 },
            Self::Ping => Allowance { burst: 10_000, refill: 1_000 },
            // PINGs of ours are rare, and h2 ends connections for answers to SETTINGS that were not sent.
            Self::Settings | Self::Ack => Allowance { burst: 100, refill: 10 },
            // More for what is sent: see `wrote`.
            Self::Window => Allowance { burst: 20_000, refill: 1_000 },
            Self::Ignored => Allowance { burst: 10_000, refill: 1_000 },
        }
    }

    fn of(kind: u8, flags: u8) -> Option<Self> {
        const ACK: u8 = 0x1;
        match kind {
            // DATA, HEADERS, PUSH_PROMISE (refused by h2), GOAWAY, CONTINUATION.
            0x0 | HEADERS | 0x5 | 0x7 | CONTINUATION => None,
            0x3 => Some(Self::Reset),
            0x4 => (flags & ACK == 0).then_some(Self::Settings),
            0x6 => Some(if flags & ACK == 0 { Self::Ping } else { Self::Ack }),
            0x8 => Some(Self::Window),
            _ => Some(Self::Ignored),
        }
    }
}

/// See the [module](self).
pub(super) struct Meter {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes to pass before the next header: the preface at first, payloads then.
    skip: usize,
    /// What is left of each allowance.
    left: [u32; Flood::ALL.len()],
    /// When the allowances were last refilled.
    tick: u32,
    /// The first frame has begun.
    begun: bool,
    /// The last frame is part of a head.
    in_head: bool,
    /// The head goes on with the next frame.
    goes_on: bool,
}

impl Meter {
    pub(super) fn new(tick: u32) -> Self {
        let left = Flood::ALL.map(|flood| flood.allowance().burst);
        Self {
            header: [0; HEADER],
            have: 0,
            skip: PREFACE.len(),
            left,
            tick,
            begun: false,
            in_head: false,
            goes_on: false,
        }
    }

    /// Whether something has begun that a client has no reason to be slow with: its first frame, a frame's
    /// header, a head.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.begun || self.have > 0 || self.goes_on || self.in_head && self.skip > 0
    }

    /// Looks at the next bytes of the client. Says what it sends too much of.
    pub(super) fn read(&mut self, mut bytes: &[u8], tick: u32) -> Option<Flood> {
        self.refill(tick);
        let mut found = None;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return found;
            }
            let taken = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < HEADER {
                return found;
            }
            self.have = 0;
            let [l2, l1, l0, kind, flags, ..] = self.header;
            self.skip = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
            self.begun = true;
            self.in_head = matches!(kind, HEADERS | CONTINUATION);
            if self.in_head {
                self.goes_on = flags & END_HEADERS == 0;
            }
            if let Some(flood) = Flood::of(kind, flags) {
                let left = &mut self.left[flood as usize];
                if *left == 0 {
                    found = found.or(Some(flood));
                } else {
                    *left -= 1;
                }
            }
        }
    }

    /// Bytes were sent to the client: it may give back their window, even if it does so twice for each small frame.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let left = &mut self.left[Flood::Window as usize];
        let more = u32::try_from(bytes / BYTES_PER_WINDOW_UPDATE).unwrap_or(u32::MAX);
        *left = left.saturating_add(more).min(Flood::Window.allowance().burst);
    }

    fn refill(&mut self, tick: u32) {
        let passed = tick.wrapping_sub(self.tick);
        if passed == 0 {
            return;
        }
        self.tick = tick;
        for flood in Flood::ALL {
            let Allowance { burst, refill } = flood.allowance();
            let left = &mut self.left[flood as usize];
            *left = left.saturating_add(refill.saturating_mul(passed)).min(burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0, (payload >> 8) as u8, payload as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + payload, 0x6);
        frame
    }

    fn meter() -> Meter {
        let mut meter = Meter::new(0);
        assert_eq!(meter.read(PREFACE, 0), None);
        meter
    }

    #[test]
    fn each_kind_has_its_burst_and_its_refill() {
        for (kind, flood) in [
            (0x3, Flood::Reset),
            (0x6, Flood::Ping),
            (0x4, Flood::Settings),
            (0x8, Flood::Window),
            (0x2, Flood::Ignored),
        ] {
            let mut meter = meter();
            let Allowance { burst, refill } = flood.allowance();
            for _ in 0..burst {
                assert_eq!(meter.read(&frame(kind, 0, 8), 0), None, "{flood:?}");
            }
            assert_eq!(meter.read(&frame(kind, 0, 8), 0), Some(flood));
            for _ in 0..refill {
                assert_eq!(meter.read(&frame(kind, 0, 8), 1), None, "{flood:?} after half a second");
            }
            assert_eq!(meter.read(&frame(kind, 0, 8), 1), Some(flood));
        }
    }

    #[test]
    fn what_carries_requests_or_answers_us_is_not_counted() {
        let mut meter = meter();
        for _ in 0..100_000 {
            for (kind, flags) in [(0x0, 0), (0x1, 0x4), (0x4, 0x1)] {
                assert_eq!(meter.read(&frame(kind, flags, 8), 0), None);
            }
        }
    }

    #[test]
    fn answers_to_what_nobody_asked_are_a_flood() {
        let mut meter = meter();
        for _ in 0..100 {
            assert_eq!(meter.read(&frame(0x6, 0x1, 8), 0), None);
        }
        assert_eq!(meter.read(&frame(0x6, 0x1, 8), 0), Some(Flood::Ack));
    }

    #[test]
    fn a_client_that_reads_may_give_back_the_window_of_each_frame() {
        let mut meter = meter();
        for _ in 0..1_000_000 {
            meter.wrote(10);
            for _ in 0..2 {
                assert_eq!(meter.read(&frame(0x8, 0, 4), 0), None);
            }
        }
    }

    #[test]
    fn what_has_begun_is_unfinished_until_it_is_whole() {
        let mut meter = Meter::new(0);
        meter.read(PREFACE, 0);
        assert!(meter.is_unfinished(), "the first frame is still to come");
        let mut meter = self::meter();
        meter.read(&frame(0x4, 0, 6), 0);
        assert!(!meter.is_unfinished());
        meter.read(&frame(0x0, 0, 100)[..50], 0);
        assert!(!meter.is_unfinished(), "a body may be slow");
        meter.read(&[0; 59], 0);
        let head = frame(0x1, 0, 100);
        meter.read(&head[..4], 0);
        assert!(meter.is_unfinished(), "part of a frame's header");
        meter.read(&head[4..], 0);
        assert!(meter.is_unfinished(), "a head that goes on");
        meter.read(&frame(0x9, END_HEADERS, 20)[..15], 0);
        assert!(meter.is_unfinished());
        meter.read(&[0; 14], 0);
        assert!(!meter.is_unfinished());
    }

    proptest! {
        /// Wherever the stream of bytes is cut, the same frames are seen.
        #[test]
        fn cuts_do_not_matter(frames in prop::collection::vec((0u8..12, 0usize..300), 1..60), cut in 1usize..50) {
            let mut bytes = PREFACE.to_vec();
            for (kind, payload) in frames {
                bytes.extend(frame(kind, 0, payload));
            }
            let (mut whole, mut pieces) = (Meter::new(0), Meter::new(0));
            whole.read(&bytes, 0);
            for piece in bytes.chunks(cut) {
                pieces.read(piece, 0);
            }
            prop_assert_eq!(whole.left, pieces.left);
            prop_assert_eq!((whole.have, whole.skip), (pieces.have, pieces.skip));
        }
    }
}
