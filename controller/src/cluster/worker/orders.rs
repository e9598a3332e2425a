//! What people ask of the app, carried out in its turn: woken, given another count, put to sleep. And the wake that was
//! scheduled, when its time has come.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::Api;
use reveille_core::{
    app::AppId,
    phase::Phase,
    resource::{ScaledAppStatus, ScheduledWake},
    scale::REASON_MAX,
};

use super::{
    Looked, Worker,
    sleep::{AT_ONCE, Begun},
};
use crate::{
    cluster::{
        by_hand::{Night, Order, View, What},
        deployments, gather,
        observe::Observed,
        phase::{self, between},
        pods::PodView,
        traits::{AttemptEnd, Commit, Occasion},
        world::WorkError,
    },
    traits::Refusal,
    wakes::millis,
};

/// How soon it is looked again whether the replicas of before are gone.
const STOPPING: Duration = Duration::from_millis(100);
/// How soon a scheduled wake is tried again that has to wait.
const WAITING: Duration = Duration::from_secs(5);

impl Worker {
    /// Whether there is something to carry out.
    pub(super) fn has_orders(&mut self) -> bool {
        // Whoever does not wait any more was told so.
        self.queue.retain(|order| !order.reply.is_closed());
        !self.queue.is_empty()
    }

    /// Says the same to everybody who asked for something.
    pub(super) fn refuse_orders(&mut self, why: &str) {
        for order in self.queue.drain(..) {
            let refusal = Refusal::NotPossible { app: self.id.clone(), reason: why.to_owned() };
            // Whoever does not wait any more does not miss it.
            let _ = order.reply.send(Err(refusal));
        }
    }

    /// Carries out the oldest order.
    pub(super) async fn carry_out(&mut self, mut seen: Observed) -> Result<Looked, WorkError> {
        let Some(order) = self.queue.pop_front() else { return Ok(AT_ONCE) };
        if matches!(order.what, What::Sleep(_)) && comes_to_rest(&seen) {
            self.queue.push_front(order);
            return Ok(Looked::Again(STOPPING));
        }
        if let Some(refusal) = refused(Timestamp::now(), &seen, &order.what) {
            let _ = order.reply.send(Err(refusal));
            return Ok(AT_ONCE);
        }
        match order.what.clone() {
            What::Wake { trigger, keep, replicas } => {
                match self.wake_by_hand(&mut seen, trigger, keep, replicas).await {
                    Ok(Woken::Yes) => {
                        self.answers.push((order.reply, Ok(())));
                        Ok(AT_ONCE)
                    }
                    Ok(Woken::NotYet(after)) => {
                        self.queue.push_front(order);
                        Ok(Looked::Again(after))
                    }
                    Ok(Woken::Refused(reason)) => {
                        let refusal = Refusal::NotPossible { app: self.id.clone(), reason };
                        let _ = order.reply.send(Err(refusal));
                        Ok(AT_ONCE)
                    }
                    Err(error) => {
                        self.queue.push_front(order);
                        Err(error)
                    }
                }
            }
            What::Sleep(night) => self.sleep_by_hand(seen, order, night).await,
        }
    }

    /// Wakes the app if that is due. None: it is not.
    pub(super) async fn wake_if_due(&mut self, seen: &mut Observed) -> Result<Option<Looked>, WorkError> {
        let now = Timestamp::now();
        self.due_at = seen.status().scheduled_wake.map(|wake| wake.at.0);
        let Some(due) = seen.status().scheduled_wake.filter(|wake| wake.at.0 <= now) else { return Ok(None) };
        let what = What::Wake { trigger: format!("schedule: {}", due.reason), keep: None, replicas: None };
        if let Some(refusal) = refused(now, seen, &what) {
            let why = refusal.to_string();
            if self.waits.as_ref() != Some(&why) {
                tracing::warn!(app = %self.id, at = %due.at.0, "its scheduled wake has to wait: {why}");
                self.waits = Some(why);
            }
            self.due_at = Some(now.saturating_add(WAITING).unwrap_or(Timestamp::MAX));
            return Ok(None);
        }
        self.waits = None;
        let What::Wake { trigger, .. } = what else { return Ok(None) };
        let late_s = between(due.at.0, now).as_secs();
        tracing::info!(app = %self.id, at = %due.at.0, reason = due.reason, late_s, "its scheduled wake is due");
        Ok(Some(match self.wake_by_hand(seen, trigger, None, None).await? {
            Woken::Yes => AT_ONCE,
            Woken::NotYet(after) => Looked::Again(after),
            Woken::Refused(why) => return Err(WorkError::Passing(why)),
        }))
    }

    /// A scale-up that was scheduled of its Deployment before there was the app is the app's own from now on, unless that has
    /// one. It is taken over before it is taken off, and the annotation is read anew, as what is watched may be old.
    pub(super) async fn adopt_schedule(&mut self, seen: &mut Observed) -> Result<(), WorkError> {
        let target = &seen.app.spec.target;
        let deployment = AppId::new(&self.id.namespace, &target.name);
        if target.kind != "Deployment"
            || seen.conflict.is_some()
            || !self.world.stores.is_scheduled(&deployment)
        {
            return Ok(());
        }
        let api: Api<Deployment> = Api::namespaced(self.world.client.clone(), &self.id.namespace);
        let read = api.get_metadata_opt(&target.name).await?;
        let Some(metadata) = read.map(|read| read.metadata).filter(deployments::is_scheduled) else {
            return Ok(());
        };
        let mut status = seen.status();
        if let (None, Some(schedule)) = (&status.scheduled_wake, deployments::schedule_of(&metadata)) {
            tracing::info!(app = %self.id, at = %schedule.at, "the scale-up that was scheduled of its Deployment is its own now");
            // Whoever wrote the annotation by hand is not bound to the length that the API allows.
            let reason = schedule.reason.chars().take(REASON_MAX).collect();
            status.scheduled_wake = Some(ScheduledWake { at: MicroTime(schedule.at), reason });
            self.write_status(&mut seen.app, &status).await?;
        }
        deployments::take_off_schedule(&self.world.client, &deployment, &metadata).await?;
        Ok(())
    }

    /// First the count, then the status: a status that says more than is so would be believed.
    async fn wake_by_hand(
        &mut self,
        seen: &mut Observed,
        trigger: String,
        keep: Option<Duration>,
        replicas: Option<u32>,
    ) -> Result<Woken, WorkError> {
        let (Ok(app), Ok(scale)) = (&seen.resolved, &seen.scale) else {
            return Ok(Woken::Refused("its spec or its workload is not known".to_owned()));
        };
        let mut status = seen.status();
        let sleeps = scale.replicas == 0;
        let usual = sleeps.then(|| app.replicas(status.former_replicas));
        let wanted = replicas.or(usual).unwrap_or(scale.replicas);
        if wanted != scale.replicas {
            if sleeps && gather::still_shown(&self.world, &self.id, &seen.foreign).await? {
                return Ok(Woken::NotYet(STOPPING));
            }
            let target = &seen.app.spec.target;
            match self.world.parts.scales.set(&self.id.namespace, target, &scale.version, wanted).await {
                Commit::Done => {}
                Commit::Conflict => return Err(WorkError::Conflict),
                Commit::Refused(why) => return Ok(Woken::Refused(why)),
                Commit::Unknown(why) => return Err(WorkError::Passing(why)),
            }
            tracing::info!(app = %self.id, from = scale.replicas, to = wanted, trigger, "scaled by hand");
        }
        let now = Timestamp::now();
        (status.scheduled_wake, status.wake_on_request) = (None, None);
        if let Some(keep) = keep {
            status.awake_until = Some(MicroTime(now.saturating_add(keep).unwrap_or(Timestamp::MAX)));
        }
        if sleeps {
            status.replicas = Some(wanted);
            let cost = app.policy.cost;
            phase::begin_by_hand(now, &mut status, cost.as_ref(), &self.id.name, trigger);
        }
        self.write_status(&mut seen.app, &status).await?;
        Ok(Woken::Yes)
    }

    async fn sleep_by_hand(
        &mut self,
        mut seen: Observed,
        order: Order,
        night: Night,
    ) -> Result<Looked, WorkError> {
        if seen.scale.as_ref().is_ok_and(|scale| scale.replicas == 0) {
            let mut status = seen.status();
            status.wake_on_request = (!night.wake_on_request).then_some(false);
            (status.awake_until, status.scheduled_wake) = (None, night.schedule);
            if let Err(error) = self.write_status(&mut seen.app, &status).await {
                self.queue.push_front(order);
                return Err(error);
            }
            self.answers.push((order.reply, Ok(())));
            return Ok(AT_ONCE);
        }
        let Some(sleeper) = self.sleeper(&seen, Some(night)) else { return Ok(AT_ONCE) };
        let end = self.attempt(&sleeper, Occasion::ByHand).await;
        let app = self.id.clone();
        let answer = match &end {
            AttemptEnd::Asleep => Ok(()),
            AttemptEnd::Aborted(_, why) => {
                Err(Refusal::NotPossible { app, reason: format!("it stays awake: {why}") })
            }
            AttemptEnd::Unsettled(why) => Err(Refusal::OutOfReach { app, reason: why.clone() }),
        };
        self.answers.push((order.reply, answer));
        self.ended(&sleeper.object, end, Begun::ByHand).await
    }

    /// Shows the app as it stands, and then answers those whose order can be seen by that.
    pub(super) fn show(&mut self, seen: &Observed) {
        let status = seen.status();
        self.memory.note_wake(&status);
        self.world.board.show(View {
            usual: self.memory.usual(),
            sleeps_at: self.memory.sleeps_at(),
            ..View::new(&seen.app, seen.resolved.as_ref().ok())
        });
        for (reply, answer) in self.answers.drain(..) {
            let _ = reply.send(answer);
        }
    }
}

/// How a wake by hand went.
enum Woken {
    Yes,
    /// It has to be tried again after so long.
    NotYet(Duration),
    Refused(String),
}

/// Whether it answers already, and is called awake in a moment.
fn comes_to_rest(seen: &Observed) -> bool {
    seen.status().phase == Some(Phase::Waking) && seen.pods.iter().any(PodView::serves)
}

/// What keeps an order from being carried out: pure.
fn refused(now: Timestamp, seen: &Observed, what: &What) -> Option<Refusal> {
    let app = crate::cluster::objects::id(&seen.app.metadata);
    let problem = seen.resolved.as_ref().err().or(seen.conflict.as_ref()).or(seen.scale.as_ref().err());
    if let Some(problem) = problem {
        let reason = format!("{}; {}", problem.happened, problem.reason.remedy());
        return Some(Refusal::NotPossible { app, reason });
    }
    if seen.app.spec.suspend {
        let reason = "it is left alone, as spec.suspend says; set that to false first".to_owned();
        return Some(Refusal::NotPossible { app, reason });
    }
    let asked = seen.scale.as_ref().map_or(0, |scale| scale.replicas);
    let status: ScaledAppStatus = seen.status();
    let generation = seen.app.metadata.generation.unwrap_or_default();
    match what {
        What::Wake { .. } if asked == 0 => {
            let blocked = status.wake_blocked.filter(|blocked| blocked.holds(now, generation))?;
            let retry_in_s = millis(between(now, blocked.until.0)).div_ceil(1000);
            Some(Refusal::Blocked { app, reason: blocked.message, retry_in_s })
        }
        What::Sleep(_) if asked > 0 && status.phase != Some(Phase::Awake) => {
            Some(Refusal::WrongPhase { app, phase: status.phase.unwrap_or(Phase::Waking) })
        }
        What::Wake { .. } | What::Sleep(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{
        fixtures::{app, at, observed},
        observe::Problem,
    };

    fn seen(status: Value, replicas: u32) -> Observed {
        observed(app(json!({}), status), false, replicas, Vec::new())
    }

    fn wake() -> What {
        What::Wake { trigger: "me".into(), keep: None, replicas: None }
    }

    fn sleep() -> What {
        What::Sleep(Night { wake_on_request: true, schedule: None })
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let asleep = seen(json!({"phase": "Asleep"}), 0);
        assert_eq!((refused(at(0), &asleep, &wake()), refused(at(0), &asleep, &sleep())), (None, None));
        let waking = seen(json!({"phase": "Waking"}), 1);
        assert_eq!(refused(at(0), &waking, &wake()), None, "it joins");
        assert!(matches!(
            refused(at(0), &waking, &sleep()),
            Some(Refusal::WrongPhase { phase: Phase::Waking, .. })
        ));
        assert_eq!(refused(at(0), &seen(json!({"phase": "Awake"}), 1), &sleep()), None);
        let mut gone = seen(json!({"phase": "Awake"}), 1);
        gone.scale =
            Err(Problem::new(reveille_core::resource::Reason::TargetNotFound, "the Deployment web is gone"));
        let said = refused(at(0), &gone, &wake()).unwrap().to_string();
        assert!(said.starts_with("team/web: the Deployment web is gone; create"), "{said}");
        let mut alone = seen(json!({"phase": "Awake"}), 1);
        alone.app.spec.suspend = true;
        assert!(refused(at(0), &alone, &sleep()).unwrap().to_string().contains("spec.suspend"));
    }

    #[test]
    fn the_pause_after_a_failed_wake_holds_for_people_too() {
        let until = format!("{:.6}", at(30));
        let blocked = json!({"phase": "Asleep",
            "wakeBlocked": {"until": until, "generation": 1, "reason": "NoNode",
            "message": "no node"}});
        let blocked = seen(blocked, 0);
        let refusal = refused(at(10), &blocked, &wake());
        assert!(matches!(refusal, Some(Refusal::Blocked { retry_in_s: 20, .. })), "{refusal:?}");
        assert_eq!(refused(at(31), &blocked, &wake()), None);
    }
}
