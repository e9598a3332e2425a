//! What is watched, and which apps a change concerns.
//!
//! Targets are watched by their metadata alone; those of other kinds are polled. A watch that starts anew may have missed
//! that something went, so all apps are looked at then.

use std::{fmt::Debug, hash::Hash, sync::Arc};

use futures_util::StreamExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::Service,
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use reveille_core::{
    app::AppId,
    resource::{ScaledApp, TargetSpec, names},
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::{objects, observe::group_of};

/// A `ScaledApp` as it is watched: one that cannot be read hides no other.
pub(crate) type Guarded = DeserializeGuard<ScaledApp>;

/// Copies of what is watched, a moment old.
pub(crate) struct Stores {
    apps: Store<Guarded>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    autoscalers: Store<HorizontalPodAutoscaler>,
    deployments: Store<PartialObjectMeta<Deployment>>,
    stateful_sets: Store<PartialObjectMeta<StatefulSet>>,
}

/// Which apps have to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Concerns {
    /// This one.
    App(AppId),
    /// Those with this Service.
    Service(AppId),
    /// Those with a target of this kind and name.
    Target(&'static str, AppId),
    /// Those of a namespace.
    Namespace(String),
    /// All.
    All,
}

impl Concerns {
    /// Whether an app is among them.
    pub(crate) fn has(&self, app: &ScaledApp) -> bool {
        let id = objects::id(&app.metadata);
        match self {
            Self::App(one) => *one == id,
            Self::Service(service) => service.namespace == id.namespace && *service.name == *app.spec.service,
            Self::Target(kind, target) => {
                target.namespace == id.namespace
                    && app.spec.target.kind == *kind
                    && app.spec.target.name == *target.name
            }
            Self::Namespace(namespace) => *namespace == *id.namespace,
            Self::All => true,
        }
    }
}

/// Which kinds of targets are watched.
pub(crate) fn is_watched(target: &TargetSpec) -> bool {
    group_of(&target.api_version) == "apps" && matches!(target.kind.as_str(), "Deployment" | "StatefulSet")
}

/// Begins to watch. Each task runs until it is dropped; `tell` hears of each change.
pub(crate) fn start(
    client: &Client,
    namespace: Option<&str>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Clone + Send + 'static,
) -> Stores {
    let ours = watcher::Config::default().labels(names::APP_LABEL);
    let any = watcher::Config::default;
    let named = |object: &kube::api::ObjectMeta| objects::id(object);
    Stores {
        apps: watch(api(client, namespace), any(), tasks, tell.clone(), |app: &Guarded| {
            Concerns::App(objects::id(app.meta()))
        }),
        services: watch(api(client, namespace), any(), tasks, tell.clone(), move |service: &Service| {
            // The private one names its app.
            match of_label(&service.metadata) {
                Some(app) => Concerns::App(app),
                None => Concerns::Service(named(&service.metadata)),
            }
        }),
        slices: watch(api(client, namespace), ours, tasks, tell.clone(), |slice: &EndpointSlice| {
            of_label(&slice.metadata).map_or(Concerns::All, Concerns::App)
        }),
        autoscalers: watch(
            api(client, namespace),
            any(),
            tasks,
            tell.clone(),
            |autoscaler: &HorizontalPodAutoscaler| {
                Concerns::Namespace(autoscaler.metadata.namespace.clone().unwrap_or_default())
            },
        ),
        deployments: watch_metadata(api(client, namespace), tasks, tell.clone(), "Deployment"),
        stateful_sets: watch_metadata(api(client, namespace), tasks, tell, "StatefulSet"),
    }
}

/// All of a kind, or those of a namespace.
pub(crate) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn of_label(object: &kube::api::ObjectMeta) -> Option<AppId> {
    let app = object.labels.as_ref()?.get(names::APP_LABEL)?;
    Some(AppId::new(object.namespace.as_deref().unwrap_or_default(), app))
}

fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    concerns: impl Fn(&K) -> Concerns + Send + 'static,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher::watcher(api, config).default_backoff().modify(|object| {
        // Who wrote what is of no interest, and most of an object.
        object.managed_fields_mut().clear();
    });
    follow(stream.boxed(), tasks, tell, concerns)
}

fn watch_metadata<K>(
    api: Api<PartialObjectMeta<K>>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    kind: &'static str,
) -> Store<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher::watcher(api, watcher::Config::default()).default_backoff();
    follow(stream.boxed(), tasks, tell, move |object| Concerns::Target(kind, objects::id(&object.metadata)))
}

type Stream<K> = futures_util::stream::BoxStream<'static, watcher::Result<Event<K>>>;

fn follow<K>(
    mut stream: Stream<K>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    concerns: impl Fn(&K) -> Concerns + Send + 'static,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    let mut writer = Writer::default();
    let store = writer.as_reader();
    tasks.spawn(async move {
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    writer.apply_watcher_event(&event);
                    match &event {
                        Event::Apply(object) | Event::Delete(object) => tell(concerns(object)),
                        Event::InitDone => tell(Concerns::All),
                        Event::Init | Event::InitApply(_) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "a watch failed; it begins anew");
                }
            }
        }
    });
    store
}

impl Stores {
    /// Waits until all of them are whole.
    pub(crate) async fn whole(&self) {
        // Only a watch that has ended fails, and with it ends everything.
        let _ = self.apps.wait_until_ready().await;
        let _ = self.services.wait_until_ready().await;
        let _ = self.slices.wait_until_ready().await;
        let _ = self.autoscalers.wait_until_ready().await;
        let _ = self.deployments.wait_until_ready().await;
        let _ = self.stateful_sets.wait_until_ready().await;
    }

    /// Every app.
    pub(crate) fn app_states(&self) -> Vec<Arc<Guarded>> {
        self.apps.state()
    }

    /// The unique id of every app, be it one that cannot be read.
    pub(crate) fn uids(&self) -> Vec<String> {
        self.apps.state().iter().filter_map(|app| app.meta().uid.clone()).collect()
    }

    /// The names of all apps, and those of the ones that a change concerns.
    pub(crate) fn concerned(&self, concerns: &Concerns) -> Vec<AppId> {
        let is_among = |app: &Arc<Guarded>| match &app.0 {
            Ok(readable) => concerns.has(readable),
            Err(unreadable) => match concerns {
                Concerns::App(one) => *one == objects::id(&unreadable.metadata),
                _ => false,
            },
        };
        let state = self.apps.state();
        state.iter().filter(|app| is_among(app)).map(|app| objects::id(app.meta())).collect()
    }

    /// An app as it was watched.
    pub(crate) fn app(&self, id: &AppId) -> Option<Arc<Guarded>> {
        self.apps.get(&key(id))
    }

    /// A Service.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(&ObjectRef::new(name).within(namespace))
    }

    /// The slices of a namespace that name one of its apps.
    pub(crate) fn slices(&self, app: &AppId) -> Vec<Arc<EndpointSlice>> {
        self.slices.state_filter(|slice| of_label(&slice.metadata).as_ref() == Some(app))
    }

    /// The autoscalers of a namespace.
    pub(crate) fn autoscalers(&self, namespace: &str) -> Vec<Arc<HorizontalPodAutoscaler>> {
        self.autoscalers.state_filter(|one| one.metadata.namespace.as_deref() == Some(namespace))
    }

    /// The metadata of a target whose kind is watched.
    pub(crate) fn target(&self, namespace: &str, target: &TargetSpec) -> Option<kube::api::ObjectMeta> {
        match target.kind.as_str() {
            _ if !is_watched(target) => None,
            "Deployment" => {
                let found = self.deployments.get(&ObjectRef::new(&target.name).within(namespace))?;
                Some(found.metadata.clone())
            }
            _ => {
                let found = self.stateful_sets.get(&ObjectRef::new(&target.name).within(namespace))?;
                Some(found.metadata.clone())
            }
        }
    }
}

fn key<K: Resource<DynamicType = ()>>(id: &AppId) -> ObjectRef<K> {
    ObjectRef::new(&id.name).within(&id.namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_concern_the_apps_that_depend_on_them() {
        let app: ScaledApp = serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": "web", "namespace": "team"},
            "spec": {"target": {"name": "web-d"}, "service": "web-s"},
        }))
        .unwrap();
        let id = |name| AppId::new("team", name);
        for (concerns, among) in [
            (Concerns::App(id("web")), true),
            (Concerns::App(AppId::new("other", "web")), false),
            (Concerns::Service(id("web-s")), true),
            (Concerns::Service(id("web")), false),
            (Concerns::Target("Deployment", id("web-d")), true),
            (Concerns::Target("StatefulSet", id("web-d")), false),
            (Concerns::Namespace("team".into()), true),
            (Concerns::All, true),
        ] {
            assert_eq!(concerns.has(&app), among, "{concerns:?}");
        }
    }
}
