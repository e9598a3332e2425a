//! The held requests of one app over all workers, first come, first served.
//!
//! A request that was admitted and could not be delivered comes back *before* all that were never admitted:
//! it arrived before them. The queue is guarded by its app's lock; it is only touched when the app is not
//! simply awake, so the lock is never on the warm path.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

/// A place in the queue. Smaller is earlier; those that came back are before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    fresh: bool,
    number: u64,
}

impl Ticket {
    /// The number in the order of arrival at the gate, for the access log.
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

/// One held request: who is told, and what it is charged.
#[derive(Debug)]
pub(crate) struct Waiter<V> {
    /// Tells the request's own worker.
    pub(crate) verdict: oneshot::Sender<V>,
    /// Bytes charged.
    pub(crate) bytes: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Queue<V> {
    waiters: BTreeMap<Ticket, Waiter<V>>,
    next: u64,
    bytes: u64,
}

impl<V> Queue<V> {
    pub(crate) fn new() -> Self {
        Self { waiters: BTreeMap::new(), next: 0, bytes: 0 }
    }

    /// Puts a request at the end, or, with the ticket it had, back to its old place before all fresh ones.
    pub(crate) fn push(&mut self, waiter: Waiter<V>, back: Option<Ticket>) -> Ticket {
        let number = back.map_or(self.next, Ticket::number);
        if back.is_none() {
            self.next += 1;
        }
        let mut ticket = Ticket { fresh: back.is_none(), number };
        // Two that came back without ever having waited share no number; be safe all the same.
        while self.waiters.contains_key(&ticket) {
            ticket.number += 1;
        }
        self.bytes += waiter.bytes;
        self.waiters.insert(ticket, waiter);
        ticket
    }

    /// A ticket for a request that passed without waiting and now has to wait before all others.
    pub(crate) fn ticket_for_passed(&mut self) -> Ticket {
        self.next += 1;
        Ticket { fresh: false, number: self.next - 1 }
    }

    /// Takes the first.
    pub(crate) fn pop(&mut self) -> Option<(Ticket, Waiter<V>)> {
        let (ticket, waiter) = self.waiters.pop_first()?;
        self.bytes -= waiter.bytes;
        Some((ticket, waiter))
    }

    /// Takes out one that gave up; `None` if it was admitted before.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter<V>> {
        let waiter = self.waiters.remove(&ticket)?;
        self.bytes -= waiter.bytes;
        Some(waiter)
    }

    /// Charges one that waits less. Returns what is freed by that.
    pub(crate) fn recharge(&mut self, ticket: Ticket, bytes: u64) -> u64 {
        let Some(waiter) = self.waiters.get_mut(&ticket) else { return 0 };
        let freed = waiter.bytes.saturating_sub(bytes);
        waiter.bytes -= freed;
        self.bytes -= freed;
        freed
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Bytes charged to all that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(bytes: u64) -> Waiter<()> {
        Waiter { verdict: oneshot::channel().0, bytes }
    }

    #[test]
    fn first_come_first_served_and_those_that_came_back_before_all() {
        let mut queue = Queue::new();
        let first = queue.push(waiter(1), None);
        let second = queue.push(waiter(2), None);
        let third = queue.push(waiter(4), None);
        assert_eq!(queue.bytes(), 7);
        assert_eq!(queue.pop().unwrap().0, first);
        assert_eq!(queue.recharge(third, 3), 1, "less is given back");
        assert_eq!(queue.recharge(third, 9), 0, "more is not taken");
        assert_eq!(queue.bytes(), 5);
        queue.remove(second).unwrap();
        assert!(queue.remove(second).is_none(), "taken out once");
        let back = queue.push(waiter(8), Some(first));
        let passed = queue.ticket_for_passed();
        let passed = queue.push(waiter(16), Some(passed));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(ticket, _)| ticket).collect();
        assert_eq!(order, [back, passed, third]);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }
}
