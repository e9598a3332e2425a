//! The control plane's clock: tokio's, so that a test which pauses time pauses every decision with it.

use std::time::Instant;

/// The present, on the clock that tokio's timers run by.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Sleeps until then; for ever if there is no such time.
pub(crate) async fn until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then.into()).await,
        None => std::future::pending().await,
    }
}
