//! `Expect: 100-continue`: the client is told to send its body only when the app wants it.
//!
//! The body is not asked for, and the client not told to go on, before the app says `100 Continue` or has said nothing
//! for a second (RFC 9110, 10.1.1: a client must not wait for ever). If the app answers with a final status first, it
//! never is.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How long the app may take to say that it wants the body.
const PATIENCE: Duration = Duration::from_secs(1);

/// Completes when the body may be asked for.
#[derive(Default)]
pub(crate) struct Permission {
    is_granted: bool,
    /// Runs from the first poll: before that, the request is not on its way.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Permission {
    /// The app has said that it wants the body. Whoever waits for that has to poll again.
    pub(super) fn grant(&mut self) {
        self.is_granted = true;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_granted {
            return Poll::Ready(());
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + PATIENCE)));
        patience.as_mut().poll(cx)
    }
}
