//! What a server remembers of bytes that it was sent: enough to compare, never all of them.

/// How many bytes are kept.
const KEPT: usize = 64 * 1024;

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Bytes that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The first of them.
    pub start: Vec<u8>,
    /// How many there were.
    pub length: u64,
    /// FNV-1a over all of them.
    pub hash: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { start: Vec::new(), length: 0, hash: FNV_START }
    }
}

impl Seen {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        seen.add(bytes);
        seen
    }

    /// More came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
        let room = KEPT.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
    }

    /// Length and hash as JSON, as servers answer it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({"length": self.length, "hash": self.hash})
    }
}
