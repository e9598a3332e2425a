//! A request as it is counted: in flight from its head to the end of its response body, whatever ends it.
//!
//! The guard moves from the request's future into its response's body; dropping it counts the request out,
//! and writes its line in the access log.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prometheus::IntCounter;
use reveille_core::gate::{Kind, Word};

use super::grpc;
use crate::{
    metrics::Protocol,
    worker::{Connection, WorkerApp},
};

/// See the [module](self).
pub(crate) struct InFlight {
    app: Rc<WorkerApp>,
    connection: Rc<Connection>,
    kind: Kind,
    started: Instant,
    held: Duration,
    protocol: Protocol,
    /// The class of its outcome: of its status, or of its gRPC status.
    class: Option<u16>,
    /// The gate counts it.
    at_gate: bool,
    log: Option<Box<Line>>,
}

/// What only the access log needs to know.
struct Line {
    method: String,
    path: String,
    status: Option<StatusCode>,
    id: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    /// Places in the order of arrival at the hold and of admission from it.
    ticket: Option<u64>,
    admitted: Option<u64>,
    answered: Option<Duration>,
}

impl InFlight {
    /// Counts a request in and reads the gate.
    pub(super) fn enter(
        app: &Rc<WorkerApp>,
        connection: &Rc<Connection>,
        kind: Kind,
        protocol: Protocol,
    ) -> (Self, Word) {
        let word = app.app.gate.enter(app.worker, kind);
        let guard = Self {
            app: app.clone(),
            connection: connection.clone(),
            kind,
            started: Instant::now(),
            held: Duration::ZERO,
            protocol,
            class: None,
            at_gate: true,
            log: None,
        };
        (guard, word)
    }

    /// Notes what the access log will say.
    pub(super) fn log<B>(&mut self, request: &http::Request<B>, id: &HeaderValue) {
        self.log = Some(Box::new(Line {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            status: None,
            id: Some(id.clone()),
            trace: request.headers().get("traceparent").cloned(),
            ticket: None,
            admitted: None,
            answered: None,
        }));
    }

    /// The same for a tunnel that no request asked for.
    pub(super) fn log_tunnel(&mut self) {
        if self.app.app.shared.config.access_log {
            self.log = Some(Box::new(Line {
                method: "TCP".to_owned(),
                path: String::new(),
                status: None,
                id: None,
                trace: None,
                ticket: None,
                admitted: None,
                answered: None,
            }));
        }
    }

    /// Notes that the request was held for so long.
    pub(super) fn held(&mut self, time: Duration, ticket: u64, admitted: Option<u64>) {
        self.held += time;
        if let Some(line) = &mut self.log {
            line.ticket = Some(ticket);
            line.admitted = admitted;
        }
    }

    /// How long it was held in all.
    pub(super) fn held_for(&self) -> Duration {
        self.held
    }

    /// How long ago its head was complete, without the time it was held: what `timeouts.total` counts.
    pub(super) fn spent(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.held)
    }

    /// When its head was complete.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Notes the status that the client gets.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        self.class = Some(response.status().as_u16() / 100);
        // Without a message, gRPC's status is among the headers.
        self.trailers(response.headers());
        if let Some(line) = &mut self.log {
            line.status = Some(response.status());
            line.answered = Some(self.started.elapsed());
        }
    }

    /// Notes gRPC's status, if it is among these.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.protocol == Protocol::Grpc
            && let Some(class) = grpc::status_class(trailers)
        {
            self.class = Some(class);
        }
    }

    /// Whether it asks how the app is, and no more.
    pub(super) fn is_probe(&self) -> bool {
        self.kind == Kind::Probe
    }

    /// Does not keep the app from falling asleep any more.
    pub(super) fn leave_gate(&mut self) {
        if std::mem::take(&mut self.at_gate) {
            self.app.app.gate.leave(self.app.worker, self.kind, Instant::now());
        }
    }

    /// A tunnel is open, which is all that its outcome can be.
    pub(super) fn opened(&mut self) {
        self.class = Some(1);
        if let Some(line) = &mut self.log {
            line.answered = Some(self.started.elapsed());
        }
    }

    /// What counts the bytes of a tunnel: to the app, to the client.
    pub(super) fn tunnel_bytes(&self) -> (IntCounter, IntCounter) {
        self.app.app.shared.metrics.tunnel_bytes(&self.app.app.id)
    }

    /// A piece of the response was taken.
    pub(super) fn progress(&self) {
        self.connection.state.on_progress(self.tick());
    }

    /// The worker's tick.
    pub(super) fn tick(&self) -> u32 {
        self.connection.worker.tick.get()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started);
        if self.at_gate {
            self.app.app.gate.leave(self.app.worker, self.kind, now);
        }
        self.app.app.stats.ended(self.app.worker, self.protocol, self.class, took);
        self.connection.state.on_response_end(self.connection.worker.tick.get());
        let Some(line) = self.log.take() else { return };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        tracing::info!(
            target: "reveille::access",
            app = %self.app.app.id,
            method = line.method,
            path = line.path,
            protocol = self.protocol.as_str(),
            status = line.status.map_or(0, |status| status.as_u16()),
            duration_ms = millis(took),
            hold_ms = millis(self.held),
            upstream_ms = line.answered.map(|at| millis(at.saturating_sub(self.held))),
            hold_ticket = line.ticket,
            admitted = line.admitted,
            request_id = line.id.as_ref().map(text),
            traceparent = line.trace.as_ref().map(text),
            "request"
        );
    }
}
