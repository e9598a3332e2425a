//! HTTP/1.1: heads are read and written, bodies framed (RFC 9112). It owns no socket, starts no task and takes no lock.
//!
//! A proxy's messages are passed on by one task, from one socket to another. So there are no channels in between, a
//! head is copied once each way, and its map of fields goes from the client's request to the app's response and back:
//! that is what this is faster by than a general library. `tests/local/tests/differential.rs` compares what comes out
//! with what went in; docs/reference/http.md says what is refused.
//!
//! | file | holds |
//! |---|---|
//! | `buffer` | what was read and is not yet used |
//! | `request`, `response`, `fields` | heads that came, and how they say where the body ends |
//! | `body`, `chunked` | bodies that come |
//! | `send`, `head` | messages that go out |

mod body;
mod buffer;
mod chunked;
mod fields;
mod head;
mod request;
mod response;
mod send;

pub(crate) use body::{BodyReader, Broken};
pub(crate) use buffer::ReadBuffer;
pub(crate) use head::{Answering, write_interim};
pub(crate) use request::{Refused, RequestHead, parse as parse_request};
pub(crate) use response::{Framing, Head, Malformed, is_interim, parse as parse_response};
pub(crate) use send::{SendError, Sending};
