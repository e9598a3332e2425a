//! Putting an app to sleep: when it is idle, and when its wake failed. And finding out how an attempt ended whose
//! controller is gone.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use reveille_core::{
    app::AppId,
    phase::Phase,
    resource::{Reason, ScaledApp},
};
use tokio::sync::{Notify, watch};

use super::{Looked, Worker, doubled};
use crate::{
    clock::now,
    cluster::{
        by_hand::{Night, Order, View, What},
        events::News,
        gather,
        observe::{Observed, Problem},
        phase,
        plan::plan,
        sleeper::{AppSleeper, Written},
        stores::is_watched,
        traits::{AttemptEnd, Idle, Occasion},
        wake::Hopeless,
        world::{WorkError, World},
    },
    sleep::SleepOutcome,
    traits::Refusal,
};

/// Look again at once.
pub(super) const AT_ONCE: Looked = Looked::Again(Duration::ZERO);
/// How soon an end is looked for again that could not be found out: doubling.
const UNSETTLED: Duration = Duration::from_secs(1);
const UNSETTLED_LONGEST: Duration = Duration::from_secs(16);
/// After so long since it began, no commit of an attempt is on its way any more: an API server ends a request after a minute.
const COMMITS_WITHIN: Duration = Duration::from_secs(180);

/// Why an attempt was begun that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was idle, as far as anybody knows.
    ByUs,
    ByHand,
    AfterFailure,
    /// By a controller that is gone: nobody knows why.
    Elsewhere,
}

impl Worker {
    /// The app for an attempt of ours: by hand if that has a `night`.
    pub(super) fn sleeper(&self, seen: &Observed, night: Option<Night>) -> Option<AppSleeper> {
        self.sleeper_that_writes(seen, Written::InTurn(Mutex::default()), night)
    }

    fn sleeper_that_writes(
        &self,
        seen: &Observed,
        written: Written,
        night: Option<Night>,
    ) -> Option<AppSleeper> {
        let (Ok(app), Ok(scale)) = (&seen.resolved, &seen.scale) else { return None };
        Some(AppSleeper {
            client: self.world.client.clone(),
            id: self.id.clone(),
            app: app.clone(),
            object: seen.app.clone(),
            service: seen.service.as_ref().ok().cloned(),
            ports: seen.ports.as_deref().unwrap_or_default().to_vec(),
            selector: scale.selector.clone().unwrap_or_default(),
            activators: self.world.parts.activators.watch(),
            written,
            night,
            unwanted: watch::Sender::new(false),
        })
    }

    pub(super) async fn sleep_if_idle(
        &mut self,
        seen: Observed,
        look_after: Duration,
    ) -> Result<Looked, WorkError> {
        let kept = seen.status().awake_until.map(|until| phase::between(Timestamp::now(), until.0));
        if let Some(left) = kept.filter(|left| !left.is_zero()) {
            self.memory.is_pinned();
            return Ok(Looked::Again(left.min(look_after)));
        }
        let at = now();
        let pause = self.memory.attempt_in(at);
        if !pause.is_zero() {
            return Ok(Looked::Again(pause.min(look_after)));
        }
        let due = self.memory.look_at(at, &seen);
        if let Some(left) =
            due.map_or(Some(look_after), |due| due.checked_duration_since(at)).filter(|left| !left.is_zero())
        {
            return Ok(Looked::Again(left.min(look_after)));
        }
        let Some(sleeper) = self.sleeper(&seen, None) else { return Ok(Looked::Again(look_after)) };
        let since = seen.status().since.map_or(Timestamp::now(), |since| since.0);
        let idle = self.world.parts.idleness.look(&sleeper, phase::between(since, Timestamp::now())).await;
        let at = now();
        self.memory.looked(at, &seen, &idle);
        self.show(&seen);
        match idle {
            Idle::Yes(evidence) => {
                let end = self.attempt(&sleeper, Occasion::Idle(evidence)).await;
                self.ended(&sleeper.object, end, Begun::ByUs).await
            }
            Idle::No { why, detail, recheck_after } => {
                tracing::debug!(app = %self.id, ?why, detail, "it stays awake");
                Ok(Looked::Again(recheck_after.unwrap_or(look_after).min(look_after)))
            }
            Idle::Unknown { reason, detail, recheck_after } => {
                tracing::debug!(app = %self.id, %reason, detail, "it stays awake");
                Ok(Looked::Again(recheck_after.unwrap_or(look_after).min(look_after)))
            }
        }
    }

    /// Brings an app back to 0 whose wake failed. Nobody is to be in service; whoever is held waits on, and is told why the
    /// wake failed by the status, which was written before.
    pub(super) async fn give_up(&mut self, seen: Observed, why: &Hopeless) -> Result<Looked, WorkError> {
        let pause = self.memory.attempt_in(now());
        if !pause.is_zero() {
            return Ok(Looked::Again(pause));
        }
        let Some(sleeper) = self.sleeper(&seen, None) else { return Ok(Looked::Again(UNSETTLED)) };
        tracing::warn!(app = %self.id, reason = %why.reason, why.happened, "its wake failed; it goes back to 0");
        let end = self.attempt(&sleeper, Occasion::WakeFailed).await;
        self.ended(&sleeper.object, end, Begun::AfterFailure).await
    }

    /// One attempt. It is called off if the app is not to sleep any more, up to the moment in which its commit is sent; what is
    /// asked for meanwhile has its turn after it.
    pub(super) async fn attempt(&mut self, sleeper: &AppSleeper, occasion: Occasion) -> AttemptEnd {
        let last = sleeper.object.status.as_ref().and_then(|status| status.epoch).unwrap_or_default();
        let epoch = u64::try_from(last).unwrap_or_default() + 1;
        self.show_falling(sleeper);
        let world = Arc::clone(&self.world);
        // The pause after a wake that failed holds for people, too, and begins once the app is at 0.
        let may_be_woken = occasion != Occasion::WakeFailed;
        let attempt = world.parts.attempts.sleep(sleeper, epoch, occasion);
        let unwanted = async {
            called_off(&world, &self.id, &self.changed).await;
            sleeper.unwanted.send_replace(true);
            std::future::pending::<Infallible>().await
        };
        tokio::pin!(attempt, unwanted);
        loop {
            tokio::select! {
                end = &mut attempt => return end,
                never = &mut unwanted => match never {},
                Some(order) = self.orders.recv() => match order.what {
                    What::Wake { .. } => {
                        if may_be_woken {
                            sleeper.unwanted.send_replace(true);
                        }
                        self.queue.push_back(order);
                    }
                    What::Sleep(_) => self.refuse_sleep(order),
                },
            }
        }
    }

    /// It falls asleep already, by an attempt that may yet be called off.
    fn refuse_sleep(&self, order: Order) {
        let refusal = Refusal::WrongPhase { app: self.id.clone(), phase: Phase::FallingAsleep };
        // Whoever does not wait any more does not miss it.
        let _ = order.reply.send(Err(refusal));
    }

    fn show_falling(&self, sleeper: &AppSleeper) {
        let mut view = View::new(&sleeper.object, Some(&sleeper.app));
        let status = Arc::make_mut(&mut view.status);
        phase::enter(Timestamp::now(), status, Phase::FallingAsleep);
        self.world.board.show(View { usual: self.memory.usual(), ..view });
    }

    pub(super) async fn ended(
        &mut self,
        app: &ScaledApp,
        end: AttemptEnd,
        begun: Begun,
    ) -> Result<Looked, WorkError> {
        if !matches!(end, AttemptEnd::Unsettled(_)) {
            self.unsettled = 0;
        }
        match end {
            AttemptEnd::Asleep => {
                self.memory.asleep(now());
                self.world.parts.idleness.forget(&self.id);
                self.world.metrics.sleep_ended(&self.id, SleepOutcome::Slept);
                self.world.metrics.phase(&self.id, Phase::Asleep);
                tracing::info!(app = %self.id, "it fell asleep");
                match begun {
                    Begun::ByUs => self.world.reports.publish(app, &News::FellAsleep).await,
                    Begun::Elsewhere => self.world.reports.publish(app, &News::FoundAsleep).await,
                    // Whoever asked for it, or what failed, is told by an Event of its own.
                    Begun::ByHand | Begun::AfterFailure => {}
                }
                Ok(AT_ONCE)
            }
            AttemptEnd::Aborted(outcome, why) => {
                // What somebody asked for in vain is no reason to wait before it is idle.
                if begun != Begun::ByHand {
                    self.memory.called_off(now());
                }
                self.world.metrics.sleep_ended(&self.id, outcome);
                tracing::info!(app = %self.id, why, "it did not fall asleep");
                self.world.reports.publish(app, &News::SleepAborted(why)).await;
                Ok(AT_ONCE)
            }
            AttemptEnd::Unsettled(why) => {
                tracing::warn!(app = %self.id, why, "how the attempt to put it to sleep ended is not known yet");
                self.unsettled += 1;
                Ok(Looked::Again(doubled(UNSETTLED, self.unsettled, UNSETTLED_LONGEST)))
            }
        }
    }

    /// Finds out how an attempt ended before anything else is done with the app.
    pub(super) async fn settle(&mut self, app: ScaledApp) -> Result<Looked, WorkError> {
        let epoch = app.status.as_ref().and_then(|status| status.epoch).unwrap_or_default();
        let epoch = u64::try_from(epoch).unwrap_or_default();
        tracing::info!(app = %self.id, epoch, "it is falling asleep by an attempt that is gone");
        let mut seen = gather::observe(&self.world, &mut self.memory, app).await?;
        let Some(sleeper) = self.sleeper_that_writes(&seen, Written::AsRead, None) else {
            let gone = |problem: &Problem| problem.reason == Reason::TargetNotFound;
            if !seen.scale.as_ref().is_err_and(gone) {
                if may_be_let_go(Timestamp::now(), &seen.app) {
                    return Box::pin(self.let_go(seen)).await;
                }
                // It may run, and a commit may be on its way that only a fence can stop.
                return Err(WorkError::Passing(
                    "how its last attempt to sleep ended cannot be found out yet".into(),
                ));
            }
            // Without a workload nothing can be fenced, and nothing runs.
            let mut status = seen.status();
            phase::enter(Timestamp::now(), &mut status, Phase::Asleep);
            self.write_status(&mut seen.app, &status).await?;
            return Ok(AT_ONCE);
        };
        let end = self.world.parts.attempts.settle(&sleeper, epoch).await;
        if matches!(end, AttemptEnd::Unsettled(_)) && may_be_let_go(Timestamp::now(), &seen.app) {
            return Box::pin(self.let_go(seen)).await;
        }
        self.ended(&seen.app, end, Begun::Elsewhere).await
    }

    /// Gives the app back although it was not found out how its last attempt ended.
    async fn let_go(&mut self, seen: Observed) -> Result<Looked, WorkError> {
        tracing::warn!(app = %self.id, "it is given back although how its last attempt to sleep ended could not be found out");
        let plan = plan(Timestamp::now(), &seen, is_watched(&seen.app.spec.target));
        self.give_back(seen, plan).await
    }
}

/// Whether the app is to go, and no commit of the attempt that is not settled can come any more.
fn may_be_let_go(now: Timestamp, app: &ScaledApp) -> bool {
    let since = app.status.as_ref().and_then(|status| status.since.as_ref()).map_or(now, |since| since.0);
    app.metadata.deletion_timestamp.is_some() && phase::between(since, now) > COMMITS_WITHIN
}

/// Resolves once the app is not to be put to sleep any more.
async fn called_off(world: &World, id: &AppId, changed: &Notify) {
    loop {
        changed.notified().await;
        let app = world.stores.app(id);
        let goes_on = app.is_some_and(|app| match &app.0 {
            Ok(app) => app.metadata.deletion_timestamp.is_none() && !app.spec.suspend,
            Err(_) => true,
        });
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures::{app, at};

    #[test]
    fn one_that_is_to_go_is_let_go_once_no_commit_can_come() {
        let since = format!("{:.6}", at(0));
        let mut falling = app(json!({}), json!({"phase": "FallingAsleep", "epoch": 3, "since": since}));
        assert!(!may_be_let_go(at(9_999), &falling), "it is not to go");
        falling.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        assert!(!may_be_let_go(at(180), &falling));
        assert!(may_be_let_go(at(181), &falling));
    }
}
