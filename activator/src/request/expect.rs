//! `Expect: 100-continue`: the client is told to send its body only when the app wants it.
//!
//! hyper answers a client with `100 Continue` when the request's body is first polled, and towards the app it
//! would poll at once. So the body is kept back until the app says `100 Continue`, or has said nothing for a
//! second (RFC 9110, 10.1.1: a client must not wait for ever). If the app answers with a final status first,
//! the body is never asked for.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::Request;
use tokio::time::{Instant, Sleep};

/// How long the app may take to say that it wants the body.
const PATIENCE: Duration = Duration::from_secs(1);

/// Completes when the body may be asked for.
pub(crate) struct Permission {
    granted: Arc<Granted>,
    /// Runs from the first poll: before that, the request is not on its way.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Shared with hyper's callback, which has to be `Send`.
#[derive(Default)]
struct Granted {
    yes: AtomicBool,
    waker: AtomicWaker,
}

/// Grants permission when the app's `100 Continue` arrives.
#[derive(Clone)]
pub(crate) struct Grant(Arc<Granted>);

/// A permission and what grants it.
pub(crate) fn permission() -> (Permission, Grant) {
    let granted = Arc::new(Granted::default());
    (Permission { granted: granted.clone(), patience: None }, Grant(granted))
}

impl Grant {
    /// Has the response to `request` grant the permission.
    pub(crate) fn on<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |response| {
            if response.status() == http::StatusCode::CONTINUE {
                self.0.grant();
            }
        });
    }
}

impl Granted {
    fn grant(&self) {
        self.yes.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Permission {
    /// Grants it from the side of the body.
    pub(super) fn grant(&self) {
        self.granted.grant();
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.granted.waker.register(cx.waker());
        if self.granted.yes.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + PATIENCE)));
        patience.as_mut().poll(cx)
    }
}
