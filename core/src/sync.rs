//! The atomics of [`gate`](crate::gate): the standard library's, or loom's when the model checker runs
//! (`RUSTFLAGS="--cfg loom"`), so that the very code that ships is the code that is checked.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
