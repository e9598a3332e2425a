//! The commands that run in a cluster: one plane in a process.
//!
//! | module | holds |
//! |---|---|
//! | [`activator`] | `reveille activator`: the data plane |
//! | [`args`] | their options |
//! | `admin` | their admin port: metrics and health, nothing else |

pub mod activator;
mod admin;
pub mod args;
