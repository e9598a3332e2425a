//! Time-outs of what streams: a pause that is too long, and too long in all.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// See the [module](self).
pub(in crate::request) struct Deadlines {
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    total: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    /// `None` without a limit.
    pub(in crate::request) fn new(idle: Option<Duration>, total: Option<Instant>) -> Option<Self> {
        (idle.is_some() || total.is_some()).then(|| Self {
            idle: idle.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
            total: total.map(|at| Box::pin(tokio::time::sleep_until(at))),
        })
    }

    /// Ready when one has passed, with its name.
    pub(in crate::request) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        if let Some((_, sleep)) = &mut self.idle
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready("timeouts.streamIdle");
        }
        if let Some(sleep) = &mut self.total
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready("timeouts.total");
        }
        Poll::Pending
    }

    /// Whether the time is over although pieces keep coming.
    pub(super) fn is_overdue(&self) -> bool {
        self.total.as_ref().is_some_and(|sleep| sleep.is_elapsed() || sleep.deadline() <= Instant::now())
    }

    /// A piece came.
    pub(in crate::request) fn progress(&mut self) {
        if let Some((limit, sleep)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *limit);
        }
    }
}
