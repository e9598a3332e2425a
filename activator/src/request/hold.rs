//! From the gate to an endpoint: a request passes at once if the app can take it, and waits in the hold if not.
//!
//! What waits may be a request or a connection of raw TCP: [`Passage`] knows only what is common to both.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use reveille_core::{
    directory::{NO_PORT, UpstreamProtocol},
    gate::Word,
    probes::Prober,
    quantity::HumanDuration,
};

use super::{Stop, attempt, body::RequestBody, in_flight::InFlight};
use crate::{
    app::{Admission, App, Refused},
    error::{Error, Kind},
    hold::Ticket,
    prober,
    worker::{Chosen, Connection, Leaving, UpstreamStream, WorkerApp},
};

/// What a held request is charged besides its head: its place in the queue and its connection's task.
pub(super) const HELD_BASE: u64 = 1 << 10;

/// How often a request goes back to the hold because a ready endpoint could not be reached.
const MAX_RETURNS: u32 = 6;

/// How a hold ended that nobody waited for to its end: the connection itself may notice first that the client
/// has left, and drops the request.
const CLIENT_GONE: &str = "client-gone";

/// What stays the same on a request's way.
pub(super) struct Passage<'a> {
    pub(super) connection: &'a Rc<Connection>,
    pub(super) app: &'a Rc<WorkerApp>,
    port: Option<SocketAddr>,
    pub(super) prober: Option<Prober>,
    /// How long the client itself is ready to wait from the request's arrival.
    pub(super) client_limit: Option<Duration>,
    /// What the client's leaving looks like.
    pub(super) leaving: Leaving,
    pub(super) held: Held,
}

/// What waits.
pub(super) struct Waiting<'a> {
    /// What its head is charged, in bytes.
    pub(super) head: u64,
    /// Its body, which may come although nobody asks for it.
    pub(super) body: Option<&'a mut RequestBody>,
}

/// An endpoint that was chosen, and how to reach it.
pub(super) struct Admitted {
    pub(super) chosen: Chosen,
    pub(super) address: SocketAddr,
    pub(super) upstream: UpstreamProtocol,
}

/// What is known of a request's time in the hold.
#[derive(Default)]
pub(super) struct Held {
    /// It was held at least once.
    pub(super) held: bool,
    /// Its place, if it had one.
    ticket: Option<Ticket>,
    /// It has to go back: with the place that it had.
    back: Option<Option<Ticket>>,
    /// How long the wake took that it waited for.
    pub(super) wake: Option<Duration>,
    /// How often it came back.
    returns: u32,
}

impl<'a> Passage<'a> {
    pub(super) fn new(
        connection: &'a Rc<Connection>,
        app: &'a Rc<WorkerApp>,
        port: Option<SocketAddr>,
    ) -> Self {
        Self {
            connection,
            app,
            port,
            prober: None,
            client_limit: None,
            leaving: Leaving::EndOrReset,
            held: Held::default(),
        }
    }

    /// An endpoint for it, at once or after a wait. `None` for a probe of an app that cannot answer: it is
    /// answered from what is known, and never waits.
    pub(super) async fn admit(
        &mut self,
        guard: &mut InFlight,
        word: Word,
        waiting: Waiting<'_>,
    ) -> Result<Option<Admitted>, Stop> {
        // Before it waits: a port that is gone wakes nothing.
        self.port()?;
        // A probe takes no place and waits behind nobody: it asks how the app is, above all under load.
        let probes = self.prober.is_some();
        let first = self.held.back.is_none() && (probes || self.app.app.waiting() == 0);
        let free = word.is_open() && first;
        let chosen = match free.then(|| self.app.choose(word, !probes)).flatten() {
            Some(chosen) => chosen,
            None if probes => return Ok(None),
            None => {
                let admission = self.hold(guard, waiting).await?;
                self.app.chosen(admission.slot)
            }
        };
        // Again: it may have waited through a reload.
        let (index, upstream) = self.port()?;
        let address = *chosen.endpoint.addresses.get(index).ok_or_else(|| self.removed())?;
        if address.port() == NO_PORT {
            let id = &self.app.app.id;
            let detail = format!(
                "the pods of {id} have no such port; does its Service's targetPort name one of theirs?"
            );
            return Err(Error::new(Kind::UpstreamUnreachable, detail).for_app(id).into());
        }
        Ok(Some(Admitted { chosen, address, upstream }))
    }

    /// The endpoint could not be reached: it is probed from now on, and the request goes back to the hold,
    /// after a pause if that goes on.
    pub(super) async fn go_back(
        &mut self,
        guard: &InFlight,
        chosen: Chosen,
        address: SocketAddr,
    ) -> Result<Word, Stop> {
        if self.app.app.endpoint_suspected(&chosen.endpoint) {
            prober::start(self.app.app.clone(), chosen.endpoint.clone());
        }
        self.held.back = Some(self.held.ticket);
        self.held.returns += 1;
        drop(chosen);
        self.breathe(guard, address).await?;
        Ok(self.app.app.gate.word())
    }

    /// A connection to the app, for a tunnel.
    pub(super) async fn open(
        &mut self,
        guard: &mut InFlight,
        mut word: Word,
    ) -> Result<(UpstreamStream, Chosen), Stop> {
        loop {
            let waiting = Waiting { head: HELD_BASE, body: None };
            let admitted = self.admit(guard, word, waiting).await?;
            let Admitted { chosen, address, .. } = admitted.ok_or_else(|| self.removed())?;
            match attempt::connect(self.app, &chosen, address).await {
                Some(stream) => return Ok((stream, chosen)),
                None => word = self.go_back(guard, chosen, address).await?,
            }
        }
    }

    /// How the app is spoken to on the request's port.
    pub(super) fn upstream(&self) -> Result<UpstreamProtocol, Error> {
        self.port().map(|(_, upstream)| upstream)
    }

    /// The place of the request's port among the app's ports, and how the app is spoken to there.
    fn port(&self) -> Result<(usize, UpstreamProtocol), Error> {
        let view = self.app.view(self.app.app.gate.word());
        let mut ports = view.entry.ports.iter().enumerate();
        let found = match self.port {
            Some(listen) => ports.find(|(_, port)| port.listen == listen),
            // The gateway speaks HTTP alone.
            None => view.entry.gateway_port().and_then(|index| ports.nth(index)),
        };
        found.map(|(index, port)| (index, port.upstream)).ok_or_else(|| self.removed())
    }

    /// Waits in the hold until the app can take the request.
    async fn hold(&mut self, guard: &mut InFlight, waiting: Waiting<'_>) -> Result<Admission, Stop> {
        let app = &self.app.app;
        let since = Instant::now();
        let policy = self.app.policy();
        let Waiting { head, mut body } = waiting;
        let reserved = body.as_deref_mut().map_or(0, RequestBody::reserve);
        let mut place = app.hold(head + reserved, self.held.back).map_err(|Refused(error)| error)?;
        let ticket = place.ticket();
        self.held.held = true;
        let mut timed = TimedHold { app, since, outcome: CLIENT_GONE };
        let read_ahead = async {
            if let Some(body) = body
                && reserved > 0
            {
                let actual = poll_fn(|cx| body.poll_buffer(cx)).await;
                app.recharge(ticket, head + actual);
            }
            std::future::pending::<Infallible>().await
        };
        let (limit, late) = match self.client_limit {
            Some(own) if own < policy.wake.deadline => (own, Kind::ClientDeadline),
            _ => (policy.wake.deadline, Kind::HoldDeadline),
        };
        // One timer for both, as every held request has it.
        let (until, late) = match policy.hold.answer_after {
            Some(after) if after < limit => (after, Kind::StillWaking),
            _ => (limit, late),
        };
        let time_is_up = tokio::time::sleep_until((guard.started() + until).into());
        let (outcome, verdict) = tokio::select! {
            biased;
            verdict = place.verdict() => match verdict {
                Ok(admission) => ("forwarded", Ok(admission)),
                Err(error) => (error.kind().slug(), Err(Stop::Error(error))),
            },
            () = self.connection.gone(self.leaving) => (CLIENT_GONE, Err(Stop::Gone)),
            () = time_is_up => (late.slug(), Err(self.time_is_up(late, until).into())),
            never = read_ahead => match never {},
        };
        let admitted = verdict.as_ref().ok().map(|admission| admission.admitted);
        guard.held(since.elapsed(), ticket.number(), admitted);
        timed.outcome = outcome;
        if let Ok(admission) = &verdict {
            self.held.ticket = Some(admission.ticket);
            self.held.wake = admission.wake.or(self.held.wake);
        }
        verdict
    }

    /// Pauses before an undelivered request goes back, so that an endpoint that ends every connection at once
    /// does not keep a core busy; gives up on one that is ready and yet takes no connection on this port.
    async fn breathe(&self, guard: &InFlight, address: SocketAddr) -> Result<(), Stop> {
        let policy = self.app.policy();
        if guard.started().elapsed() >= policy.wake.deadline {
            return Err(self.too_late(Kind::HoldDeadline, policy.wake.deadline).into());
        }
        if self.held.returns > MAX_RETURNS {
            let id = &self.app.app.id;
            let detail = format!(
                "{id} is ready, but its port {} takes no connections or ends them at once",
                address.port()
            );
            return Err(Error::new(Kind::UpstreamUnreachable, detail).for_app(id).into());
        }
        if self.held.returns <= 2 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(10 << self.held.returns)) => Ok(()),
            () = self.connection.gone(self.leaving) => Err(Stop::Gone),
        }
    }

    fn time_is_up(&self, kind: Kind, limit: Duration) -> Error {
        match kind {
            Kind::StillWaking => self.still_waking(),
            kind => self.too_late(kind, limit),
        }
    }

    fn too_late(&self, kind: Kind, limit: Duration) -> Error {
        let app = &self.app.app;
        let (limit, phase) = (HumanDuration(limit), app.phase());
        let whose = if kind == Kind::ClientDeadline { "the client's grpc-timeout" } else { "wake.deadline" };
        let detail = format!(
            "the request waited for {limit} ({whose}) and {} is {phase}; see `{}`",
            app.id,
            app.id.shown_by()
        );
        Error::new(kind, detail).for_app(&app.id).retry_after(app.eta())
    }

    fn still_waking(&self) -> Error {
        let app = &self.app.app;
        let detail = format!("{} is {}; it goes on waking, try again", app.id, app.phase());
        Error::new(Kind::StillWaking, detail).for_app(&app.id).retry_after(app.eta())
    }

    fn removed(&self) -> Error {
        let id = &self.app.app.id;
        Error::new(Kind::AppRemoved, format!("{id} no longer has this port")).for_app(id)
    }
}

/// Measures a hold, however it ends.
struct TimedHold<'a> {
    app: &'a App,
    since: Instant,
    outcome: &'static str,
}

impl Drop for TimedHold<'_> {
    fn drop(&mut self) {
        self.app.shared.metrics.held(&self.app.id, self.outcome, self.since.elapsed());
    }
}
