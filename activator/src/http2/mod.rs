//! What both sides of HTTP/2 share: the sizes of windows, bodies that are received and sent by streams, and a
//! stream as a pipe of bytes.
//!
//! The `h2` crate is used directly, not through hyper: a proxy has to pass on why a stream was reset, tell
//! from a GOAWAY whether a request was processed, hold a stream's data without losing sight of its end, and
//! end a connection with a code of its choice. hyper keeps these to itself.

mod body;
mod duplex;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use body::RecvBody;
pub(crate) use duplex::Duplex;
pub(crate) use send::{BodySender, Failed};

/// Streams that a peer may have open at a time on one connection: enough that a crowd needs few connections,
/// little enough that the window below stays affordable.
pub(crate) const MAX_STREAMS: u32 = 128;
/// Bytes that may be on their way to us on one stream without having been taken.
pub(crate) const STREAM_WINDOW: u32 = 64 << 10;
/// The same for a connection: as much as all its streams together, so that streams whose data nobody takes
/// (held requests, slow readers) never keep others from moving.
pub(crate) const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// The decoded size of a head, in bytes; as for HTTP/1.1.
pub(crate) const MAX_HEADER_LIST: u32 = 64 << 10;
