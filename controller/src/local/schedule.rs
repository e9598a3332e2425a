//! Wakes that are to come: set by the Scale API, kept in the [state file](super::state), and done when it is time.
//!
//! Each is done once: it is forgotten when its wake was taken on, and the file says so. Between the two lies a moment in
//! which a crash has it done again after the restart; as all apps are stopped by a crash, that is what was asked for.
//! One whose time passed while Reveille was down is done at the start.
//!
//! The wall clock decides, since people name times by it. As it may be set, and stands still for no suspended machine,
//! it is looked at every second while anything is to come.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reveille_core::{api::Schedule, app::AppId, cost::Savings};
use tokio::sync::Notify;

use super::{
    Local,
    state::{self, Kept},
};
use crate::{
    metrics::Metrics,
    traits::{Apps, Refusal},
};

/// How often the wall clock is looked at while a wake is to come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is written what apps have saved.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Schedules {
    file: Option<PathBuf>,
    /// The wall clock, which tests choose.
    wall: fn() -> Timestamp,
    /// A plain lock, held to look something up or to take over what was written.
    kept: Mutex<BTreeMap<AppId, Schedule>>,
    /// Where it is known what apps have saved, which stands in the same file.
    metrics: Arc<Metrics>,
    /// What the file says of that.
    saved: Mutex<BTreeMap<AppId, Savings>>,
    /// Which apps requests do not wake, as the file has it.
    asleep_by_hand: Mutex<BTreeSet<AppId>>,
    /// Apps of which it is being decided whether they sleep until a time: theirs is not done before that. A plain lock, held
    /// to look one up.
    deciding: Mutex<HashSet<AppId>>,
    /// Held while the file is written, so that two writes do not pass each other.
    writing: tokio::sync::Mutex<()>,
    set: Notify,
}

/// See [`Schedules::decide`].
pub(super) struct Deciding<'a> {
    schedules: &'a Schedules,
    app: AppId,
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.schedules.deciding().remove(&self.app);
    }
}

impl Schedules {
    /// Those of the file. Without a file nothing can be scheduled.
    pub(super) fn load(file: Option<PathBuf>, wall: fn() -> Timestamp, metrics: Arc<Metrics>) -> Self {
        let Kept { schedules, savings, asleep_by_hand } =
            file.as_deref().map(state::read).unwrap_or_default();
        metrics.restore(savings.clone());
        for (app, schedule) in &schedules {
            tracing::info!(app = %app, at = %schedule.at, reason = schedule.reason, "a wake is scheduled");
        }
        Self {
            file,
            wall,
            kept: Mutex::new(schedules),
            metrics,
            saved: Mutex::new(savings),
            asleep_by_hand: Mutex::new(asleep_by_hand),
            deciding: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            set: Notify::new(),
        }
    }

    /// Whoever sets the app's for a sleep that may be refused has it for themselves until what is returned is dropped. None
    /// if somebody has it already.
    pub(super) fn decide(&self, app: &AppId) -> Option<Deciding<'_>> {
        let is_new = self.deciding().insert(app.clone());
        is_new.then(|| Deciding { schedules: self, app: app.clone() })
    }

    fn deciding(&self) -> MutexGuard<'_, HashSet<AppId>> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is known what apps have saved.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// The app's.
    pub(super) fn get(&self, app: &AppId) -> Option<Schedule> {
        self.lock().get(app).cloned()
    }

    /// Sets the app's, or takes it out; returns the one before once the file says so.
    ///
    /// # Errors
    /// If the file cannot be written. A wake that was to be set is not set; one that was to be taken out is, until a
    /// restart.
    pub(super) async fn set(
        &self,
        app: &AppId,
        schedule: Option<Schedule>,
    ) -> Result<Option<Schedule>, String> {
        let _writing = self.writing.lock().await;
        let mut kept = self.lock().clone();
        let before = match &schedule {
            Some(schedule) => kept.insert(app.clone(), schedule.clone()),
            None => kept.remove(app),
        };
        if before == schedule {
            return Ok(before);
        }
        let written = match self.file.clone() {
            Some(file) => self.write(file, kept.clone()).await,
            None => Err("there is no place for a state file; start Reveille with --state FILE".to_owned()),
        };
        if written.is_ok() || schedule.is_none() {
            *self.lock() = kept;
            self.set.notify_one();
        }
        written.map(|()| before)
    }

    /// Which apps requests do not wake.
    pub(super) fn asleep_by_hand(&self) -> BTreeSet<AppId> {
        self.asleep_by_hand.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps that requests wake the app or do not. Without a file there is nothing to keep.
    pub(super) async fn keep_wake_on_request(&self, app: &AppId, wakes: bool) {
        let _writing = self.writing.lock().await;
        let is_news = {
            let mut all = self.asleep_by_hand.lock().unwrap_or_else(PoisonError::into_inner);
            if wakes { all.remove(app) } else { all.insert(app.clone()) }
        };
        let Some(file) = self.file.clone().filter(|_| is_news) else { return };
        let schedules = self.lock().clone();
        if let Err(error) = self.write(file, schedules).await {
            tracing::error!(app = %app, wake_on_request = wakes, "that is not kept, and after a restart it is as before: {error}");
        }
    }

    async fn write(&self, file: PathBuf, schedules: BTreeMap<AppId, Schedule>) -> Result<(), String> {
        let savings = self.metrics.all_savings();
        let kept = Kept { schedules, savings: savings.clone(), asleep_by_hand: self.asleep_by_hand() };
        let shown = file.display().to_string();
        // Writing waits for the disk, and this thread has apps to wake.
        let written = tokio::task::spawn_blocking(move || state::write(&file, &kept)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|error| format!("the state file {shown} cannot be written: {error}"))?;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = savings;
        Ok(())
    }

    /// Writes what apps have saved, if the file says something else.
    pub(super) async fn keep_savings(&self) {
        let Some(file) = self.file.clone() else { return };
        let _writing = self.writing.lock().await;
        if *self.saved.lock().unwrap_or_else(PoisonError::into_inner) == self.metrics.all_savings() {
            return;
        }
        let schedules = self.lock().clone();
        if let Err(error) = self.write(file, schedules).await {
            tracing::warn!("what apps have saved is not kept: {error}");
        }
    }

    /// Those whose time has come.
    fn due(&self) -> Vec<(AppId, Schedule)> {
        let now = (self.wall)();
        let deciding = self.deciding();
        let due = |(app, schedule): (&AppId, &Schedule)| {
            (schedule.at <= now && !deciding.contains(app)).then(|| (app.clone(), schedule.clone()))
        };
        self.lock().iter().filter_map(due).collect()
    }

    /// Returns when it is time to look whether any is due.
    async fn next(&self) {
        if self.lock().is_empty() {
            self.set.notified().await;
        } else {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppId, Schedule>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what apps have saved, until the runtime ends: after a crash at most so much is not known.
pub(super) async fn keep_savings(local: Arc<Local>) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        local.schedules.keep_savings().await;
    }
}

/// Wakes apps when it is time, until the runtime ends.
pub(super) async fn run(local: Arc<Local>) {
    // Those that were refused and are tried again, so that this is said once.
    let mut refused = Vec::new();
    loop {
        // Before it serves, nobody could reach the app; while it stops, the next start is to wake it.
        if local.is_ready() {
            for (app, schedule) in local.schedules.due() {
                wake(&local, &app, &schedule, &mut refused).await;
            }
        }
        local.schedules.next().await;
    }
}

async fn wake(local: &Local, app: &AppId, schedule: &Schedule, refused: &mut Vec<AppId>) {
    let late = (local.schedules.wall)().duration_since(schedule.at);
    match local.wake_by_hand(app, format!("schedule: {}", schedule.reason), None).await {
        Ok(()) => {
            tracing::info!(app = %app, at = %schedule.at, reason = schedule.reason, late_s = late.as_secs(), "woken as scheduled");
        }
        Err(Refusal::UnknownApp(_)) => {
            tracing::warn!(app = %app, at = %schedule.at, reason = schedule.reason, "there is no such app any more, its scheduled wake is dropped");
        }
        // It is tried again until its wakes are no longer blocked, or Reveille has stopped.
        Err(refusal) => {
            if !refused.contains(app) {
                refused.push(app.clone());
                tracing::warn!(app = %app, at = %schedule.at, "its scheduled wake has to wait: {refusal}");
            }
            return;
        }
    }
    refused.retain(|other| other != app);
    // A call that came meanwhile may have set another one.
    if local.schedules.get(app).as_ref() == Some(schedule) {
        local.call_off(app).await;
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
pub(super) mod tests;
