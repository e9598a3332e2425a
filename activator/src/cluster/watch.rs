//! The watches: every `ScaledApp`, and every slice that shows apps' pods, of all namespaces or of some.
//!
//! They reconnect by themselves, go on where they were, or begin anew if the API server has forgotten that (410), each time
//! after a pause that grows and differs. While they cannot, what is known holds.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use reveille_core::{app::AppId, resource::ScaledApp};
use tokio::sync::watch;

use super::{
    api::{said_in_full, selector},
    apps::Apps,
    object::Now,
    slices::{Slice, version},
};

/// How long a watch may take to say for the first time what there is.
const FIRST_LIST: Duration = Duration::from_secs(30);

/// How a watch stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not listed yet.
    #[default]
    Begins,
    /// It has not listed yet, and this is why.
    Troubled(String),
    /// It has listed everything once.
    Listed,
}

/// What is being watched.
pub(crate) struct Watches(Vec<watch::Receiver<Progress>>);

/// Starts the watches of these namespaces, or of all if none is named, as tasks that never end.
pub(crate) fn start(client: &Client, namespaces: &[String], apps: &Arc<Apps>) -> Watches {
    let each = namespaces.iter().map(|namespace| Some(namespace.as_str()));
    let all = namespaces.is_empty().then_some(None);
    Watches(each.chain(all).flat_map(|namespace| start_one(client, namespace, apps)).collect())
}

fn start_one(client: &Client, namespace: Option<&str>, apps: &Arc<Apps>) -> [watch::Receiver<Progress>; 2] {
    fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
    let objects = api::<DeserializeGuard<ScaledApp>>(client, namespace);
    let slices = api::<EndpointSlice>(client, namespace);
    let (apps_progress, apps_receiver) = watch::channel(Progress::Begins);
    let (slices_progress, slices_receiver) = watch::channel(Progress::Begins);
    let events = watcher(objects, watcher::Config::default()).default_backoff();
    let (table, scope) = (apps.clone(), namespace.map(ToOwned::to_owned));
    let take = move |event| take_app(&table, scope.as_deref(), event);
    tokio::spawn(follow("scaledapps", events, apps_progress, take));
    let config = watcher::Config::default().labels(&selector(None));
    let events = watcher(slices, config).default_backoff();
    let mut follower = SliceFollower {
        apps: apps.clone(),
        namespace: namespace.map(ToOwned::to_owned),
        owners: HashMap::new(),
        named: HashSet::new(),
    };
    tokio::spawn(follow("endpointslices", events, slices_progress, move |event| follower.take(event)));
    [apps_receiver, slices_receiver]
}

impl Watches {
    /// Waits until each has listed everything once.
    ///
    /// # Errors
    /// What keeps them from it, if that takes too long.
    pub(crate) async fn listed(&mut self) -> Result<(), String> {
        let all = async {
            for progress in &mut self.0 {
                // The task never ends, and with it the sender.
                let _ = progress.wait_for(|progress| *progress == Progress::Listed).await;
            }
        };
        if tokio::time::timeout(FIRST_LIST, all).await.is_ok() {
            return Ok(());
        }
        let seconds = FIRST_LIST.as_secs();
        let mut why = format!("apps and slices were not listed within {seconds} s");
        for progress in &self.0 {
            if let Progress::Troubled(trouble) = &*progress.borrow() {
                why = format!("{why}; {trouble}");
            }
        }
        Err(why)
    }
}

async fn follow<K: Send>(
    what: &'static str,
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    progress: watch::Sender<Progress>,
    mut take: impl FnMut(Event<K>) + Send,
) {
    let mut troubled = false;
    futures_util::pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // It says that it begins before it has reached anybody.
                let is_answer = !matches!(event, Event::Init);
                if is_answer && std::mem::take(&mut troubled) {
                    tracing::info!(what, "watched again");
                }
                let is_whole = matches!(event, Event::InitDone);
                take(event);
                if is_whole {
                    progress
                        .send_if_modified(|now| std::mem::replace(now, Progress::Listed) != Progress::Listed);
                }
            }
            Err(error) => {
                let why = format!("{what} cannot be watched: {}", said_in_full(&error));
                if !std::mem::replace(&mut troubled, true) {
                    tracing::warn!(why, "what is known holds meanwhile");
                }
                progress.send_if_modified(|now| {
                    let begins = *now != Progress::Listed;
                    if begins {
                        *now = Progress::Troubled(why);
                    }
                    begins
                });
            }
        }
    }
}

fn take_app(apps: &Apps, namespace: Option<&str>, event: Event<DeserializeGuard<ScaledApp>>) {
    match event {
        Event::Init => apps.apps_relist_begins(namespace),
        Event::InitDone => apps.apps_relist_ends(namespace),
        Event::Delete(object) => {
            if let Some(id) = id(&object) {
                apps.heard_gone(&id);
            }
        }
        Event::Apply(object) | Event::InitApply(object) => {
            let Some(id) = id(&object) else { return };
            match object.0 {
                Ok(object) => apps.heard(&id, &object, Now::read()),
                Err(invalid) => apps.heard_unreadable(&id, invalid.error),
            }
        }
    }
}

fn id(object: &impl Resource) -> Option<AppId> {
    let meta = object.meta();
    Some(AppId::new(meta.namespace.as_deref()?, meta.name.as_deref()?))
}

/// Knows whose each slice was: one that is relabelled is gone for the app that it belonged to.
struct SliceFollower {
    apps: Arc<Apps>,
    namespace: Option<String>,
    owners: HashMap<(String, String), AppId>,
    /// Those that were named since the watch began anew.
    named: HashSet<(String, String)>,
}

impl SliceFollower {
    fn take(&mut self, event: Event<EndpointSlice>) {
        match event {
            Event::Init => {
                self.named.clear();
                self.apps.slices_relist_begins(self.namespace.as_deref());
            }
            Event::InitDone => {
                let named = std::mem::take(&mut self.named);
                self.owners.retain(|key, _| named.contains(key));
                self.apps.slices_relist_ends(self.namespace.as_deref());
            }
            Event::Apply(slice) | Event::InitApply(slice) => {
                let key = (slice.namespace().unwrap_or_default(), slice.name_any());
                let read = Slice::read(&slice);
                let owner = read.as_ref().map(|(id, ..)| id);
                if let Some(before) = self.owners.get(&key)
                    && Some(before) != owner
                {
                    self.apps.heard_slice_gone(
                        before,
                        &key.1,
                        version(slice.meta().resource_version.as_ref()),
                    );
                    self.owners.remove(&key);
                }
                if let Some((id, name, slice)) = read {
                    self.named.insert(key.clone());
                    self.apps.heard_slice(&id, &name, slice);
                    self.owners.insert(key, id);
                }
            }
            Event::Delete(slice) => {
                let key = (slice.namespace().unwrap_or_default(), slice.name_any());
                self.named.remove(&key);
                if let Some(id) = self.owners.remove(&key) {
                    self.apps.heard_slice_gone(&id, &key.1, version(slice.meta().resource_version.as_ref()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use reveille_core::directory::Change;
    use serde_json::json;

    use super::*;

    fn app(name: &str, preset: &str) -> DeserializeGuard<ScaledApp> {
        serde_json::from_value(json!({
            "apiVersion": "reveille.dev/v1alpha1", "kind": "ScaledApp",
            "metadata": {"name": name, "namespace": "team", "uid": name},
            "spec": {"target": {"name": name}, "service": name, "preset": preset},
        }))
        .unwrap()
    }

    fn slice(app: &str, version: u64) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {
                "name": "s", "namespace": "team", "resourceVersion": version.to_string(),
                "labels": {
                    "reveille.dev/scaled-app": app,
                    "kubernetes.io/service-name": format!("{app}-reveille"),
                },
            },
            "addressType": "IPv4", "ports": [{"name": "p80", "port": 80}],
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"uid": "u"}}],
        }))
        .unwrap()
    }

    fn told(apps: &Apps) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((change, ..)) = apps.next_change() {
            told.push(match change {
                Change::App(entry) => format!("{} {}", entry.id, entry.phase),
                Change::Gone(id) => format!("{id} gone"),
            });
        }
        told
    }

    #[tokio::test]
    async fn one_app_that_cannot_be_read_hides_no_other_and_is_not_gone() {
        let (apps, _arrivals) = Apps::new([127, 0, 0, 1].into());
        let events = |list: Vec<DeserializeGuard<ScaledApp>>| {
            take_app(&apps, None, Event::Init);
            list.into_iter().for_each(|app| take_app(&apps, None, Event::InitApply(app)));
            take_app(&apps, None, Event::InitDone);
        };
        events(vec![app("bad", "http"), app("web", "http")]);
        assert_eq!(told(&apps), ["team/bad Asleep", "team/web Asleep"]);
        events(vec![app("bad", "of a later release"), app("web", "http")]);
        assert!(told(&apps).is_empty());
        events(vec![app("web", "http")]);
        assert_eq!(told(&apps), ["team/bad gone"]);
    }

    #[tokio::test]
    async fn a_slice_that_is_given_to_another_app_is_gone_for_the_first() {
        let (apps, _arrivals) = Apps::new([127, 0, 0, 1].into());
        let mut follower =
            SliceFollower { apps, namespace: None, owners: HashMap::new(), named: HashSet::new() };
        follower.take(Event::Apply(slice("a", 1)));
        follower.take(Event::Apply(slice("b", 2)));
        assert_eq!(follower.owners.values().collect::<Vec<_>>(), [&AppId::new("team", "b")]);
        follower.take(Event::Init);
        follower.take(Event::InitDone);
        assert!(follower.owners.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_waits_for_every_list_and_says_what_is_missing() {
        let (apps, apps_receiver) = watch::channel(Progress::Begins);
        let (slices, slices_receiver) = watch::channel(Progress::Begins);
        let mut watches = Watches(vec![apps_receiver, slices_receiver]);
        let event = || Ok(Event::<EndpointSlice>::InitDone);
        follow("slices", futures_util::stream::iter([event()]), slices, |_| ()).await;
        apps.send_replace(Progress::Troubled("no such resource".into()));
        assert!(watches.listed().await.unwrap_err().ends_with("30 s; no such resource"));
        apps.send_replace(Progress::Listed);
        assert_eq!(watches.listed().await, Ok(()));
    }
}
