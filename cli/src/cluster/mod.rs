//! The commands that run in a cluster's pods: one plane in a process.
//!
//! | module | holds |
//! |---|---|
//! | [`activator`], [`args`] | `reveille activator`: the data plane |
//! | [`controller`], [`controller_args`] | `reveille controller`: the control plane |
//! | `admin` | their admin port: metrics and health, nothing else |

pub mod activator;
mod admin;
pub mod args;
pub mod controller;
pub mod controller_args;
