//! One request: check, route, classify, count, gate, forward, stream back.
//!
//! ```text
//! head complete -> check -> route -> CONNECT? -> probe of a sleeping app? -> count in
//!   -> gate open, nobody waits, an endpoint is free --> attempt
//!   -> else: hold -> admitted ------------------------> attempt
//! attempt: pooled or new connection -> send -> response head -> stream back, counted to the body's end
//!   could not connect  -> back to the hold, before all others
//!   handed back unsent -> once more, on another connection
//! ```

mod attempt;
pub(crate) mod body;
mod check;
mod expect;
mod headers;
mod in_flight;
mod serve;

pub(crate) use headers::Forwarded;
pub(crate) use serve::serve;
