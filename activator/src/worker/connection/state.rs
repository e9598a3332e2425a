//! Where a client's connection stands and what was decided about it, seen from outside of its task.
//!
//! A slow head and an idle keep-alive connection need different limits, and a timer for each would be set and cleared
//! with every request. So the connection notes when it waits for what, in ticks of the worker's clock. On HTTP/2 many requests are served at a time: it waits for nothing while one is open.

use std::{
    cell::{Cell, RefCell},
    task::Waker,
    time::Duration,
};

use super::frames::Flood;
use crate::{config::ClientTimeouts, worker::ticker::ticks};

/// A silent HTTP/2 connection is asked for a sign of life after this: with TCP's own keep-alive, well below
/// the 4 minutes after which load balancers drop a connection without a word.
const PING_AFTER: Duration = Duration::from_secs(30);
/// It is closed if none comes within this.
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// A client on HTTP/2 that was told to go, and has nothing in progress, is waited for this long: h2 waits for its
/// answer to a PING before it ends the connection (RFC 9113, 6.8), and a client that is stuck gives none.
const GO_WITHIN: Duration = Duration::from_secs(3);

/// What a client's connection waits for, since which tick.
#[derive(Clone, Copy, Debug)]
enum Waits {
    /// The first byte after accept.
    FirstByte(u32),
    /// The rest of a head.
    Head(u32),
    /// The next request.
    NextRequest(u32),
    /// Nothing: a request is being served.
    Busy,
}

/// Limits of the response that is on its way over HTTP/1.1, in ticks.
#[derive(Clone, Copy, Debug)]
struct ResponseLimits {
    idle: Option<u32>,
    /// The tick at which it has to be over.
    total: Option<u32>,
    /// When a piece was last taken.
    progress: u32,
}

impl ResponseLimits {
    fn are_over(self, now: u32) -> bool {
        self.total.is_some_and(|until| now >= until)
            || self.idle.is_some_and(|limit| now.wrapping_sub(self.progress) > limit)
    }
}

/// What was decided about a connection; only ever raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    GoOn,
    CloseWhenIdle,
    CloseNow,
}

/// Whether an HTTP/2 client shows signs of life.
#[derive(Clone, Copy, Debug)]
enum Life {
    /// It is not asked: the connection is not HTTP/2.
    NotAsked,
    /// Bytes came at this tick.
    Heard(u32),
    /// It was silent, and was asked at this tick.
    Asked(u32),
}

/// See the [module](self).
pub(crate) struct State {
    waits: Cell<Waits>,
    /// Requests and tunnels that are being served.
    serving: Cell<u32>,
    /// Bytes came while a request was being served: part of the next head may be among them.
    read_ahead: Cell<bool>,
    /// Limits of the response that is on its way.
    limits: Cell<Option<ResponseLimits>>,
    life: Cell<Life>,
    /// Since when an HTTP/2 client has left a head, or a frame's header, unfinished.
    unfinished: Cell<Option<u32>>,
    /// An HTTP/2 client sends too much that asks for work and is none.
    flood: Cell<Option<Flood>>,
    /// Since when an HTTP/2 client that was told to go has had nothing in progress.
    going: Cell<Option<u32>>,
    verdict: Cell<Verdict>,
    task: RefCell<Option<Waker>>,
}

impl State {
    /// One that nothing has happened on.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(0)
    }

    pub(super) fn new(tick: u32) -> Self {
        Self {
            waits: Cell::new(Waits::FirstByte(tick)),
            serving: Cell::new(0),
            read_ahead: Cell::new(false),
            limits: Cell::new(None),
            life: Cell::new(Life::NotAsked),
            unfinished: Cell::new(None),
            flood: Cell::new(None),
            going: Cell::new(None),
            verdict: Cell::new(Verdict::GoOn),
            task: RefCell::new(None),
        }
    }

    /// Bytes came from the client.
    pub(super) fn on_bytes(&self, tick: u32) {
        if self.is_http2() {
            self.life.set(Life::Heard(tick));
            return;
        }
        match self.waits.get() {
            Waits::FirstByte(_) | Waits::NextRequest(_) => self.waits.set(Waits::Head(tick)),
            Waits::Busy => self.read_ahead.set(true),
            Waits::Head(_) => {}
        }
    }

    /// From now on bytes say nothing about requests: the connection speaks HTTP/2.
    pub(super) fn on_http2(&self, tick: u32) {
        self.waits.set(Waits::NextRequest(tick));
        self.life.set(Life::Heard(tick));
    }

    /// Frames came; the last of them may be unfinished.
    pub(super) fn on_frames(&self, tick: u32, unfinished: bool) {
        let since = unfinished.then(|| self.unfinished.get().unwrap_or(tick));
        self.unfinished.set(since);
    }

    fn is_http2(&self) -> bool {
        !matches!(self.life.get(), Life::NotAsked)
    }

    /// A request's head is complete.
    pub(crate) fn on_request(&self) {
        self.serving.set(self.serving.get() + 1);
        self.waits.set(Waits::Busy);
        self.read_ahead.set(false);
    }

    /// Ends an HTTP/1.1 response when it takes or pauses for too long, whoever is the cause: a client that
    /// does not read is not noticed by the body itself, as nobody asks it for more. On HTTP/2 the sending of
    /// the body sees to that.
    pub(crate) fn limit_response(&self, tick: u32, idle: Option<Duration>, total: Option<Duration>) {
        if self.is_http2() {
            return;
        }
        let until = |limit: Duration| tick.wrapping_add(ticks(limit) + 1);
        self.limits.set(Some(ResponseLimits {
            idle: idle.map(ticks),
            total: total.map(until),
            progress: tick,
        }));
    }

    /// A piece of the response was taken.
    pub(crate) fn on_progress(&self, tick: u32) {
        if let Some(limits) = self.limits.get() {
            self.limits.set(Some(ResponseLimits { progress: tick, ..limits }));
        }
    }

    /// The request's body has ended: further bytes belong to the next request.
    pub(crate) fn on_body_end(&self) {
        self.read_ahead.set(false);
    }

    /// A response, or a tunnel, has ended.
    pub(crate) fn on_response_end(&self, tick: u32) {
        debug_assert!(self.serving.get() > 0, "every end has its beginning");
        let serving = self.serving.get().saturating_sub(1);
        self.serving.set(serving);
        self.limits.set(None);
        if serving == 0 {
            let next = if self.read_ahead.get() { Waits::Head(tick) } else { Waits::NextRequest(tick) };
            self.waits.set(next);
        }
    }

    pub(in crate::worker) fn check_time(&self, now: u32, limits: &ClientTimeouts) {
        match self.life.get() {
            Life::Heard(at) if now.wrapping_sub(at) >= ticks(PING_AFTER) => {
                self.life.set(Life::Asked(now));
                self.wake();
            }
            Life::Asked(at) if now.wrapping_sub(at) > ticks(PONG_WITHIN) => self.close_now(),
            Life::NotAsked | Life::Heard(_) | Life::Asked(_) => {}
        }
        if self.unfinished.get().is_some_and(|since| now.wrapping_sub(since) > ticks(limits.head)) {
            self.close_now();
        }
        self.check_going(now);
        let (since, limit) = match self.waits.get() {
            Waits::Busy => {
                if self.limits.get().is_some_and(|limits| limits.are_over(now)) {
                    self.close_now();
                }
                return;
            }
            Waits::FirstByte(since) => (since, limits.first_byte),
            Waits::Head(since) => (since, limits.head),
            Waits::NextRequest(since) => (since, limits.keep_alive),
        };
        // A tick may be nearly over when something begins in it.
        if now.wrapping_sub(since) > ticks(limit) {
            // An idle HTTP/2 client is told by GOAWAY, which costs it no request.
            if self.is_http2() && self.verdict.get() == Verdict::GoOn {
                self.close_when_idle();
            } else {
                self.close_now();
            }
        }
    }

    fn check_going(&self, now: u32) {
        let going =
            self.is_http2() && self.verdict.get() == Verdict::CloseWhenIdle && self.serving.get() == 0;
        let since = going.then(|| self.going.get().unwrap_or(now));
        self.going.set(since);
        if since.is_some_and(|since| now.wrapping_sub(since) > ticks(GO_WITHIN)) {
            self.close_now();
        }
    }

    /// Whether an HTTP/2 client is to be sent a PING.
    pub(super) fn wants_ping(&self) -> bool {
        matches!(self.life.get(), Life::Asked(_))
    }

    /// A connection that is taken over by a process that drains: its request has to come soon.
    pub(super) fn expect_soon(&self, tick: u32) {
        self.waits.set(Waits::Head(tick));
    }

    pub(super) fn on_flood(&self, flood: Flood) {
        self.flood.set(Some(flood));
    }

    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get()
    }

    /// Closes after the requests in progress, at once if there is none.
    pub(crate) fn close_when_idle(&self) {
        self.decide(Verdict::CloseWhenIdle);
    }

    /// Closes at once.
    pub(crate) fn close_now(&self) {
        self.decide(Verdict::CloseNow);
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.get()
    }

    fn decide(&self, verdict: Verdict) {
        self.verdict.set(verdict.max(self.verdict.get()));
        self.wake();
    }

    fn wake(&self) {
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    /// Has the task woken by the next decision.
    pub(super) fn register(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection is told to close at the tick.
    fn is_closed(state: &State, tick: u32) -> bool {
        state.check_time(tick, &ClientTimeouts::default());
        state.verdict() == Verdict::CloseNow
    }

    #[test]
    fn each_wait_has_its_own_limit_in_half_seconds() {
        let fresh = State::new(0);
        assert!(!is_closed(&fresh, 120) && is_closed(&fresh, 121), "60 s to the first byte");

        let slow_head = State::new(0);
        slow_head.on_bytes(100);
        slow_head.on_bytes(110);
        assert!(
            !is_closed(&slow_head, 120) && is_closed(&slow_head, 121),
            "10 s from the first byte of a head"
        );

        let idle = State::new(0);
        idle.on_bytes(0);
        idle.on_request();
        assert!(!is_closed(&idle, 1_000_000), "a request may take its time");
        idle.on_response_end(1_000_000);
        assert!(!is_closed(&idle, 1_001_200) && is_closed(&idle, 1_001_201), "10 min between two requests");
    }

    #[test]
    fn part_of_the_next_head_behind_a_request_begins_its_time() {
        let state = State::new(0);
        state.on_bytes(0);
        state.on_request();
        state.on_bytes(1);
        state.on_response_end(2);
        assert!(!is_closed(&state, 22) && is_closed(&state, 23), "10 s, not 10 min");
    }

    #[test]
    fn a_response_that_nobody_reads_ends_at_its_limits() {
        let state = State::new(0);
        state.on_bytes(0);
        state.on_request();
        state.limit_response(0, Some(Duration::from_secs(1)), Some(Duration::from_secs(5)));
        state.on_progress(4);
        assert!(!is_closed(&state, 6) && is_closed(&state, 7), "streamIdle counts from the last piece");
        let state = State::new(0);
        state.on_request();
        state.limit_response(0, None, Some(Duration::from_secs(5)));
        state.on_progress(10);
        assert!(!is_closed(&state, 10) && is_closed(&state, 11), "total does not");
    }

    #[test]
    fn an_http2_client_is_asked_for_a_sign_of_life_and_may_not_leave_a_head_unfinished() {
        let state = State::new(0);
        state.on_bytes(0);
        state.on_http2(0);
        state.on_request();
        assert!(!is_closed(&state, 59) && !state.wants_ping());
        assert!(!is_closed(&state, 60) && state.wants_ping(), "after 30 s of silence");
        state.on_bytes(70);
        assert!(!is_closed(&state, 130) && state.wants_ping(), "an answer counts from when it came");
        assert!(!is_closed(&state, 170) && is_closed(&state, 171), "20 s without an answer");

        let state = State::new(0);
        state.on_bytes(0);
        state.on_http2(0);
        state.on_frames(0, true);
        state.on_bytes(15);
        state.on_frames(15, true);
        assert!(!is_closed(&state, 20) && is_closed(&state, 21), "10 s from its beginning");
        let state = State::new(0);
        state.on_http2(0);
        state.on_frames(0, true);
        state.on_frames(1, false);
        assert!(!is_closed(&state, 50), "it was finished");
    }

    #[test]
    fn an_http2_client_that_was_told_to_go_is_not_waited_for_for_ever() {
        let state = State::new(0);
        state.on_http2(0);
        state.on_request();
        state.close_when_idle();
        assert!(!is_closed(&state, 10), "its request goes on");
        state.on_response_end(10);
        assert!(!is_closed(&state, 11) && !is_closed(&state, 17) && is_closed(&state, 18), "3 s later");
    }

    #[test]
    fn a_verdict_is_only_raised() {
        let state = State::new(0);
        state.close_now();
        state.close_when_idle();
        assert_eq!(state.verdict.get(), Verdict::CloseNow);
    }
}
