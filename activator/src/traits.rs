//! The narrow traits by which the data plane meets the world: one implementation each for processes on one
//! machine and for Kubernetes.

use futures_util::future::BoxFuture;
use reveille_core::{app::AppId, directory::Change};

/// What the control plane says about the apps.
pub trait Directory: Send {
    /// The next change: first the present state of every app, then each change as it happens. `None` when
    /// there will be no more; the activator then goes on with what it knows.
    fn next(&mut self) -> BoxFuture<'_, Option<Change>>;
}

/// Who wakes apps.
pub trait Waker: Send + Sync {
    /// Wakes the app: so many requests are waiting for it. Level-triggered and idempotent; must not block.
    fn wake(&self, app: &AppId, waiting: usize);

    /// An endpoint that was not ready answered the activator's own probe. Must not block.
    fn usable(&self, app: &AppId, generation: u64);
}
