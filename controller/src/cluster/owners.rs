//! Whose pods are whose. A selector may match more than the target's own pods: one that was made by hand, or by a Job with the
//! same labels. Such a pod is no replica of the app; whoever goes by the selector alone would send it requests, and would take
//! the app for one that has not stopped yet.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{Api, Client, api::ObjectMeta};
use reveille_core::resource::TargetSpec;

use super::{observe::group_of, pods::PodView};

/// How long it is remembered what a ReplicaSet belongs to: it can be orphaned and adopted.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// What controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    group: String,
    kind: String,
    name: String,
    uid: String,
}

/// Whose an object says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Nobody's.
    Nowhere,
    /// Somebody's who does not control it.
    Loosely,
    /// Its controller's.
    To(Owner),
}

impl Owner {
    fn is(&self, target: &TargetSpec) -> bool {
        self.kind == target.kind && self.name == target.name && self.group == group_of(&target.api_version)
    }

    fn is_set(&self) -> bool {
        self.group == "apps" && self.kind == "ReplicaSet"
    }
}

/// Reads it from an object's references.
pub(crate) fn belongs(object: &ObjectMeta) -> Belongs {
    let owners = object.owner_references.as_deref().unwrap_or_default();
    match owners.iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => Belongs::To(Owner {
            group: group_of(&owner.api_version).to_owned(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }),
        None if owners.is_empty() => Belongs::Nowhere,
        None => Belongs::Loosely,
    }
}

/// What the ReplicaSets of an app's pods belong to, by their unique ids. None: that cannot be read.
#[derive(Default)]
pub(crate) struct Sets(BTreeMap<String, (Instant, Option<Belongs>)>);

impl Sets {
    /// Reads those that these pods belong to and that are not known. One that cannot be read is not asked for again at once.
    ///
    /// # Errors
    /// The API server's.
    pub(crate) async fn read(
        &mut self,
        client: &Client,
        namespace: &str,
        target: &TargetSpec,
        pods: &[PodView],
    ) -> Result<(), kube::Error> {
        let now = crate::clock::now();
        self.0.retain(|_, (at, _)| now.saturating_duration_since(*at) < KNOWN_FOR);
        let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
        for pod in pods {
            let Belongs::To(owner) = &pod.belongs else { continue };
            if !owner.is_set() || owner.is(target) || self.0.contains_key(&owner.uid) {
                continue;
            }
            let read = match api.get_metadata_opt(&owner.name).await {
                Ok(Some(set)) if set.metadata.uid.as_ref() == Some(&owner.uid) => {
                    Some(belongs(&set.metadata))
                }
                Ok(_) => None,
                Err(kube::Error::Api(status)) if status.is_forbidden() => None,
                Err(error) => return Err(error),
            };
            self.0.insert(owner.uid.clone(), (now, read));
        }
        Ok(())
    }
}

/// A pod that only looks like the target's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) uid: String,
    /// Which, and whose it is.
    pub(crate) says: String,
}

/// The target's own pods, and those that are not and have not ended.
pub(crate) fn split(target: &TargetSpec, pods: Vec<PodView>, sets: &Sets) -> (Vec<PodView>, Vec<Foreign>) {
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for pod in pods {
        match whose(target, &pod.belongs, sets) {
            None => own.push(pod),
            Some(_) if pod.ending => {}
            Some(whose) => {
                let says = format!("the pod {}, which belongs to {whose}", pod.name);
                foreign.push(Foreign { uid: pod.uid, says });
            }
        }
    }
    (own, foreign)
}

/// Whose it is, if it is known not to be the target's.
///
/// Kinds of Kubernetes itself control their pods: a Deployment by ReplicaSets, the others directly. How a custom kind does
/// it is not known: only pods of nobody, and of a ReplicaSet whose owner is known, can be told to be others'. To take a
/// replica for a foreign pod would keep the app from ever being called awake, which is worse.
fn whose(target: &TargetSpec, pod: &Belongs, sets: &Sets) -> Option<String> {
    let named = |owner: &Owner| format!("the {} {}", owner.kind, owner.name);
    let is_known_kind = group_of(&target.api_version) == "apps";
    match pod {
        Belongs::Nowhere => Some("no workload".to_owned()),
        Belongs::Loosely => is_known_kind.then(|| "no workload".to_owned()),
        Belongs::To(owner) if owner.is(target) => None,
        Belongs::To(owner) if owner.is_set() => {
            match sets.0.get(&owner.uid).and_then(|(_, belongs)| belongs.as_ref()) {
                Some(Belongs::To(above)) if above.is(target) => None,
                // A kind above that one may be the target.
                Some(Belongs::To(above)) if !is_known_kind && above.group != "apps" => None,
                Some(Belongs::To(above)) => Some(named(above)),
                Some(Belongs::Nowhere | Belongs::Loosely) => Some(named(owner)),
                // Gone, or not to be read.
                None => None,
            }
        }
        Belongs::To(owner) => is_known_kind.then(|| named(owner)),
    }
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
