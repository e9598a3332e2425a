//! A task beside the one that serves a request: it ends with whoever started it, unless it is let go.

use tokio::task::AbortHandle;

/// See the [module](self).
pub(crate) struct Background(Option<AbortHandle>);

impl Background {
    /// Starts a task on the current worker.
    pub(crate) fn start(task: impl Future<Output = ()> + 'static) -> Self {
        Self(Some(tokio::task::spawn_local(task).abort_handle()))
    }

    /// Has it go on to its end.
    pub(crate) fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
