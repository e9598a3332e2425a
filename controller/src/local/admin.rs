//! What the admin port can see and do in local mode.

use std::{sync::Arc, time::Duration};

use reveille_core::{
    api::{AppStatus, Schedule, SleepRequest},
    app::AppId,
    phase::Phase,
};

use super::{
    Local,
    supervisor::{Caller, Message},
};
use crate::{
    clock::now,
    sleep::{Abort, Occasion},
    store::View,
    traits::{Apps, BoxFuture, Refusal},
};

impl Local {
    pub(super) async fn status_of(&self, view: Arc<View>) -> AppStatus {
        let reports = match self.table.fleet() {
            Some(fleet) => fleet.reports(&view.entry.id).await,
            None => Vec::new(),
        };
        let schedule = self.schedules.get(&view.entry.id);
        let (asleep_ms, saved) = self.schedules.metrics().saved(&view.entry.id);
        AppStatus { schedule, asleep_ms, saved, ..view.status(now(), reports) }
    }

    /// Starts a wake, or joins the one in progress.
    pub(super) async fn wake_by_hand(
        &self,
        app: &AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> Result<(), Refusal> {
        let handle = self.table.handle(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        let wake = |reply| Message::Wake { trigger, caller: Caller::Hand, keep, reply: Some(reply) };
        handle.ask(wake).await.unwrap_or(Err(Refusal::Stopping))?;
        self.schedules.keep_wake_on_request(app, true).await;
        Ok(())
    }

    /// Puts the app to sleep by the protocol; of one that is asleep it only says whether requests wake it.
    pub(super) async fn sleep_by_hand(&self, app: &AppId, reason: &str, wakes: bool) -> Result<(), Refusal> {
        let handle = self.table.handle(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        if self.table.is_stopping() {
            return Err(Refusal::Stopping);
        }
        let done = match self.table.shared.store.phase(app) {
            Some(Phase::Asleep) => {
                let asked = handle.ask(|reply| Message::WakeOnRequest { wakes, reply }).await;
                asked.unwrap_or(Err(Abort::Gone))
            }
            _ => {
                let occasion = Occasion::ByHand { wake_on_request: wakes };
                self.table.put_to_sleep(app, occasion, reason).await
            }
        };
        done.map_err(|abort| self.refusal(app, &abort))?;
        self.schedules.keep_wake_on_request(app, wakes).await;
        Ok(())
    }

    /// Calls off the wake that is scheduled, if one is: a later call replaces it.
    pub(super) async fn call_off(&self, app: &AppId) {
        if let Err(error) = self.reschedule(app, None).await {
            tracing::error!(app = %app, "its scheduled wake is called off, but would come after a restart: {error}");
        }
    }

    /// Sets or calls off the wake that is to come, and tells who watches. Returns the one that was to come.
    pub(super) async fn reschedule(
        &self,
        app: &AppId,
        schedule: Option<Schedule>,
    ) -> Result<Option<Schedule>, String> {
        let before = self.schedules.set(app, schedule.clone()).await?;
        if before != schedule {
            self.table.shared.store.touch(app);
        }
        Ok(before)
    }

    /// The app's status, or why there is none.
    pub(super) async fn known(&self, app: &AppId) -> Result<AppStatus, Refusal> {
        self.get(app).await.ok_or_else(|| Refusal::UnknownApp(app.clone()))
    }

    /// Why an attempt by hand came to nothing.
    fn refusal(&self, app: &AppId, abort: &Abort) -> Refusal {
        let wrong_phase = |phase| Refusal::WrongPhase { app: app.clone(), phase };
        match *abort {
            Abort::InUse { in_service, waited } => {
                Refusal::InUse { app: app.clone(), in_service, waited_s: waited.as_secs() }
            }
            Abort::NotAwake(phase) => wrong_phase(phase),
            // It died or was removed under the attempt.
            Abort::Called | Abort::Conflict => match self.table.shared.store.phase(app) {
                Some(phase) => wrong_phase(phase),
                None => Refusal::UnknownApp(app.clone()),
            },
            Abort::Gone => Refusal::UnknownApp(app.clone()),
            // The only activator is this process: it does not answer before it is up and when it stops.
            Abort::Fleet(_) => Refusal::Stopping,
        }
    }
}

impl Apps for Local {
    fn list(&self) -> BoxFuture<'_, Vec<AppStatus>> {
        Box::pin(async move {
            let mut apps = Vec::new();
            for view in self.table.shared.store.views() {
                apps.push(self.status_of(view).await);
            }
            apps
        })
    }

    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>> {
        Box::pin(async move {
            let view = self.table.shared.store.view(app)?;
            Some(self.status_of(view).await)
        })
    }

    fn wake<'a>(
        &'a self,
        app: &'a AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            self.wake_by_hand(app, trigger, keep).await?;
            self.call_off(app).await;
            self.known(app).await
        })
    }

    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            let reason = request.reason.as_deref().unwrap_or("by hand");
            self.sleep_by_hand(app, reason, request.wake_on_request).await?;
            self.call_off(app).await;
            self.known(app).await
        })
    }

    fn is_ready(&self) -> bool {
        self.table.is_serving()
    }
}
