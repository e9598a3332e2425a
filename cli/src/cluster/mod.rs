//! Reveille in a cluster: the commands that run in its pods.
//!
//! | module | holds |
//! |---|---|
//! | [`controller`], [`controller_args`] | `reveille controller`: the control plane |

pub mod controller;
pub mod controller_args;
