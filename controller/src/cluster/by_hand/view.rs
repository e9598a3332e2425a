//! An app of a cluster as users see it: pure.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reveille_core::{
    api::{AppStatus, Schedule, WakeStatus},
    app::AppId,
    cost::{Cost, Saved},
    phase::Phase,
    resource::{
        ClusterApp, ConditionType, LastWake, ScaledApp, ScaledAppStatus, StepStatus, WakeInProgress,
        WakeResult,
    },
    wake::{Step, StepAt},
};

use crate::{
    cluster::phase::{self, between},
    wakes::millis,
};

/// What the leader knows of an app, as its worker saw it last.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: AppId,
    pub(crate) status: Arc<ScaledAppStatus>,
    pub(crate) generation: i64,
    /// `idle.ttl`, as it is written.
    pub(crate) ttl: String,
    pub(crate) cost: Option<Cost>,
    /// Where clients reach it.
    pub(crate) listen: Vec<String>,
    pub(crate) hosts: Vec<String>,
    /// How long its wakes usually take.
    pub(crate) usual: Option<Duration>,
    /// When it falls asleep if nobody calls.
    pub(crate) sleeps_at: Option<Timestamp>,
    /// When the object was made: what a phase that is not known yet began with.
    pub(crate) created: Timestamp,
}

/// What is under way for an app, at all activators together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) in_flight: u64,
    pub(crate) held: u64,
}

impl View {
    /// What is to be known of the object and of its spec, once that was read.
    pub(crate) fn new(app: &ScaledApp, resolved: Option<&ClusterApp>) -> Self {
        let id = crate::cluster::objects::id(&app.metadata);
        let status = app.status.clone().unwrap_or_default();
        let host = format!("{}.{}.svc", app.spec.service, id.namespace);
        let listen = status.ports.iter().map(|port| format!("{host}:{}", port.service_port)).collect();
        Self {
            id,
            generation: app.metadata.generation.unwrap_or_default(),
            ttl: resolved.map(|app| app.policy.idle.ttl.to_string()).unwrap_or_default(),
            cost: resolved.and_then(|app| app.policy.cost),
            listen,
            hosts: app.spec.traffic.hosts.clone(),
            usual: None,
            sleeps_at: None,
            created: app.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            status: Arc::new(status),
        }
    }

    /// The app as it stands at that time.
    pub(crate) fn at(&self, now: Timestamp, counts: Counts) -> AppStatus {
        let status = &*self.status;
        let phase = status.phase.unwrap_or(Phase::Asleep);
        let left = |until: Timestamp| millis(between(now, until));
        let (asleep_ms, saved) = self.saved(now, phase);
        let blocked = status.wake_blocked.as_ref().filter(|blocked| blocked.holds(now, self.generation));
        AppStatus {
            id: self.id.clone(),
            phase,
            since: status.since.as_ref().map_or(self.created, |since| since.0),
            replicas: status.replicas.unwrap_or_default(),
            in_flight: counts.in_flight,
            held: counts.held,
            sleeps_in_ms: self.sleeps_at.filter(|_| phase == Phase::Awake && counts.in_flight == 0).map(left),
            ttl: self.ttl.clone(),
            listen: self.listen.clone(),
            hosts: self.hosts.clone(),
            wake: wake(now, status, self.usual),
            wake_on_request: status.wakes_on_request(),
            retry_in_ms: blocked.map(|blocked| left(blocked.until.0)),
            awake_until: status.awake_until.as_ref().map(|until| until.0).filter(|until| *until > now),
            schedule: status
                .scheduled_wake
                .as_ref()
                .map(|wake| Schedule { at: wake.at.0, reason: wake.reason.clone() }),
            asleep_ms,
            saved,
            problem: problem(status),
            pending: None,
        }
    }

    /// How long it was asleep, and what that saved, with the present sleep.
    fn saved(&self, now: Timestamp, phase: Phase) -> (u64, Option<Saved>) {
        let status = &*self.status;
        let replicas = status.former_replicas.unwrap_or(1);
        let present = status.since.as_ref().filter(|_| phase == Phase::Asleep);
        let slept = present.map(|since| between(since.0, now));
        let before = status.savings.clone().unwrap_or_default();
        let savings = before.with(slept, replicas, self.cost.as_ref());
        let rate = self.cost.as_ref().filter(|_| slept.is_some());
        (millis(savings.asleep.0), savings.told(rate.map(|cost| (replicas, cost))))
    }
}

fn problem(status: &ScaledAppStatus) -> Option<String> {
    let of = |condition: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        condition.type_ == ConditionType::Ready.as_str() && condition.status == "False"
    };
    status.conditions.iter().find(of).map(|condition| format!("{}: {}", condition.reason, condition.message))
}

/// The wake in progress, or the last one.
fn wake(now: Timestamp, status: &ScaledAppStatus, usual: Option<Duration>) -> Option<WakeStatus> {
    match (&status.wake, &status.last_wake) {
        (Some(wake), _) => Some(in_progress(now, wake, usual)),
        (None, Some(last)) => Some(ended(last)),
        (None, None) => None,
    }
}

fn in_progress(now: Timestamp, wake: &WakeInProgress, usual: Option<Duration>) -> WakeStatus {
    let since = wake.since.0;
    WakeStatus {
        id: wake.id.clone(),
        trigger: trigger(wake.trigger.as_ref()),
        started: since,
        steps: steps(since, &wake.steps),
        outcome: None,
        eta_ms: usual.map(|usual| millis(usual.saturating_sub(between(since, now)))),
    }
}

fn ended(last: &LastWake) -> WakeStatus {
    let first = StepAt { step: Step::Requested, after_ms: 0 };
    let reached = if last.steps.is_empty() { vec![first] } else { steps(last.started_at.0, &last.steps) };
    let is_at_end = reached.iter().any(|reached| reached.step == Step::Ready);
    let end = (last.outcome == WakeResult::Ready && !is_at_end)
        .then(|| StepAt { step: Step::Ready, after_ms: millis(last.took.0) });
    WakeStatus {
        id: last.id.clone(),
        trigger: trigger(last.trigger.as_ref()),
        started: last.started_at.0,
        steps: reached.into_iter().chain(end).collect(),
        outcome: Some(phase::outcome(last)),
        eta_ms: None,
    }
}

/// Whoever does not say so is a request.
fn trigger(by_hand: Option<&String>) -> String {
    by_hand.cloned().unwrap_or_else(|| "requests".to_owned())
}

fn steps(since: Timestamp, steps: &[StepStatus]) -> Vec<StepAt> {
    steps.iter().map(|step| StepAt { step: step.step, after_ms: millis(between(since, step.at.0)) }).collect()
}

#[cfg(test)]
mod tests {
    use reveille_core::wake::{FailureKind, Outcome};
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fixtures::{app, at};

    fn view(status: Value) -> View {
        let app = app(json!({"traffic": {"hosts": ["web.example"]}}), status);
        let resolved = app.resolve().unwrap();
        View { usual: Some(Duration::from_secs(30)), ..View::new(&app, Some(&resolved)) }
    }

    fn micro(second: i64) -> String {
        format!("{:.6}", at(second))
    }

    #[test]
    fn a_wake_in_progress_shows_its_steps_and_what_is_left() {
        let view = view(json!({
            "phase": "Waking", "since": micro(0), "replicas": 1,
            "ports": [{"servicePort": 80, "port": 20000, "protocol": "http", "upstream": 8080}],
            "wake": {"id": "web-1", "since": micro(0), "step": "Pulling", "trigger": "admin API: noon", "steps": [
                {"step": "Requested", "at": micro(0)}, {"step": "Pulling", "at": micro(7)}]},
        }));
        let shown = view.at(at(10), Counts { in_flight: 5, held: 4 });
        assert_eq!((shown.phase, shown.replicas, shown.in_flight, shown.held), (Phase::Waking, 1, 5, 4));
        assert_eq!((shown.listen, shown.hosts), (vec!["web.team.svc:80".into()], vec!["web.example".into()]));
        let wake = shown.wake.unwrap();
        assert_eq!(
            (wake.trigger.as_str(), wake.eta_ms, wake.outcome),
            ("admin API: noon", Some(20_000), None)
        );
        let steps: Vec<_> = wake.steps.iter().map(|step| (step.step.as_str(), step.after_ms)).collect();
        assert_eq!(steps, [("Requested", 0), ("Pulling", 7_000)]);
    }

    #[test]
    fn an_awake_app_shows_its_last_wake_and_when_it_sleeps() {
        let last = json!({"id": "web-1", "startedAt": micro(0), "took": "9s", "outcome": "Ready", "steps": [
            {"step": "Requested", "at": micro(0)}, {"step": "Probing", "at": micro(6)}]});
        let mut view = view(json!({"phase": "Awake", "since": micro(9), "replicas": 2, "lastWake": last,
            "awakeUntil": micro(50)}));
        view.sleeps_at = Some(at(40));
        let shown = view.at(at(10), Counts::default());
        assert_eq!((shown.sleeps_in_ms, shown.awake_until), (Some(30_000), Some(at(50))));
        let wake = shown.wake.unwrap();
        assert_eq!((wake.outcome, wake.trigger.as_str()), (Some(Outcome::Ready), "requests"));
        let steps: Vec<_> = wake.steps.iter().map(|step| (step.step.as_str(), step.after_ms)).collect();
        assert_eq!(steps, [("Requested", 0), ("Probing", 6_000), ("Ready", 9_000)]);
        assert_eq!(view.at(at(60), Counts::default()).awake_until, None, "it is over");
        assert_eq!(view.at(at(10), Counts { in_flight: 1, held: 0 }).sleeps_in_ms, None);
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_reason() {
        let last = json!({"id": "web-1", "startedAt": micro(0), "took": "9s", "outcome": "Failed",
            "reason": "NoNode", "message": "no node has a place"});
        let view = view(json!({
            "phase": "Asleep", "since": micro(9), "lastWake": last, "wakeOnRequest": false,
            "wakeBlocked": {"until": micro(40), "generation": 1, "reason": "NoNode",
                "message": "no node has a place"},
            "scheduledWake": {"at": micro(90), "reason": "morning"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "TargetNotFound", "message": "there is none",
                "lastTransitionTime": at(0).to_string()}],
        }));
        let shown = view.at(at(10), Counts::default());
        assert_eq!(shown.problem.as_deref(), Some("TargetNotFound: there is none"));
        assert_eq!((shown.retry_in_ms, shown.wake_on_request), (Some(30_000), false));
        assert_eq!(shown.schedule, Some(Schedule { at: at(90), reason: "morning".into() }));
        let Some(Outcome::Failed(failure)) = shown.wake.unwrap().outcome else { panic!("it failed") };
        assert_eq!(failure.kind, FailureKind::CannotStart);
        assert_eq!(view.at(at(41), Counts::default()).retry_in_ms, None);
    }
}
