//! Ends a stream that an app is not kept awake for when the app falls asleep: gRPC's health `Watch`, which is a
//! probe and yet never ends by itself.
//!
//! Asleep, a `Watch` is not answered (`Shape::GrpcHealthWatch`), so this one is ended as a server that goes away
//! would end it: clients ask again, and are told then.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{request::grpc, worker::WorkerApp};

/// How soon it notices. An app that is told to stop waits for its streams, and so for this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the [module](self).
pub(super) struct UntilShut {
    app: Rc<WorkerApp>,
    ticks: Interval,
}

impl UntilShut {
    pub(super) fn new(app: Rc<WorkerApp>) -> Self {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { app, ticks }
    }

    /// Ready when requests may no longer pass.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ticks.poll_tick(cx).is_ready() {
            if !self.app.app.gate.word().is_open() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

/// How it ends: UNAVAILABLE.
pub(super) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([
        (grpc::GRPC_STATUS, HeaderValue::from_static("14")),
        (grpc::GRPC_MESSAGE, HeaderValue::from_static("the app falls asleep")),
    ])
}
