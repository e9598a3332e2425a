//! The data plane of Reveille: holds requests while an app wakes, then forwards them.
//!
//! ```text
//! accept -> route -> probe? -> count in -> gate -- open --> balance -> forward -> stream back
//!                                            `-- shut --> hold (wake once) --^
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`traits`] | the narrow traits by which it meets the world |
//! | `app` | one app as all workers share it: gate, hold, endpoints |
//! | `hold` | the queue of held requests and the bounds on it |
//! | `registry` | applies the directory's changes: apps, listeners, probers |
//! | `prober` | asks endpoints that are not ready yet |
//! | `worker` | one thread: its runtime, listeners, connections and upstream pool |
//! | `request` | one request: checks, headers, forwarding, bodies |
//! | [`error`], `respond` | every error the activator makes, and how a client sees it |
//! | `drain` | the way out: lame duck, grace, force |
//! | [`cluster`] | how it meets Kubernetes |
//!
//! Each worker is a thread with a runtime, listeners (`SO_REUSEPORT`) and upstream connections of its own; a
//! warm request never leaves its worker and takes no lock.

pub mod cluster;
pub mod config;
pub mod error;
pub mod traits;

mod app;
mod bind;
mod drain;
mod hold;
mod http1;
mod http2;
mod metrics;
mod pieces;
mod prober;
mod registry;
mod relay;
mod request;
mod respond;
mod server;
mod worker;

pub use server::{Activator, NotShut, build};
