//! The world as processes on one machine.
//!
//! [`Local`] is the control plane of local mode: it supervises every app's process, tells the data plane what
//! it has to know, puts idle apps to sleep, and answers the admin port.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | one app as it is configured |
//! | `table` | all apps: adding, changing and removing them, and the sleep protocol's view of them |
//! | `supervisor` | one app: its process, its wakes, its end |
//! | `admin`, `deployments` | what the admin port can see and do |
//! | `schedule`, `state` | wakes that are to come, and the file that keeps them |
//! | `watch` | what people who watch are told |
//! | [`process`], [`guardian`] | running a process that never outlives Reveille |
//! | [`upstream`] | free ports |

mod admin;
pub mod config;
mod deployments;
pub mod guardian;
mod output;
pub mod process;
mod procfs;
mod schedule;
mod state;
mod supervisor;
mod table;
#[cfg(test)]
mod tests;
pub mod upstream;
mod watch;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use prometheus::Registry;
use reveille_core::{app::AppId, directory::Change};
use tokio::sync::mpsc;

pub use self::state::{check_state_file, lock_state_file};
use self::{
    config::LocalApp,
    schedule::Schedules,
    supervisor::{Caller, Guarded, Message, Runner},
    table::Table,
};
use crate::{
    feed::Feed,
    metrics::Metrics,
    traits::{BoxFuture, CommitError, Fleet, Workloads},
};

/// What [`Local::start`] has to know besides the apps.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that becomes a guardian when its first argument is [`guardian::SUBCOMMAND`]:
    /// `/proc/self/exe`, but for tests.
    pub guardian_exe: PathBuf,
    /// Where scheduled wakes are kept. None: nothing can be scheduled.
    pub state: Option<PathBuf>,
}

/// See the [module](self).
pub struct Local {
    table: Arc<Table>,
    schedules: Schedules,
    feed: Arc<Feed>,
}

impl Local {
    /// Takes charge of the apps, all of them asleep. Must be called within a tokio runtime that outlives them.
    ///
    /// # Panics
    /// If the registry holds the control plane's metrics already.
    pub fn start(apps: Vec<Arc<LocalApp>>, options: Options, registry: &Registry) -> Arc<Self> {
        let metrics = Metrics::register(registry).expect("a registry is given to one control plane only");
        let schedules = Schedules::load(options.state, Timestamp::now, metrics);
        Self::start_with(apps, Guarded { guardian_exe: options.guardian_exe }, schedules)
    }

    fn start_with<R: Runner>(apps: Vec<Arc<LocalApp>>, runner: R, schedules: Schedules) -> Arc<Self> {
        let table = Table::new(schedules.metrics(), runner);
        table.reload(apps);
        // Before anybody can call them. The answer is of no interest: all apps sleep now.
        for app in schedules.asleep_by_hand() {
            let (reply, _) = tokio::sync::oneshot::channel();
            table.tell(&app, Message::WakeOnRequest { wakes: false, reply });
        }
        let local = Arc::new(Self { table, schedules, feed: Feed::new() });
        tokio::spawn(watch::run(Arc::clone(&local)));
        tokio::spawn(schedule::run(Arc::clone(&local)));
        tokio::spawn(schedule::keep_savings(Arc::clone(&local)));
        local
    }

    /// What happens to the apps, for people who watch.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// What the data plane has to know: first the present state of all apps, then each change.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Change> {
        self.table.shared.store.subscribe()
    }

    /// The data plane needs the app. Idempotent, and never blocks. Ignored while the app is in the pause after
    /// a failure, and while requests do not wake it.
    pub fn wake(&self, app: &AppId, trigger: String) {
        self.table.tell(app, Message::Wake { trigger, caller: Caller::Request, keep: None, reply: None });
    }

    /// The activator's own probe of that endpoint succeeded. Never blocks.
    pub fn usable(&self, app: &AppId, generation: u64) {
        self.table.tell(app, Message::Usable { generation });
    }

    /// From now on idle apps are put to sleep, going by what these activators say. Only the first call counts.
    pub fn attach(&self, fleet: Arc<dyn Fleet>) {
        self.table.attach(fleet);
    }

    /// Takes over a whole new configuration. Apps that did not change are not touched. A changed policy, port
    /// or host applies at once; a changed command, or a port that the running process does not serve, at the
    /// next wake. A removed app is put to sleep as if by hand and then stopped; an app that takes over one of
    /// its ports is added when it is gone.
    pub fn reload(&self, apps: Vec<Arc<LocalApp>>) {
        self.table.reload(apps);
    }

    /// Stops every app: SIGTERM, its grace, SIGKILL. Returns when all are gone; nothing is woken any more.
    pub async fn shutdown(&self) {
        // Before the apps are gone, and with them what is known of them.
        self.schedules.keep_savings().await;
        self.table.shutdown().await;
    }
}

impl Workloads for Local {
    fn version<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Option<u64>> {
        self.table.version(app)
    }

    fn set_zero<'a>(&'a self, app: &'a AppId, version: u64) -> BoxFuture<'a, Result<(), CommitError>> {
        self.table.set_zero(app, version)
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
