//! The harness of the end-to-end tests of local mode: starts the real `reveille` with real apps, speaks to
//! it over raw sockets, and looks at what is left behind.
//!
//! It is black-box on purpose: nothing here links the product, so a test sees what a user sees. A broken
//! harness panics with what was being done; only a client's own socket errors are values, because some
//! tests expect them.
//!
//! | module | holds |
//! |---|---|
//! | [`product`] | where the programs under test are, built once |
//! | [`reveille`] | one running Reveille: start, signals, logs, end |
//! | [`admin`] | its admin port and its metrics |
//! | [`app`] | apps to declare: the slow server, the echo servers and nginx, with what they logged |
//! | [`http`] | an HTTP/1.1 client that can send any bytes |
//! | [`h2`], [`grpc`], [`ws`], [`tcp`] | clients of HTTP/2 with prior knowledge, gRPC, WebSocket and bytes |
//! | [`h2raw`] | HTTP/2 frame by frame, for what no client library would send |
//! | [`python`] | gRPC by Python's own client |
//! | [`server`] | what the servers of this package have in common |
//! | [`process`] | processes as /proc shows them |
//! | [`ports`] | ports that no other test has |
//! | [`wait`] | waiting for conditions, never for time |
//! | [`scratch`] | folders that vanish with the test |
//! | [`triton`] | a real Triton as an app, and its own clients |
//! | [`prometheus`] | a real Prometheus that scrapes one Reveille |
//! | [`report`] | what was skipped, and the figures, for the end of a run |
//! | [`differential`] | the same request directly and through the activator |

pub mod admin;
pub mod app;
pub mod differential;
pub mod grpc;
pub mod h2;
pub mod h2raw;
pub mod http;
pub mod ports;
pub mod process;
pub mod product;
pub mod prometheus;
pub mod python;
pub mod report;
pub mod reveille;
mod runtime;
pub mod scratch;
pub mod server;
pub mod tcp;
pub mod triton;
pub mod wait;
pub mod ws;

pub use admin::Admin;
pub use app::App;
pub use http::{Answer, Conn, get};
pub use prometheus::Prometheus;
pub use reveille::Reveille;
pub use triton::{Client, Triton};
pub use wait::{pause, until};
