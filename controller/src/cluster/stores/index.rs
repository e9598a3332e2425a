//! What is watched, found by what it belongs to: with ten thousand apps nothing may go through all of them for one.
//!
//! It follows the same events as the store beside it. A list that begins anew replaces everything at its end, as in the
//! store.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use kube::{ResourceExt, runtime::watcher::Event};
use reveille_core::app::AppId;

use crate::cluster::objects;

/// The names of objects by their keys. Each object has some.
#[derive(Debug)]
pub(super) struct Index<Key> {
    present: RwLock<Names<Key>>,
}

#[derive(Debug)]
struct Names<Key> {
    of_key: HashMap<Key, BTreeSet<AppId>>,
    keys: HashMap<AppId, Vec<Key>>,
    /// What a list that is under way has brought.
    coming: Option<Vec<(AppId, Vec<Key>)>>,
}

impl<Key: Clone + Eq + Hash> Index<Key> {
    pub(super) fn new() -> Self {
        let names = Names { of_key: HashMap::new(), keys: HashMap::new(), coming: None };
        Self { present: RwLock::new(names) }
    }

    /// Takes in an event of the watch. To be called after the store has: what is found here is there.
    pub(super) fn take_in<K: ResourceExt>(&self, event: &Event<K>, keys: impl Fn(&K) -> Vec<Key>) {
        let mut names = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let named = |object: &K| objects::id(object.meta());
        match event {
            Event::Apply(object) => names.put(named(object), keys(object)),
            Event::Delete(object) => names.remove(&named(object)),
            Event::Init => names.coming = Some(Vec::new()),
            Event::InitApply(object) => {
                names.coming.get_or_insert_default().push((named(object), keys(object)));
            }
            Event::InitDone => {
                let coming = names.coming.take().unwrap_or_default();
                names.of_key.clear();
                names.keys.clear();
                for (name, keys) in coming {
                    names.put(name, keys);
                }
            }
        }
    }

    /// The names of all objects with that key, in order.
    pub(super) fn of(&self, key: &Key) -> Vec<AppId> {
        self.read().of_key.get(key).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Names<Key>> {
        self.present.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Key: Clone + Eq + Hash> Names<Key> {
    fn put(&mut self, name: AppId, keys: Vec<Key>) {
        if self.keys.get(&name) == Some(&keys) {
            return;
        }
        self.remove(&name);
        for key in &keys {
            self.of_key.entry(key.clone()).or_default().insert(name.clone());
        }
        self.keys.insert(name, keys);
    }

    fn remove(&mut self, name: &AppId) {
        for key in self.keys.remove(name).unwrap_or_default() {
            if let Some(names) = self.of_key.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    self.of_key.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    fn service(name: &str, colour: &str) -> Service {
        let object = json!({"metadata": {"name": name, "namespace": "team", "labels": {"colour": colour}}});
        serde_json::from_value(object).unwrap()
    }

    fn colours(service: &Service) -> Vec<String> {
        service.labels().values().cloned().collect()
    }

    fn names(index: &Index<String>, colour: &str) -> Vec<String> {
        index.of(&colour.to_owned()).iter().map(|id| id.name.to_string()).collect()
    }

    #[test]
    fn an_object_is_found_by_its_present_keys() {
        let index = Index::new();
        for event in [Event::Apply(service("a", "red")), Event::Apply(service("b", "red"))] {
            index.take_in(&event, colours);
        }
        assert_eq!(names(&index, "red"), ["a", "b"]);
        index.take_in(&Event::Apply(service("a", "blue")), colours);
        assert_eq!((names(&index, "red"), names(&index, "blue")), (vec!["b".into()], vec!["a".into()]));
        index.take_in(&Event::Delete(service("b", "red")), colours);
        assert!(names(&index, "red").is_empty());
        assert_eq!(index.read().of_key.len(), 1, "keys of nobody are not kept");
    }

    #[test]
    fn a_new_list_replaces_everything_at_its_end() {
        let index = Index::new();
        index.take_in(&Event::Apply(service("gone", "red")), colours);
        index.take_in(&Event::Init, colours);
        index.take_in(&Event::InitApply(service("new", "red")), colours);
        assert_eq!(names(&index, "red"), ["gone"], "not before its end");
        index.take_in(&Event::<Service>::InitDone, colours);
        assert_eq!(names(&index, "red"), ["new"]);
    }
}
