//! Seeing and steering the apps of a cluster by hand: the API's side of the leader.
//!
//! Nothing is done here. What is shown is what each app's worker saw last; what is asked is left with that worker, and
//! answered when it was carried out and can be seen.
//!
//! | module | holds |
//! |---|---|
//! | `board` | what is shown, and where orders are left |
//! | `order` | what can be asked |
//! | `view` | an app as users see it |
//! | `counts` | what is under way at the activators, asked for while somebody looks |

mod board;
pub(crate) mod counts;
mod order;
mod view;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use reveille_core::{
    api::{AppStatus, SleepRequest},
    app::AppId,
    phase::Phase,
    resource::ScheduledWake,
    scale::{ScaleToZero, ScaleUp, ScaledToZero, ScaledUp},
};

pub use self::board::Board;
pub(crate) use self::{
    order::{Night, Order, What},
    view::View,
};
use crate::traits::{Apps, BoxFuture, Refusal};

/// How long a wake may take until it is asked for.
const WAKE_WITHIN: Duration = Duration::from_secs(12);
/// How long a sleep may take besides the delay of the nodes: 10 s for work in flight at the pods, the same for that at the
/// activators, and the calls.
const SLEEP_WITHIN: Duration = Duration::from_secs(30);

/// The apps of a cluster, for the API.
pub struct ByHand {
    board: Arc<Board>,
    /// How long nodes take to learn of changed endpoints.
    sleep_delay: Duration,
}

impl ByHand {
    /// Those on that board.
    pub fn new(board: Arc<Board>, sleep_delay: Duration) -> Self {
        Self { board, sleep_delay }
    }

    /// How long a call may take at most.
    pub fn longest_call(&self) -> Duration {
        SLEEP_WITHIN + self.sleep_delay + Duration::from_secs(5)
    }

    /// The app whose workload is that Deployment, if there is one.
    pub(crate) fn app_of(&self, deployment: &AppId) -> Option<AppId> {
        self.board.world()?.stores.app_of_deployment(deployment)
    }

    /// An app as it stands.
    pub(crate) fn shown(&self, app: &AppId) -> Option<AppStatus> {
        self.board.get(app)
    }

    /// Puts the app whose workload is that Deployment to sleep.
    pub(crate) async fn scale_to_zero(
        &self,
        deployment: &AppId,
        app: &AppId,
        order: ScaleToZero,
    ) -> Result<ScaledToZero, Refusal> {
        let before = self.known(app)?;
        let schedule = order.scheduled_scale_up;
        self.sleep_until(app, order.wake_on_request, schedule.map(|at| (at, order.reason.clone()))).await?;
        Ok(ScaledToZero {
            name: deployment.name.to_string(),
            namespace: deployment.namespace.to_string(),
            previous_replicas: before.replicas,
            current_replicas: 0,
            target_replicas: 0,
            target_status: "scaled-to-zero".to_owned(),
            scaling_reason: order.reason,
            scheduled_scale_up: schedule,
            phase: self.shown(app).map(|app| app.phase),
        })
    }

    /// Wakes the app whose workload is that Deployment with so many replicas, or changes how many it has.
    pub(crate) async fn scale_up(
        &self,
        deployment: &AppId,
        app: &AppId,
        order: ScaleUp,
    ) -> Result<ScaledUp, Refusal> {
        let before = self.known(app)?;
        let trigger = format!("Scale API: {}", order.reason);
        let what = What::Wake { trigger, keep: None, replicas: Some(order.replicas) };
        self.board.order(app, what, WAKE_WITHIN).await?;
        let phase = self.shown(app).map(|app| app.phase);
        Ok(ScaledUp {
            name: deployment.name.to_string(),
            namespace: deployment.namespace.to_string(),
            previous_replicas: before.replicas,
            current_replicas: if before.phase == Phase::Awake { before.replicas } else { 0 },
            target_replicas: order.replicas,
            target_status: "scaling-up".to_owned(),
            scaling_reason: order.reason,
            phase,
        })
    }

    async fn sleep_until(
        &self,
        app: &AppId,
        wake_on_request: bool,
        schedule: Option<(Timestamp, String)>,
    ) -> Result<(), Refusal> {
        let schedule = schedule.map(|(at, reason)| ScheduledWake { at: MicroTime(at), reason });
        let what = What::Sleep(Night { wake_on_request, schedule });
        self.board.order(app, what, SLEEP_WITHIN + self.sleep_delay).await
    }

    fn known(&self, app: &AppId) -> Result<AppStatus, Refusal> {
        self.shown(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))
    }
}

impl Apps for ByHand {
    fn list(&self) -> BoxFuture<'_, Vec<AppStatus>> {
        Box::pin(async { self.board.list() })
    }

    fn get<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<AppStatus>> {
        Box::pin(async { self.board.get(app) })
    }

    fn wake<'a>(
        &'a self,
        app: &'a AppId,
        trigger: String,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            let what = What::Wake { trigger, keep, replicas: None };
            self.board.order(app, what, WAKE_WITHIN).await?;
            self.known(app)
        })
    }

    fn sleep<'a>(
        &'a self,
        app: &'a AppId,
        request: SleepRequest,
    ) -> BoxFuture<'a, Result<AppStatus, Refusal>> {
        Box::pin(async move {
            self.sleep_until(app, request.wake_on_request, None).await?;
            self.known(app)
        })
    }

    fn is_ready(&self) -> bool {
        self.board.leads()
    }
}
