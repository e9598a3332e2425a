//! What a worker remembers of its app between two looks. None of it is needed: a new leader begins without.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reveille_core::{
    decide::Stay,
    resource::{ScaledAppStatus, WakeResult},
    wake::WakeId,
};

use super::{
    contest::Contest,
    observe::{Observed, Problem},
    owners::Sets,
    pods::PodView,
    traits::Idle,
};
use crate::wakes::Usual;

/// How long an activator or a pod must have been silent before people are told.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a decision stands that named no time.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The pauses between attempts that were called off: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Memory {
    rest: Option<(Print, Instant)>,
    pub(crate) contest: Contest,
    /// Whether an Endpoints object of that name was looked for, when, and what was found.
    pub(crate) endpoints: Option<(String, Instant, Option<k8s_openapi::api::core::v1::Endpoints>)>,
    /// For which state of the app idleness was decided, and when to look again.
    look: Option<(State, Option<Instant>)>,
    /// Who has not said since then what is needed to know whether it is idle.
    silent: Option<(Instant, Problem)>,
    /// When it falls asleep if nobody calls, as far as that is known.
    sleeps_at: Option<Timestamp>,
    usual: Usual,
    /// The last wake that the usual duration knows of.
    noted: Option<WakeId>,
    /// What ReplicaSets belong to.
    pub(crate) sets: Sets,
    attempts: Pauses,
}

type Print = (u32, Vec<(String, bool, bool)>);
type State = (Option<i64>, Option<Timestamp>);

/// Attempts that came to nothing, in a row.
#[derive(Default)]
struct Pauses {
    in_a_row: u32,
    until: Option<Instant>,
}

impl Memory {
    /// How long replicas and pods have been as they are now.
    pub(crate) fn unchanged_for(&mut self, now: Instant, asked: u32, pods: &[PodView]) -> Duration {
        let mut list: Vec<_> = pods.iter().map(|pod| (pod.uid.clone(), pod.serves(), pod.ending)).collect();
        list.sort();
        let print = (asked, list);
        match &self.rest {
            Some((known, since)) if *known == print => now.saturating_duration_since(*since),
            _ => {
                self.rest = Some((print, now));
                Duration::ZERO
            }
        }
    }

    /// When idleness has to be decided again; at once for a state of the app that is new.
    pub(crate) fn look_at(&mut self, now: Instant, seen: &Observed) -> Option<Instant> {
        let state = state(seen);
        match &self.look {
            Some((known, at)) if *known == state => *at,
            _ => {
                self.look = Some((state, Some(now)));
                Some(now)
            }
        }
    }

    /// Notes how idleness was decided.
    pub(crate) fn looked(&mut self, now: Instant, seen: &Observed, idle: &Idle) {
        self.sleeps_at = match idle {
            Idle::Yes(_) => Some(Timestamp::now()),
            Idle::No { why: Stay::Recent | Stay::MinAwake, recheck_after: Some(after), .. } => {
                Timestamp::now().checked_add(*after).ok()
            }
            Idle::No { .. } | Idle::Unknown { .. } => None,
        };
        let silent = self.silent.take();
        let recheck_after = match idle {
            Idle::Yes(_) => return,
            Idle::No { why, recheck_after, .. } => {
                recheck_after.or((*why != Stay::NeverSleeps).then_some(LOOK_AGAIN))
            }
            Idle::Unknown { reason, detail, recheck_after } => {
                let since = silent.map_or(now, |(since, _)| since);
                self.silent = Some((since, Problem::new(*reason, detail.clone())));
                Some(recheck_after.unwrap_or(LOOK_AGAIN))
            }
        };
        self.look = Some((state(seen), recheck_after.map(|after| now + after)));
    }

    /// When it falls asleep if nobody calls, as far as that is known.
    pub(crate) fn sleeps_at(&self) -> Option<Timestamp> {
        self.sleeps_at
    }

    /// It is kept awake by hand.
    pub(crate) fn is_pinned(&mut self) {
        self.sleeps_at = None;
    }

    /// Learns from a wake that ended well how long they take.
    pub(crate) fn note_wake(&mut self, status: &ScaledAppStatus) {
        let last = status.last_wake.as_ref().filter(|last| last.outcome == WakeResult::Ready);
        if let Some(last) = last.filter(|last| self.noted.as_ref() != Some(&last.id)) {
            self.usual.note(last.took.0);
            self.noted = Some(last.id.clone());
        }
    }

    /// How long its wakes usually take.
    pub(crate) fn usual(&self) -> Option<Duration> {
        self.usual.median()
    }

    /// Who has been silent for so long that people have to know.
    pub(crate) fn silence(&self, now: Instant) -> Option<Problem> {
        let (since, problem) = self.silent.as_ref()?;
        (now.saturating_duration_since(*since) >= SILENCE).then(|| problem.clone())
    }

    /// Whether another attempt may be made, and if not, in how long.
    pub(crate) fn attempt_in(&self, now: Instant) -> Duration {
        self.attempts.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// An attempt was called off.
    pub(crate) fn called_off(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.in_a_row.min(10)).min(LONGEST_PAUSE);
        self.attempts = Pauses { in_a_row: self.attempts.in_a_row + 1, until: Some(now + pause) };
        self.look = None;
    }

    /// An attempt succeeded, or something else happened that makes the next one a first.
    pub(crate) fn asleep(&mut self, now: Instant) {
        self.attempts = Pauses::default();
        self.contest.slept(now);
        self.look = None;
    }
}

fn state(seen: &Observed) -> State {
    let since = seen.app.status.as_ref().and_then(|status| status.since.as_ref());
    (seen.app.metadata.generation, since.map(|since| since.0))
}

#[cfg(test)]
mod tests {
    use reveille_core::resource::Reason;
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures::{app, observed, pod};

    #[test]
    fn rest_begins_anew_with_each_change() {
        let (mut memory, start) = (Memory::default(), crate::clock::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let pods = [pod(1, true, None)];
        assert_eq!(memory.unchanged_for(start, 1, &pods), Duration::ZERO);
        assert_eq!(memory.unchanged_for(after(2), 1, &pods), Duration::from_secs(2));
        assert_eq!(memory.unchanged_for(after(3), 2, &pods), Duration::ZERO);
        assert_eq!(memory.unchanged_for(after(4), 2, &[pod(1, false, None)]), Duration::ZERO);
    }

    #[test]
    fn idleness_is_decided_when_it_is_due_and_for_each_new_state() {
        let (mut memory, start) = (Memory::default(), crate::clock::now());
        let mut seen = observed(app(json!({}), json!({"phase": "Awake"})), false, 1, Vec::new());
        assert_eq!(memory.look_at(start, &seen), Some(start));
        let again = Some(Duration::from_secs(5));
        let silent =
            Idle::Unknown { reason: Reason::ScrapeFailed, detail: "pod a".into(), recheck_after: again };
        memory.looked(start, &seen, &silent);
        assert_eq!(memory.look_at(start, &seen), Some(start + Duration::from_secs(5)));
        assert_eq!(memory.silence(start + Duration::from_secs(14)), None);
        assert_eq!(memory.silence(start + SILENCE), Some(Problem::new(Reason::ScrapeFailed, "pod a")));
        let never = Idle::No { why: Stay::NeverSleeps, detail: None, recheck_after: None };
        memory.looked(start, &seen, &never);
        assert_eq!((memory.look_at(start, &seen), memory.silence(start + SILENCE)), (None, None));
        seen.app.metadata.generation = Some(2);
        assert_eq!(memory.look_at(start, &seen), Some(start));
    }

    #[test]
    fn attempts_that_are_called_off_pause_longer_and_longer() {
        let (mut memory, now) = (Memory::default(), crate::clock::now());
        assert_eq!(memory.attempt_in(now), Duration::ZERO);
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                memory.called_off(now);
                memory.attempt_in(now).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        memory.asleep(now);
        assert_eq!(memory.attempt_in(now), Duration::ZERO);
    }
}
