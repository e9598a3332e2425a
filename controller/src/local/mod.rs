//! The world as processes on one machine.

pub mod config;
