//! The bound on what is held for all apps together. No app may take more than half of what is left, so that
//! one app can never exhaust another's share: with one app alone that is half of the whole, and however many
//! are full, a further one still gets a place.
//!
//! Invariant: what is charged is what [`Budget::refund`] will get back; both are counted here alone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::HoldLimits;

/// Requests and bytes held for all apps together, against their limits.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: HoldLimits,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// There is no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

impl Budget {
    pub(crate) fn new(limits: HoldLimits) -> Self {
        Self { limits, requests: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Charges one request of `bytes` to an app that holds `app_requests` and `app_bytes` already.
    pub(crate) fn charge(&self, bytes: u64, app_requests: u64, app_bytes: u64) -> Result<(), Exceeded> {
        // Charged first and checked then: two that race may both be refused at the very edge, never both let in.
        let requests_now = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes_now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = |limit: u64, used: u64, of_app: u64| used <= limit && of_app <= limit - used + 1;
        if fits(self.limits.max_requests, requests_now, app_requests + 1)
            && fits(self.limits.max_bytes, bytes_now, app_bytes + bytes)
        {
            return Ok(());
        }
        self.refund(bytes);
        Err(Exceeded)
    }

    /// Charges one request that has to be held in any case.
    pub(crate) fn charge_anyway(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back what one request was charged.
    pub(crate) fn refund(&self, bytes: u64) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives back a part of what one request was charged, which goes on waiting.
    pub(crate) fn give_back_bytes(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(max_requests: u64) -> Budget {
        Budget::new(HoldLimits { max_requests, max_bytes: 1 << 40 })
    }

    /// Fills the budget for one app and says how many were let in.
    fn fill(budget: &Budget, mut held: u64) -> u64 {
        let before = held;
        while budget.charge(10, held, held * 10).is_ok() {
            held += 1;
        }
        held - before
    }

    #[test]
    fn no_app_takes_more_than_half_of_what_is_left() {
        let budget = budget(1_000);
        assert_eq!(fill(&budget, 0), 500, "the first app gets half");
        assert_eq!(fill(&budget, 0), 250, "the second half of the rest");
        assert_eq!(fill(&budget, 0), 125);
        assert_eq!(budget.used(), (875, 8_750));
    }

    #[test]
    fn a_single_place_can_be_taken_and_none_cannot() {
        assert_eq!(fill(&budget(1), 0), 1);
        assert_eq!(fill(&budget(0), 0), 0);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let budget = Budget::new(HoldLimits { max_requests: 1_000, max_bytes: 1_000 });
        assert_eq!(budget.charge(501, 0, 0), Err(Exceeded));
        assert_eq!(budget.charge(500, 0, 0), Ok(()));
        assert_eq!(budget.charge(1, 1, 500), Err(Exceeded));
    }

    proptest! {
        #[test]
        fn what_is_refunded_is_free_again(costs in prop::collection::vec(0u64..1_000, 0..50)) {
            let budget = budget(1_000);
            for cost in &costs {
                prop_assert!(budget.charge(*cost, 0, 0).is_ok());
            }
            for cost in &costs {
                budget.refund(*cost);
            }
            prop_assert_eq!(budget.used(), (0, 0));
        }
    }
}
