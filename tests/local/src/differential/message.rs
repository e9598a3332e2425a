//! A request or response as it was received, whichever version carried it.

use std::fmt::{Display, Formatter, Result};

use serde::{Deserialize, Serialize};

use super::script::{Field, Framing};

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub version: String,
    /// Method and target, or the status.
    pub start: Start,
    /// The fields in order; names as they came. `:authority` is here as `host`.
    pub fields: Vec<Field>,
    /// The statuses of the interim responses before it.
    pub interim: Vec<u16>,
    /// How the end of the body was told.
    pub framing: Framing,
    /// Bytes of the body.
    pub length: u64,
    /// FNV-1a over them.
    pub hash: u64,
    /// What followed the body.
    pub trailers: Vec<Field>,
}

/// What differs between requests and responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Of a request.
    Request {
        /// Such as `GET`.
        method: String,
        /// As it stood in the request line, or `:path`.
        target: String,
    },
    /// Of a response.
    Response {
        /// Three digits.
        status: u16,
        /// What stood beside it in HTTP/1.1.
        reason: String,
    },
}

/// What came of a case on one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Each request that reached the mirror: one, if all is well.
    pub seen: Vec<Message>,
    /// What the client got, or why that was no HTTP message.
    pub answer: std::result::Result<Message, String>,
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Message {
    /// A message whose body is still to come.
    pub fn new(version: &str, start: Start, fields: Vec<Field>) -> Self {
        Self {
            version: version.to_owned(),
            start,
            fields,
            interim: Vec::new(),
            framing: Framing::None,
            length: 0,
            hash: FNV_START,
            trailers: Vec::new(),
        }
    }

    /// Takes another piece of the body.
    pub fn add(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        for byte in piece {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// The values of a field, in order.
    pub fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let lines = self.fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// Takes out the fields of a name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.start {
            Start::Request { method, target } => writeln!(f, "{method} {target} {}", self.version)?,
            Start::Response { status, reason } => {
                for interim in &self.interim {
                    writeln!(f, "{} {interim} (interim)", self.version)?;
                }
                writeln!(f, "{} {status} {reason}", self.version)?;
            }
        }
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {}", shown(value))?;
        }
        writeln!(f, "({:?}: {} bytes, hash {:016x})", self.framing, self.length, self.hash)?;
        for (name, value) in &self.trailers {
            writeln!(f, "{name}: {} (trailer)", shown(value))?;
        }
        Ok(())
    }
}

/// How much of a long value is printed.
const SHOWN: usize = 120;

/// A value that fits on a line; what is not visible ASCII is escaped.
pub fn shown(value: &str) -> String {
    let mut start = String::new();
    for c in value.chars().take(SHOWN) {
        match c {
            ' '..='~' => start.push(c),
            _ => start.extend(c.escape_default()),
        }
    }
    let more = value.chars().count().saturating_sub(SHOWN);
    if more == 0 { start } else { format!("{start}[and {more} more]") }
}
