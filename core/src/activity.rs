//! What one activator saw of one app.

use std::time::Duration;

/// Activity of one app as one activator counted it, on its own monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Work ever counted in. Equal in two reports: nothing came in between.
    pub started: u64,
    /// Work and probes in flight, held requests included.
    pub in_flight: u64,
    /// Requests that wait in the hold.
    pub held: u64,
    /// How long ago the last work ended; zero while work is in flight. If there never was any: since the
    /// activator knows the app.
    pub quiet: Duration,
}

impl Activity {
    /// Requests that an endpoint is serving now: in flight and not held.
    pub fn in_service(&self) -> u64 {
        self.in_flight.saturating_sub(self.held)
    }
}
