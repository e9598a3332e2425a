//! The runtime behind the clients that need one. Tests stay blocking threads; their calls and connections live on here
//! while the test does something else.

use std::{sync::OnceLock, time::Duration};

use tokio::runtime::{Builder, Runtime};

/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one of this process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("threads can be started")
    })
}

/// Blocks until `future` is there.
///
/// # Panics
/// If it takes too long for any test; `what` then says what was awaited.
#[track_caller]
pub(crate) fn wait<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = runtime().block_on(async { tokio::time::timeout(PATIENCE, future).await });
    outcome.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}
