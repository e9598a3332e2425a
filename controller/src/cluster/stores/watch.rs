//! A watch that fills a store, takes what happens into an index, and tells whom it concerns.

use std::{fmt::Debug, hash::Hash};

use futures_util::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::Concerns;
use crate::cluster::objects;

/// Watches whole objects of a kind.
pub(super) fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    take_in: impl Fn(&Event<K>) + Send + 'static,
    concerns: impl Fn(&K) -> Concerns + Send + 'static,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher::watcher(api, config).default_backoff().modify(|object| {
        // Who wrote what is of no interest, and most of an object.
        object.managed_fields_mut().clear();
    });
    follow(stream.boxed(), tasks, tell, take_in, concerns)
}

/// Watches the metadata of targets of a kind.
pub(super) fn watch_metadata<K>(
    api: Api<PartialObjectMeta<K>>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    take_in: impl Fn(&Event<PartialObjectMeta<K>>) + Send + 'static,
    kind: &'static str,
) -> Store<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher::watcher(api, watcher::Config::default()).default_backoff();
    follow(stream.boxed(), tasks, tell, take_in, move |object| {
        Concerns::Target(kind, objects::id(&object.metadata))
    })
}

type Stream<K> = futures_util::stream::BoxStream<'static, watcher::Result<Event<K>>>;

fn follow<K>(
    mut stream: Stream<K>,
    tasks: &mut JoinSet<()>,
    tell: impl Fn(Concerns) + Send + 'static,
    take_in: impl Fn(&Event<K>) + Send + 'static,
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
                    take_in(&event);
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
