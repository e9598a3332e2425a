//! What both planes of Reveille agree on.
//!
//! The activator (data plane) and the controller (control plane) never import each other; what passes
//! between them is defined here. Nothing in this crate does I/O, spawns a task or reads a clock on its own:
//! decisions take `now` as an argument, so that every test can choose it.
//!
//! | module | holds |
//! |---|---|
//! | [`app`], [`host`] | how an app is named, by us and by its clients |
//! | [`policy`] | what the user may set, its defaults, ranges and checks |
//! | [`phase`], [`wake`] | where an app and its wake stand |
//! | [`directory`] | what the control plane tells the data plane |
//! | [`gate`], [`activity`] | the switch of the data plane and the count that makes it safe to shut |
//! | [`decide`], [`backoff`] | the pure decisions |
//! | [`probes`] | which calls must not wake an app |
//! | [`resource`] | `ScaledApp`, by which Kubernetes knows an app |
//! | [`api`], [`scale`] | the JSON that the admin port speaks |
//! | [`control`] | what the planes say to each other in a cluster |
//! | [`text`], [`time`] | text of others as it may be shown, times as clients write them |
//! | [`invariants`] | what must always hold, for tests and `debug_assert!` alike |

pub mod activity;
pub mod api;
pub mod app;
pub mod backoff;
pub mod control;
pub mod cost;
pub mod decide;
pub mod directory;
pub mod gate;
pub mod host;
pub mod invariants;
pub mod phase;
pub mod policy;
pub mod probes;
pub mod quantity;
pub mod resource;
pub mod scale;
mod schema;
mod sync;
pub mod text;
pub mod time;
pub mod wake;
