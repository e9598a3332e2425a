//! What the control port and the errands ask and tell of one app.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use reveille_core::{
    activity::Activity,
    app::AppId,
    control::{AttemptOutcome, Busy, Open},
    directory::WakeState,
    resource::TargetSpec,
};

use super::{Apps, Bell, Record};
use crate::{
    app::{App, LeaseEnd},
    cluster::{
        api::{ApiError, Cluster},
        slices::SliceList,
        stance::{Need, Next, Refused, Scale, Ticket},
    },
};

/// A shut came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShutError {
    #[error("this activator does not know the app {0} (yet)")]
    Unknown(AppId),
    #[error("the attempt {asked} to put {app} to sleep is over; the newest that is known is {seen}")]
    Old { app: AppId, asked: u64, seen: u64 },
    #[error("the slices of {0} cannot be listed, and no gate is shut without: {1}")]
    Unavailable(AppId, ApiError),
}

impl Apps {
    /// What it counted of an app.
    pub(crate) fn activity(&self, id: &AppId) -> Option<Activity> {
        Some(self.data_plane_app(id)?.activity())
    }

    /// What is under way, of every app that has any.
    pub(crate) fn busy(&self) -> Vec<Busy> {
        let ids: Vec<_> = self.table().records.keys().cloned().collect();
        let busy = |app: AppId| {
            let Activity { in_flight, held, .. } = self.activity(&app)?;
            (in_flight > 0).then_some(Busy { app, in_flight, held })
        };
        ids.into_iter().filter_map(busy).collect()
    }

    /// The controller asks for a shut: list the slices, write the gate, read the counts.
    pub(crate) async fn shut(
        &self,
        cluster: &dyn Cluster,
        id: &AppId,
        epoch: u64,
        lease: Duration,
    ) -> Result<Activity, ShutError> {
        let unknown = || ShutError::Unknown(id.clone());
        let old = |Refused { seen }| ShutError::Old { app: id.clone(), asked: epoch, seen };
        let renews = {
            let table = self.table();
            let record =
                table.records.get(id).filter(|record| record.object.is_some()).ok_or_else(unknown)?;
            record.stance.check(epoch).map_err(old)?;
            record.stance.renews(epoch)
        };
        let list = if renews {
            None
        } else {
            let listed = cluster.slices(id).await;
            Some(listed.map_err(|error| ShutError::Unavailable(id.clone(), error))?)
        };
        let mut table = self.table();
        let record =
            table.records.get_mut(id).filter(|record| record.object.is_some()).ok_or_else(unknown)?;
        let app = self.data_plane_app(id).ok_or_else(unknown)?;
        record.stance.shut(Instant::now(), epoch, lease, list).map_err(old)?;
        record.anew = false;
        let activity = app.shut(epoch, LeaseEnd::WhenTold);
        self.touch(&mut table, id);
        drop(table);
        self.ring(id);
        activity.ok_or_else(|| old(Refused { seen: epoch }))
    }

    /// The controller says how an attempt ended.
    pub(crate) fn told(&self, id: &AppId, Open { epoch, outcome }: &Open) -> Option<()> {
        self.with(id, |record| {
            record.object.as_ref()?;
            record.stance.told(Instant::now(), *epoch, *outcome);
            if *outcome == AttemptOutcome::Asleep {
                tracing::debug!(app = %id, epoch, "it sleeps");
            }
            Some(())
        })??;
        self.ring(id);
        Some(())
    }

    /// What the errands of an app have to do now.
    pub(crate) fn need(&self, id: &AppId, bell: &Bell, now: Instant) -> Need {
        let app = self.data_plane_app(id);
        let mut table = self.table();
        let Some(record) = table.records.get_mut(id) else { return Need::Nothing(None) };
        if record.object.is_none() {
            return Need::Nothing(None);
        }
        let wake = record.is_wanted(app.as_deref(), bell, now);
        record.stance.need(now, wake)
    }

    /// When the lease of its shut ends, if one stands.
    pub(crate) fn lease_until(&self, id: &AppId) -> Option<Instant> {
        self.table().records.get(id)?.stance.lease_until()
    }

    /// Whether somebody waits for the app whom a wake would help.
    pub(crate) fn is_wanted(&self, id: &AppId, bell: &Bell, now: Instant) -> bool {
        let app = self.data_plane_app(id);
        self.table().records.get(id).is_some_and(|record| record.is_wanted(app.as_deref(), bell, now))
    }

    /// What wakes the app, and with how many replicas.
    pub(crate) fn target(&self, id: &AppId) -> Option<(TargetSpec, u32)> {
        let table = self.table();
        let object = table.records.get(id)?.object.as_ref()?;
        Some((object.app.target.clone(), object.replicas()))
    }

    /// The count was read.
    pub(crate) fn scale_read(&self, id: &AppId, ticket: Ticket, scale: Scale) -> Next {
        let read = self.with(id, |record| {
            record.failed = None;
            record.stance.scale_read(ticket, scale)
        });
        read.unwrap_or(Next::TooLate)
    }

    /// The slices were listed.
    pub(crate) fn listed(&self, id: &AppId, ticket: Ticket, list: SliceList) -> Next {
        self.with(id, |record| record.stance.slices_listed(ticket, list)).unwrap_or(Next::TooLate)
    }

    /// This activator cannot wake the app, for now: whoever waits is told.
    pub(crate) fn cannot_wake(&self, id: &AppId, why: WakeState) {
        self.with(id, |record| record.failed = Some(why));
    }
}

impl Record {
    fn is_wanted(&self, app: Option<&App>, bell: &Bell, now: Instant) -> bool {
        let pauses = matches!(&self.failed, Some(WakeState::Failed { retry_at, .. }) if now < *retry_at);
        let may = !pauses && self.object.as_ref().is_some_and(|object| object.may_wake(now));
        let is_open = app.is_some_and(|app| app.gate.word().is_open());
        let waits = app.is_some_and(|app| app.waiting() > 0) || bell.asked.load(Ordering::Acquire);
        may && waits && !is_open
    }
}
