//! What is watched, and which apps a change concerns.
//!
//! Targets are watched by their metadata alone; those of other kinds are polled. A watch that starts anew may have missed
//! that something went, so all apps are looked at then.

mod index;
mod watch;

use std::{hash::Hash, sync::Arc};

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
        reflector::{ObjectRef, Store},
        watcher::{self, Event},
    },
};
use reveille_core::{
    app::AppId,
    resource::{ScaledApp, TargetSpec, names},
};
use tokio::task::JoinSet;

use self::{
    index::Index,
    watch::{watch, watch_metadata},
};
use super::{deployments, objects, observe::group_of};

/// A `ScaledApp` as it is watched: one that cannot be read hides no other.
pub(crate) type Guarded = DeserializeGuard<ScaledApp>;

/// Copies of what is watched, a moment old: one for all namespaces, or one for each of those that are looked after.
pub(crate) struct Stores(Vec<Scope>);

struct Scope {
    /// The namespace. None: all.
    namespace: Option<String>,
    apps: Store<Guarded>,
    by_claim: Arc<Index<Claim>>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    slices_by_app: Arc<Index<AppId>>,
    autoscalers: Store<HorizontalPodAutoscaler>,
    autoscalers_by_namespace: Arc<Index<String>>,
    deployments: Store<PartialObjectMeta<Deployment>>,
    /// Those with a scale-up that is to come.
    scheduled: Arc<Index<()>>,
    stateful_sets: Store<PartialObjectMeta<StatefulSet>>,
}

/// What an app lays claim to: two apps with the same one may be in each other's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Claim {
    /// Being in this namespace.
    Namespace(String),
    /// A target's kind and name. Versions and groups are compared by who looks closer.
    Target(String, AppId),
    Service(AppId),
    /// In lower case.
    Host(String),
}

/// One that cannot be read has only its place.
fn claims(app: &Guarded) -> Vec<Claim> {
    let id = objects::id(app.meta());
    let mut claims = vec![Claim::Namespace(id.namespace.to_string())];
    if let Ok(app) = &app.0 {
        let near = |name: &str| AppId::new(&id.namespace, name);
        claims.push(Claim::Target(app.spec.target.kind.clone(), near(&app.spec.target.name)));
        claims.push(Claim::Service(near(&app.spec.service)));
        claims.extend(app.spec.traffic.hosts.iter().map(|host| Claim::Host(host.to_ascii_lowercase())));
    }
    claims
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

/// Which kinds of targets are watched.
pub(crate) fn is_watched(target: &TargetSpec) -> bool {
    group_of(&target.api_version) == "apps" && matches!(target.kind.as_str(), "Deployment" | "StatefulSet")
}

/// Begins to watch. Each task runs until it is dropped; `tell` hears of each change.
pub(crate) fn start(
    client: &Client,
    namespaces: &[String],
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Clone + Send + 'static,
) -> Stores {
    Stores(scopes(namespaces).map(|namespace| watch_scope(client, namespace, tasks, tell.clone())).collect())
}

/// Each of these namespaces, or all of them as one if none is named.
pub(crate) fn scopes(namespaces: &[String]) -> impl Iterator<Item = Option<&str>> {
    let all = namespaces.is_empty().then_some(None);
    all.into_iter().chain(namespaces.iter().map(|name| Some(name.as_str())))
}

fn watch_scope(
    client: &Client,
    namespace: Option<&str>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Clone + Send + 'static,
) -> Scope {
    let ours = watcher::Config::default().labels(names::APP_LABEL);
    let any = watcher::Config::default;
    let named = |object: &kube::api::ObjectMeta| objects::id(object);
    let (by_claim, slices_by_app) = (Arc::new(Index::new()), Arc::new(Index::new()));
    let (autoscalers_by_namespace, scheduled) = (Arc::new(Index::new()), Arc::new(Index::new()));
    let is_due = |one: &PartialObjectMeta<Deployment>| match deployments::is_scheduled(&one.metadata) {
        true => vec![()],
        false => Vec::new(),
    };
    Scope {
        namespace: namespace.map(str::to_owned),
        apps: watch(
            api(client, namespace),
            any(),
            tasks,
            tell.clone(),
            indexed(&by_claim, claims),
            |app: &Guarded| Concerns::App(objects::id(app.meta())),
        ),
        services: watch(
            api(client, namespace),
            any(),
            tasks,
            tell.clone(),
            |_| {},
            move |service: &Service| {
                // The private one names its app.
                match of_label(&service.metadata) {
                    Some(app) => Concerns::App(app),
                    None => Concerns::Service(named(&service.metadata)),
                }
            },
        ),
        slices: watch(
            api(client, namespace),
            ours,
            tasks,
            tell.clone(),
            indexed(&slices_by_app, |slice: &EndpointSlice| of_label(&slice.metadata).into_iter().collect()),
            |slice| of_label(&slice.metadata).map_or(Concerns::All, Concerns::App),
        ),
        autoscalers: watch(
            api(client, namespace),
            any(),
            tasks,
            tell.clone(),
            indexed(&autoscalers_by_namespace, |one: &HorizontalPodAutoscaler| vec![namespace_of(one)]),
            |autoscaler| Concerns::Namespace(namespace_of(autoscaler)),
        ),
        deployments: watch_metadata(
            api(client, namespace),
            tasks,
            tell.clone(),
            indexed(&scheduled, is_due),
            "Deployment",
        ),
        stateful_sets: watch_metadata(api(client, namespace), tasks, tell, |_| {}, "StatefulSet"),
        scheduled,
        by_claim,
        slices_by_app,
        autoscalers_by_namespace,
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

fn namespace_of(object: &impl ResourceExt) -> String {
    object.namespace().unwrap_or_default()
}

/// Takes what happens into an index.
fn indexed<K: ResourceExt, Key: Clone + Eq + Hash, Keys: Fn(&K) -> Vec<Key>>(
    index: &Arc<Index<Key>>,
    keys: Keys,
) -> impl Fn(&Event<K>) + use<K, Key, Keys> {
    let index = Arc::clone(index);
    move |event| index.take_in(event, &keys)
}

fn of_label(object: &kube::api::ObjectMeta) -> Option<AppId> {
    let app = object.labels.as_ref()?.get(names::APP_LABEL)?;
    Some(AppId::new(object.namespace.as_deref().unwrap_or_default(), app))
}

impl Stores {
    /// Waits until all of them are whole.
    pub(crate) async fn whole(&self) {
        for scope in &self.0 {
            // Only a watch that has ended fails, and with it ends everything.
            let _ = scope.apps.wait_until_ready().await;
            let _ = scope.services.wait_until_ready().await;
            let _ = scope.slices.wait_until_ready().await;
            let _ = scope.autoscalers.wait_until_ready().await;
            let _ = scope.deployments.wait_until_ready().await;
            let _ = scope.stateful_sets.wait_until_ready().await;
        }
    }

    fn of(&self, namespace: &str) -> Option<&Scope> {
        self.0.iter().find(|scope| scope.namespace.as_deref().is_none_or(|one| one == namespace))
    }

    /// Every app.
    pub(crate) fn app_states(&self) -> Vec<Arc<Guarded>> {
        self.0.iter().flat_map(|scope| scope.apps.state()).collect()
    }

    /// The unique id of every app, be it one that cannot be read.
    pub(crate) fn uids(&self) -> Vec<String> {
        self.app_states().iter().filter_map(|app| app.meta().uid.clone()).collect()
    }

    /// The names of all apps, and those of the ones that a change concerns.
    pub(crate) fn concerned(&self, concerns: &Concerns) -> Vec<AppId> {
        let claim = match concerns {
            Concerns::App(one) => return self.app(one).map(|_| one.clone()).into_iter().collect(),
            Concerns::All => return self.app_states().iter().map(|app| objects::id(app.meta())).collect(),
            Concerns::Service(service) => Claim::Service(service.clone()),
            Concerns::Target(kind, target) => Claim::Target((*kind).to_owned(), target.clone()),
            Concerns::Namespace(namespace) => Claim::Namespace(namespace.clone()),
        };
        self.claimants(&claim)
    }

    fn claimants(&self, claim: &Claim) -> Vec<AppId> {
        self.0.iter().flat_map(|scope| scope.by_claim.of(claim)).collect()
    }

    /// The app whose target is that Deployment: the oldest, which is the one that has it.
    pub(crate) fn app_of_deployment(&self, deployment: &AppId) -> Option<AppId> {
        let claim = Claim::Target("Deployment".to_owned(), deployment.clone());
        let apps = self.claimants(&claim).into_iter().filter_map(|id| self.app(&id));
        let mut apps: Vec<_> = apps.filter_map(|app| app.0.as_ref().ok().cloned()).collect();
        apps.retain(|app| group_of(&app.spec.target.api_version) == "apps");
        apps.sort_by_key(super::observe::age);
        apps.first().map(|app| objects::id(&app.metadata))
    }

    /// Deployments with a scale-up that is to come, of those that no app has as its target.
    pub(crate) fn scheduled_deployments(&self) -> Vec<(AppId, kube::api::ObjectMeta)> {
        let of = |scope: &Scope| {
            let names = scope.scheduled.of(&()).into_iter();
            let found: Vec<_> = names
                .filter_map(|name| {
                    let metadata = scope.deployments.get(&key(&name))?.metadata.clone();
                    Some((name, metadata))
                })
                .collect();
            found
        };
        let mut all: Vec<_> = self.0.iter().flat_map(of).collect();
        all.retain(|(name, _)| self.app_of_deployment(name).is_none());
        all
    }

    /// Whether a scale-up of the Deployment is to come, whoever names it.
    pub(crate) fn is_scheduled(&self, deployment: &AppId) -> bool {
        let found = self.of(&deployment.namespace).and_then(|scope| scope.deployments.get(&key(deployment)));
        found.is_some_and(|found| deployments::is_scheduled(&found.metadata))
    }

    /// The apps that lay claim to something that this one does, itself included.
    pub(crate) fn rivals(&self, app: &ScaledApp) -> Vec<Arc<Guarded>> {
        let near = |name: &str| AppId::new(app.metadata.namespace.as_deref().unwrap_or_default(), name);
        let mut names =
            self.claimants(&Claim::Target(app.spec.target.kind.clone(), near(&app.spec.target.name)));
        names.extend(self.claimants(&Claim::Service(near(&app.spec.service))));
        for host in &app.spec.traffic.hosts {
            names.extend(self.claimants(&Claim::Host(host.to_ascii_lowercase())));
        }
        names.sort_unstable();
        names.dedup();
        names.iter().filter_map(|name| self.app(name)).collect()
    }

    /// An app as it was watched.
    pub(crate) fn app(&self, id: &AppId) -> Option<Arc<Guarded>> {
        self.of(&id.namespace)?.apps.get(&key(id))
    }

    /// A Service.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.of(namespace)?.services.get(&ObjectRef::new(name).within(namespace))
    }

    /// The slices of a namespace that name one of its apps.
    pub(crate) fn slices(&self, app: &AppId) -> Vec<Arc<EndpointSlice>> {
        let Some(scope) = self.of(&app.namespace) else { return Vec::new() };
        scope.slices_by_app.of(app).iter().filter_map(|name| scope.slices.get(&key(name))).collect()
    }

    /// The autoscalers of a namespace.
    pub(crate) fn autoscalers(&self, namespace: &str) -> Vec<Arc<HorizontalPodAutoscaler>> {
        let Some(scope) = self.of(namespace) else { return Vec::new() };
        let names = scope.autoscalers_by_namespace.of(&namespace.to_owned());
        names.iter().filter_map(|name| scope.autoscalers.get(&key(name))).collect()
    }

    /// The metadata of a target whose kind is watched.
    pub(crate) fn target(&self, namespace: &str, target: &TargetSpec) -> Option<kube::api::ObjectMeta> {
        let scope = self.of(namespace)?;
        match target.kind.as_str() {
            _ if !is_watched(target) => None,
            "Deployment" => {
                let found = scope.deployments.get(&ObjectRef::new(&target.name).within(namespace))?;
                Some(found.metadata.clone())
            }
            _ => {
                let found = scope.stateful_sets.get(&ObjectRef::new(&target.name).within(namespace))?;
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
    fn without_a_name_all_namespaces_are_one_scope() {
        assert_eq!(scopes(&[]).collect::<Vec<_>>(), [None]);
        let two = ["a".to_owned(), "b".to_owned()];
        assert_eq!(scopes(&two).collect::<Vec<_>>(), [Some("a"), Some("b")]);
    }

    #[test]
    fn an_app_lays_claim_to_what_another_could_take() {
        let app: Guarded = serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": "web", "namespace": "team"},
            "spec": {"target": {"name": "web-d"}, "service": "web-s", "traffic": {"hosts": ["Web.example"]}},
        }))
        .unwrap();
        let id = |name| AppId::new("team", name);
        let expected = [
            Claim::Namespace("team".into()),
            Claim::Target("Deployment".into(), id("web-d")),
            Claim::Service(id("web-s")),
            Claim::Host("web.example".into()),
        ];
        assert_eq!(claims(&app), expected);
        let unreadable: Guarded = serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": "web", "namespace": "team"}, "spec": {"target": 7},
        }))
        .unwrap();
        assert_eq!(claims(&unreadable), expected[..1]);
    }
}
