//! What the watches say, and what becomes of it.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use reveille_core::{app::AppId, resource::ScaledApp};

use super::{Apps, Bell, Table};
use crate::{
    app::LeaseEnd,
    cluster::{
        object::{Now, Object, stands},
        slices::{Slice, Version},
    },
};

impl Apps {
    /// The watch says how an app is.
    pub(crate) fn heard(&self, id: &AppId, object: &ScaledApp, now: Now) {
        let mut table = self.table();
        table.is_named(id);
        let Table { records, hosts, .. } = &mut *table;
        let record = records.entry(id.clone()).or_default();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let known = record.uid.replace(uid.clone());
        if known.as_ref().is_some_and(|known| *known != uid) {
            record.begin_anew();
        }
        let mut touched = Default::default();
        match Object::read(object, self.bind, now, record.object.as_ref()) {
            Ok(new) => {
                let before = record.object.as_ref().map(|old| (&old.age, &*old.app.hosts));
                touched = hosts.change(id, before, Some((&new.age, &*new.app.hosts)));
                record.complaint = None;
                record.stance.slices_mut().leave_out(&new.foreign);
                record.object = Some(new);
            }
            Err(reason) => record.complain(id, reason),
        }
        let (phase, epoch) = stands(object);
        if let Some(epoch) = record.stance.heard(now.here, phase, epoch) {
            tracing::debug!(app = %id, epoch, "it falls asleep: shut");
            record.anew = false;
            if let Some(app) = self.data_plane_app(id) {
                app.shut(epoch, LeaseEnd::WhenTold);
            }
        }
        for other in touched {
            self.touch(&mut table, &other);
        }
        self.touch(&mut table, id);
        drop(table);
        self.welcome(id);
        self.ring(id);
    }

    /// The watch brought an app that cannot be read: what was last known of it holds.
    pub(crate) fn heard_unreadable(&self, id: &AppId, reason: String) {
        let mut table = self.table();
        table.is_named(id);
        table.records.entry(id.clone()).or_default().complain(id, reason);
    }

    fn welcome(&self, id: &AppId) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if !bells.contains_key(id) {
            let bell = Arc::<Bell>::default();
            bells.insert(id.clone(), bell.clone());
            // Nobody listens only while the process ends.
            let _ = self.newcomers.send((id.clone(), bell));
        }
    }

    /// The watch says that an app is gone.
    pub(crate) fn heard_gone(&self, id: &AppId) {
        let mut table = self.table();
        let Table { records, hosts, .. } = &mut *table;
        let Some(record) = records.get_mut(id) else { return };
        record.uid = None;
        record.complaint = None;
        record.failed = None;
        record.begin_anew();
        if let Some(old) = record.object.take() {
            for other in hosts.change(id, Some((&old.age, &*old.app.hosts)), None) {
                self.touch(&mut table, &other);
            }
        }
        self.touch(&mut table, id);
        drop(table);
        if let Some(bell) = self.bells.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            bell.gone.store(true, Ordering::Release);
            bell.ring.notify_one();
        }
    }

    /// The watch of the apps of a namespace, or of all, begins anew.
    pub(crate) fn apps_relist_begins(&self, namespace: Option<&str>) {
        self.table().relisted_apps.insert(scope(namespace), HashSet::new());
    }

    /// It has named them all: others are gone.
    pub(crate) fn apps_relist_ends(&self, namespace: Option<&str>) {
        let gone: Vec<_> = {
            let mut table = self.table();
            let Some(named) = table.relisted_apps.remove(&scope(namespace)) else { return };
            let known = table.records.iter().filter(|(_, record)| record.uid.is_some());
            let ids = known.map(|(id, _)| id).filter(|id| is_within(id, namespace));
            ids.filter(|id| !named.contains(id)).cloned().collect()
        };
        for id in gone {
            self.heard_gone(&id);
        }
    }

    /// The watch says how a slice is.
    pub(crate) fn heard_slice(&self, id: &AppId, name: &str, slice: Slice) {
        let mut table = self.table();
        let news = table.records.entry(id.clone()).or_default().stance.slices_mut().heard(name, slice);
        self.slices_changed(table, id, news);
    }

    /// The watch says that a slice is gone.
    pub(crate) fn heard_slice_gone(&self, id: &AppId, name: &str, version: Version) {
        let mut table = self.table();
        let Some(record) = table.records.get_mut(id) else { return };
        let news = record.stance.slices_mut().heard_gone(name, version);
        self.slices_changed(table, id, news);
    }

    fn slices_changed(&self, mut table: MutexGuard<'_, Table>, id: &AppId, news: bool) {
        if news {
            self.touch(&mut table, id);
            drop(table);
            self.ring(id);
        }
    }

    /// The watch of the slices of a namespace, or of all, begins anew.
    pub(crate) fn slices_relist_begins(&self, namespace: Option<&str>) {
        let mut table = self.table();
        for (_, record) in table.records.iter_mut().filter(|(id, _)| is_within(id, namespace)) {
            record.stance.slices_mut().relist_begins();
        }
    }

    /// It has named them all: others are gone.
    pub(crate) fn slices_relist_ends(&self, namespace: Option<&str>) {
        let mut touched = Vec::new();
        let mut table = self.table();
        for (id, record) in table.records.iter_mut().filter(|(id, _)| is_within(id, namespace)) {
            match record.stance.slices_mut().relist_ends() {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => record.stance.is_unsure(),
            }
            touched.push(id.clone());
        }
        for id in &touched {
            self.touch(&mut table, id);
        }
        drop(table);
        for id in &touched {
            self.ring(id);
        }
    }
}

fn scope(namespace: Option<&str>) -> String {
    namespace.unwrap_or_default().to_owned()
}

fn is_within(id: &AppId, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| namespace == &*id.namespace)
}
