//! The control plane of Reveille: observes apps, decides, and puts them to sleep.
//!
//! | module | holds |
//! |---|---|
//! | [`traits`] | the narrow traits by which it meets the world |
//! | [`sleep`] | the sleep protocol: announce, shut, check, stop |
//! | [`idle`] | the idle loop around the pure decision |
//! | [`store`] | the table of apps: what the data plane is told and the admin port shows |
//! | [`wakes`] | what is remembered of wakes, and how long they usually take |
//! | [`feed`] | what happens to apps, for people who watch |
//! | [`keys`] | the keys by which the API is called |
//! | [`metrics`] | the control plane's metrics |
//! | `files` | reading files that people name |
//! | [`local`] | the world as processes on one machine |
//! | [`cluster`] | the world as Kubernetes |
//! | [`api`] | the admin port |

pub mod api;
mod clock;
pub mod cluster;
pub mod feed;
mod files;
pub mod idle;
pub mod keys;
pub mod local;
pub mod metrics;
pub mod sleep;
pub mod store;
pub mod traits;
pub mod wakes;
