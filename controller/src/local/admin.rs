//! What the admin port can see and do in local mode.

use std::sync::Arc;

use reveille_core::{
    api::{AppStatus, SleepRequest},
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
    async fn status(&self, view: Arc<View>) -> AppStatus {
        let reports = match self.table.fleet() {
            Some(fleet) => fleet.reports(&view.entry.id).await,
            None => Vec::new(),
        };
        view.status(now(), reports)
    }

    /// The app's status, or why there is none.
    async fn known(&self, app: &AppId) -> Result<AppStatus, Refusal> {
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
                apps.push(self.status(view).await);
            }
            apps
        })
    }

    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>> {
        Box::pin(async move {
            let view = self.table.shared.store.view(app)?;
            Some(self.status(view).await)
        })
    }

    fn wake<'a>(&'a self, app: &'a AppId, trigger: String) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            let handle = self.table.handle(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
            let wake = |reply| Message::Wake { trigger, caller: Caller::Hand, reply: Some(reply) };
            handle.ask(wake).await.unwrap_or(Err(Refusal::Stopping))?;
            self.known(app).await
        })
    }

    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            let handle = self.table.handle(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
            if self.table.is_stopping() {
                return Err(Refusal::Stopping);
            }
            let wakes = request.wake_on_request;
            let done = match self.table.shared.store.phase(app) {
                Some(Phase::Asleep) => {
                    let asked = handle.ask(|reply| Message::WakeOnRequest { wakes, reply }).await;
                    asked.unwrap_or(Err(Abort::Gone))
                }
                _ => {
                    let reason = request.reason.as_deref().unwrap_or("by hand");
                    let occasion = Occasion::ByHand { wake_on_request: wakes };
                    self.table.put_to_sleep(app, occasion, reason).await
                }
            };
            done.map_err(|abort| self.refusal(app, &abort))?;
            self.known(app).await
        })
    }

    fn is_ready(&self) -> bool {
        self.table.is_serving()
    }
}
