//! The checks: see the README beside this crate.

mod design;
mod limits;
mod mutations;
mod protocol;
