//! One app's worker: looks, plans, acts, and waits until something happens. There is one for each app, so that nothing of
//! an app is done twice at a time; it runs only while this controller leads, and is dropped at once when it does not.

mod leave;
mod orders;
mod sleep;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Api, api::Patch};
use reveille_core::{
    app::AppId,
    phase::Phase,
    resource::{ConditionType, Reason, ScaledApp, ScaledAppStatus, set_condition},
};
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    apply,
    by_hand::Order,
    counts, direct, events, gather, give_back,
    jitter::jittered,
    memory::Memory,
    objects::own_patch,
    observe::Observed,
    phase,
    plan::{Next, Plan, plan},
    status,
    stores::{Guarded, is_watched},
    world::{WorkError, World},
};
use crate::traits::Refusal;

/// Changes that come together are one.
const TOGETHER: Duration = Duration::from_millis(20);
/// The longest pause after writes of others that came in between, doubling from [`TOGETHER`].
const LONGEST_YIELD: Duration = Duration::from_secs(1);
/// How long an app that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_secs(60);
/// The pauses after errors, doubling, each jittered.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// See the [module](self).
pub(crate) struct Worker {
    pub(crate) world: Arc<World>,
    pub(crate) id: AppId,
    /// Told whenever something of the app may have changed.
    pub(crate) changed: Arc<Notify>,
    /// What people ask of it.
    orders: mpsc::UnboundedReceiver<Order>,
    /// What of that is to be carried out.
    queue: VecDeque<Order>,
    /// To be given once what was done can be seen.
    answers: Vec<Answer>,
    /// When its scheduled wake is due.
    due_at: Option<Timestamp>,
    /// Why that has to wait, as was said last.
    waits: Option<String>,
    memory: Memory,
    /// The app's unique id, for what has to be freed when it is gone.
    uid: Option<String>,
    /// How often in a row it was not found out how an attempt ended.
    unsettled: u32,
    /// Traffic no longer leads to the activators for it; they are to serve what is still under way until then.
    closes_at: Option<tokio::time::Instant>,
}

type Answer = (oneshot::Sender<Result<(), Refusal>>, Result<(), Refusal>);

/// How a look ended.
enum Looked {
    /// Look again after so long, or when something changes.
    Again(Duration),
    /// The app is gone.
    Gone,
}

impl Worker {
    pub(crate) fn new(world: Arc<World>, id: AppId, changed: Arc<Notify>) -> Self {
        let orders = world.board.desk(&id);
        Self {
            world,
            id,
            changed,
            orders,
            queue: VecDeque::new(),
            answers: Vec::new(),
            due_at: None,
            waits: None,
            memory: Memory::default(),
            uid: None,
            unsettled: 0,
            closes_at: None,
        }
    }

    /// Works until the app is gone.
    pub(crate) async fn run(mut self) -> AppId {
        self.world.metrics.add(&self.id);
        let (mut failures, mut conflicts) = (0, 0);
        loop {
            let looked_at = Timestamp::now();
            let pause = match Box::pin(self.look()).await {
                Ok(Looked::Gone) => break,
                Ok(Looked::Again(after)) => {
                    (failures, conflicts) = (0, 0);
                    after
                }
                Err(WorkError::Conflict) => {
                    conflicts += 1;
                    doubled(TOGETHER, conflicts, LONGEST_YIELD)
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(app = %self.id, %error, failures, "not done; it is tried again");
                    self.say_forbidden(&error).await;
                    doubled(FIRST_PAUSE, failures, LONGEST_PAUSE)
                }
            };
            let may_hurry = failures == 0;
            let pause = self.due_at.map_or(pause, |due| until_due(pause, looked_at, due));
            tokio::select! {
                () = self.changed.notified(), if may_hurry => tokio::time::sleep(TOGETHER).await,
                Some(order) = self.orders.recv() => self.queue.push_back(order),
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.world.metrics.remove(&self.id);
        self.world.board.gone(&self.id);
        for (reply, answer) in self.answers {
            // Whoever does not wait any more does not miss it.
            let _ = reply.send(answer);
        }
        for order in self.queue {
            // Whoever does not wait any more does not miss it.
            let _ = order.reply.send(Err(Refusal::UnknownApp(self.id.clone())));
        }
        self.id
    }

    fn api(&self) -> Api<ScaledApp> {
        Api::namespaced(self.world.client.clone(), &self.id.namespace)
    }

    async fn look(&mut self) -> Result<Looked, WorkError> {
        let api: Api<Guarded> = Api::namespaced(self.world.client.clone(), &self.id.namespace);
        let Some(found) = api.get_opt(&self.id.name).await? else {
            self.gone().await?;
            return Ok(Looked::Gone);
        };
        let app = match found.0 {
            Ok(app) => app,
            Err(unreadable) => {
                self.refuse_orders("its ScaledApp cannot be read; see the controller's log");
                if unreadable.metadata.deletion_timestamp.is_some() {
                    self.leave_unread(unreadable.metadata).await?;
                    return Ok(Looked::Again(TOGETHER));
                }
                let error = unreadable.error;
                tracing::error!(app = %self.id, %error, "this ScaledApp cannot be read and is left alone; is its definition newer than this program?");
                return Ok(Looked::Again(UNREADABLE));
            }
        };
        self.uid.clone_from(&app.metadata.uid);
        if app.status.as_ref().and_then(|status| status.phase) == Some(Phase::FallingAsleep) {
            return Box::pin(self.settle(app)).await;
        }
        let (mut seen, plan) = {
            let _permit = self.world.looks.acquire().await.expect("the semaphore is never closed");
            let seen = gather::observe(&self.world, &mut self.memory, app).await?;
            let plan = plan(Timestamp::now(), &seen, is_watched(&seen.app.spec.target));
            (seen, plan)
        };
        if seen.app.metadata.deletion_timestamp.is_some() {
            self.refuse_orders("its ScaledApp is being deleted");
            self.show(&seen);
            return self.give_back(seen, plan).await;
        }
        self.keep(&mut seen).await?;
        self.apply(&mut seen, &plan).await?;
        self.adopt_schedule(&mut seen).await?;
        self.show(&seen);
        if self.has_orders() {
            return Box::pin(self.carry_out(seen)).await;
        }
        if let Some(looked) = Box::pin(self.wake_if_due(&mut seen)).await? {
            return Ok(looked);
        }
        Box::pin(self.go_on(seen, plan)).await
    }

    /// The app is gone: nothing of it is left behind.
    async fn gone(&mut self) -> Result<(), WorkError> {
        self.world.parts.idleness.forget(&self.id);
        if let Some(uid) = &self.uid {
            self.world.ports.free(uid).await?;
        }
        Ok(())
    }

    /// Sees to it that the app is given back before it goes.
    async fn keep(&self, seen: &mut Observed) -> Result<(), WorkError> {
        let Some(finalizers) = give_back::with_ours(&seen.app) else { return Ok(()) };
        self.set_finalizers(&mut seen.app, finalizers).await
    }

    async fn set_finalizers(&self, app: &mut ScaledApp, finalizers: Vec<String>) -> Result<(), WorkError> {
        let patch = json!({"metadata": {
            "resourceVersion": app.metadata.resource_version, "finalizers": finalizers,
        }});
        app.metadata = self.api().patch(&self.id.name, &own_patch(), &Patch::Merge(patch)).await?.metadata;
        Ok(())
    }

    /// Makes everything as planned but for what comes next.
    async fn apply(&mut self, seen: &mut Observed, plan: &Plan) -> Result<(), WorkError> {
        if let Some(private) = &plan.private {
            apply::private(&self.world.client, &self.id.namespace, private).await?;
        }
        if let Some(slices) = &plan.slices {
            apply::slices(&self.world.client, &self.id.namespace, seen, slices).await?;
        }
        if let Ok(app) = &seen.resolved {
            self.world.metrics.deadline(&self.id, app.policy.wake.deadline);
            let former = plan.status.former_replicas.unwrap_or(1);
            self.world.metrics.costs(&self.id, app.policy.cost, former);
        }
        self.write_status(&mut seen.app, &plan.status).await?;
        if !plan.join.is_empty() {
            self.join(&plan.join).await?;
        }
        Ok(())
    }

    async fn write_status(&mut self, app: &mut ScaledApp, after: &ScaledAppStatus) -> Result<(), WorkError> {
        let before = app.status.clone().unwrap_or_default();
        if let Some(phase) = after.phase {
            self.world.metrics.phase(&self.id, phase);
        }
        let Some(patch) = status::patch(&before, after) else { return Ok(()) };
        let version = app.metadata.resource_version.clone().unwrap_or_default();
        *app = status::write(&self.api(), &self.id.name, &version, &patch).await?;
        if before.phase == Some(Phase::Awake) && after.phase != Some(Phase::Awake) {
            self.world.parts.idleness.forget(&self.id);
        }
        if before.phase != after.phase {
            tracing::info!(app = %self.id, phase = after.phase.map(Phase::as_str), "its phase changed");
        }
        counts::wake_ended(&self.world.metrics, &self.id, &before, after);
        for news in events::news(&before, after) {
            self.world.reports.publish(app, &news).await;
        }
        Ok(())
    }

    /// Puts pods onto the direct path, if the app is awake: that is read after their versions were, so that a pod which
    /// another leader takes off meanwhile stays off.
    async fn join(&self, pods: &[(String, String)]) -> Result<(), WorkError> {
        let now = self.api().get(&self.id.name).await?;
        if now.status.and_then(|status| status.phase) != Some(Phase::Awake) {
            return Err(WorkError::Conflict);
        }
        let api = Api::namespaced(self.world.client.clone(), &self.id.namespace);
        for (name, version) in pods {
            direct::join(&api, name, version).await?;
        }
        Ok(())
    }

    async fn go_on(&mut self, seen: Observed, plan: Plan) -> Result<Looked, WorkError> {
        match plan.next {
            Next::Rest => Ok(Looked::Again(plan.look_after)),
            Next::Sleep => self.sleep_if_idle(seen, plan.look_after).await,
            Next::GiveUp(why) => self.give_up(seen, &why).await,
        }
    }

    /// What the API server forbids is for people to mend: they read it where they read everything else.
    async fn say_forbidden(&self, error: &WorkError) {
        let WorkError::Forbidden(what) = error else { return };
        let Ok(Some(app)) = self.api().get_opt(&self.id.name).await else { return };
        let before = app.status.clone().unwrap_or_default();
        let mut after = before.clone();
        let of = (ConditionType::Ready, false);
        let (generation, now) = (app.metadata.generation, Timestamp::now());
        set_condition(&mut after.conditions, of, Reason::NotPermitted, what, generation, now);
        let Some(patch) = status::patch(&before, &after) else { return };
        let version = app.metadata.resource_version.unwrap_or_default();
        if let Err(error) = status::write(&self.api(), &self.id.name, &version, &patch).await {
            tracing::warn!(app = %self.id, %error, "that it is forbidden could not be written into its status");
        }
    }
}

/// A pause that ends when something is due. What was due when it was looked at last has had its turn: however that went, it
/// is no reason to look again sooner.
fn until_due(pause: Duration, looked_at: Timestamp, due: Timestamp) -> Duration {
    if due > looked_at { pause.min(phase::between(Timestamp::now(), due)) } else { pause }
}

/// The pause after so many in a row.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    jittered(first.saturating_mul(1 << times.min(11)).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_ends_a_pause_once() {
        let (pause, now) = (Duration::from_secs(60), Timestamp::now());
        let after = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
        assert!(until_due(pause, now, after(20)) <= Duration::from_secs(20));
        assert_eq!(until_due(pause, now, after(100)), pause);
        assert_eq!(until_due(pause, after(-2), after(-1)), Duration::ZERO, "its time has come since");
        assert_eq!(until_due(pause, after(-1), after(-2)), pause, "it was looked at, and is due still");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_jittered() {
        for (times, most) in [(1, 400), (2, 800), (5, 6_400), (7, 25_600), (9, 30_000), (1000, 30_000)] {
            let pause = doubled(FIRST_PAUSE, times, LONGEST_PAUSE);
            let most = Duration::from_millis(most);
            assert!((most / 2..=most).contains(&pause), "{times}: {pause:?}");
        }
        assert!(doubled(TOGETHER, 100, LONGEST_YIELD) <= LONGEST_YIELD);
    }
}
