//! How the planes are joined. They never import each other: here each one's traits are implemented by the
//! other, in process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reveille_activator::{
    Activator, NotShut,
    traits::{Directory, Waker},
};
use reveille_controller::{
    local::Local,
    traits::{Apps, BoxFuture, DeploymentError, Deployments, Fleet, FleetError, Refusal},
};
use reveille_core::{
    activity::Activity,
    api::{AppStatus, SleepRequest},
    app::AppId,
    decide::Report,
    directory::Change,
    scale::{DeploymentStatus, ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};
use tokio::sync::mpsc;

/// The one activator of local mode, by name.
const ACTIVATOR: &str = "local";

/// What the control plane says, as it says it.
pub(super) struct LocalDirectory(mpsc::UnboundedReceiver<Change>);

impl LocalDirectory {
    pub(super) fn new(changes: mpsc::UnboundedReceiver<Change>) -> Self {
        Self(changes)
    }
}

impl Directory for LocalDirectory {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(self.0.recv())
    }
}

/// Wakes apps by telling the control plane.
pub(super) struct LocalWaker(Arc<Local>);

impl LocalWaker {
    pub(super) fn new(local: &Arc<Local>) -> Self {
        Self(local.clone())
    }
}

impl Waker for LocalWaker {
    fn wake(&self, app: &AppId, waiting: usize) {
        // One that could not be held is a request, too.
        let waiting = waiting.max(1);
        let requests = if waiting == 1 { "request" } else { "requests" };
        self.0.wake(app, format!("{waiting} {requests}"));
    }

    fn usable(&self, app: &AppId, generation: u64) {
        self.0.usable(app, generation);
    }
}

/// The one activator of local mode.
pub(super) struct LocalFleet(Arc<Activator>);

impl LocalFleet {
    pub(super) fn new(activator: Arc<Activator>) -> Self {
        Self(activator)
    }
}

impl Fleet for LocalFleet {
    fn reports<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Vec<Report>> {
        Box::pin(async {
            let said = self.0.activity(app).map(|activity| Report::Said { at: Instant::now(), activity });
            vec![said.unwrap_or(Report::Silent)]
        })
    }

    fn shut<'a>(
        &'a self,
        app: &'a AppId,
        epoch: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<Activity>, FleetError>> {
        Box::pin(async move {
            let refused = |why: NotShut| FleetError { activator: ACTIVATOR.into(), reason: why.to_string() };
            let activity = self.0.shut(app, epoch, lease).map_err(refused)?;
            Ok(vec![activity])
        })
    }

    fn open<'a>(&'a self, app: &'a AppId, epoch: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.open(app, epoch) })
    }
}

/// What the admin port sees: the control plane's apps, and whether the data plane takes work.
pub(super) struct ServedApps {
    local: Arc<Local>,
    activator: Arc<Activator>,
}

impl ServedApps {
    pub(super) fn new(local: Arc<Local>, activator: Arc<Activator>) -> Self {
        Self { local, activator }
    }
}

impl Apps for ServedApps {
    fn list(&self) -> BoxFuture<'_, Vec<AppStatus>> {
        self.local.list()
    }

    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>> {
        self.local.get(app)
    }

    fn wake<'a>(
        &'a self,
        app: &'a AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Apps::wake(&*self.local, app, trigger, keep)
    }

    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Apps::sleep(&*self.local, app, request)
    }

    fn is_ready(&self) -> bool {
        self.local.is_ready() && self.activator.is_ready()
    }
}

impl Deployments for ServedApps {
    fn ready(&self) -> BoxFuture<'_, Result<&'static str, String>> {
        if self.activator.is_ready() {
            self.local.ready()
        } else {
            Box::pin(std::future::ready(Err("it is starting or draining".to_owned())))
        }
    }

    fn status<'a>(&'a self, of: &'a AppId) -> BoxFuture<'a, Result<DeploymentStatus, DeploymentError>> {
        Deployments::status(&*self.local, of)
    }

    fn scale_to_zero<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleToZero,
    ) -> BoxFuture<'a, Result<ScaledToZero, DeploymentError>> {
        self.local.scale_to_zero(which, order)
    }

    fn scale_up<'a>(
        &'a self,
        which: &'a AppId,
        order: ScaleUp,
    ) -> BoxFuture<'a, Result<ScaledUp, DeploymentError>> {
        self.local.scale_up(which, order)
    }
}
