//! The same request, sent directly to a server and through the activator, must come to the same: at the app,
//! and back at the client.
//!
//! ```text
//!             ┌── direct ───────────────────────> mirror_server   1 what the app saw   2 what it answered
//!   a case ───┤                                        │
//!             └── through ──> reveille ───────────> mirror_server   must be equal, but for `allowed`
//! ```
//!
//! A [`Case`](script::Case) is a request together with the response that it is to get. The mirror server is told
//! that response beforehand, over a port of its own, so that nothing but the case's number has to be in the
//! request; it notes each request as it came, to be fetched and compared.
//!
//! | module | holds |
//! |---|---|
//! | [`script`] | what a case is |
//! | [`generate`] | cases from a seed |
//! | [`message`] | a request or response as it was received |
//! | [`wire`] | HTTP/1.1 read strictly and written literally, by client and mirror alike |
//! | [`h1`], [`h2`] | the clients |
//! | [`control`] | how the mirror is told what to answer, and tells what it saw |
//! | [`allowed`] | the documented differences, as data |
//! | [`compare`] | all others |
//! | [`shrink`] | the smallest case that still differs |
//! | [`run`] | many cases, in bounded time, and the report |
//! | [`tamper`] | a proxy that changes what it passes on, to prove that changes are found |

pub mod allowed;
pub mod compare;
pub mod control;
pub mod generate;
pub mod h1;
pub mod h2;
pub mod message;
pub mod run;
pub mod script;
pub mod shrink;
pub mod tamper;
pub mod wire;

/// A protocol version that a client or an app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1, or 1.0 where a case says so.
    H1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2,
}

/// Who speaks what on the two sides of the activator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The client.
    pub client: Speaks,
    /// The app, when it is reached through the activator. Directly it hears the client's own version.
    pub app: Speaks,
}

impl Route {
    /// Whether both sides speak this one.
    pub fn is_all(self, speaks: Speaks) -> bool {
        self.client == speaks && self.app == speaks
    }
}
