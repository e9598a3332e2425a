//! What is held while an app wakes: the queue of one app, and the bounds of all apps together.

mod budget;
mod queue;

pub(crate) use budget::{Budget, Exceeded};
pub(crate) use queue::{Queue, Ticket, Waiter};
