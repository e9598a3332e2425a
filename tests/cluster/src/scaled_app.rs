//! A `ScaledApp` as its users see it: its status, its conditions, its Events.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, GetParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    namespace::Namespace,
    wait::{secs, until_some},
};

/// One `ScaledApp`.
#[derive(Clone)]
pub struct ScaledApp {
    api: Api<DynamicObject>,
    namespace: Namespace,
    name: String,
}

/// Its `status` at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status(pub Value);

/// A condition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is `True`.
    pub holds: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// The kind, for any namespace.
pub fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("reveille.dev", "v1alpha1", "ScaledApp"),
        "scaledapps",
    )
}

impl ScaledApp {
    /// Makes one of that spec.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(namespace: &Namespace, name: &str, spec: &Value) -> Self {
        let this = Self::of(namespace, name);
        let mut object = DynamicObject::new(name, &kind());
        object.data = json!({ "spec": spec });
        let made = this.api.create(&PostParams::default(), &object).await;
        made.unwrap_or_else(|error| panic!("ScaledApp {name}: {error}"));
        this
    }

    /// One that is there.
    pub fn of(namespace: &Namespace, name: &str) -> Self {
        let client: Client = namespace.cluster().client();
        let api = Api::namespaced_with(client, namespace.name(), &kind());
        Self { api, namespace: namespace.clone(), name: name.to_owned() }
    }

    /// The object; none if it is gone.
    pub async fn object(&self) -> Option<DynamicObject> {
        // An API server that is away for a moment is asked again by whoever waits.
        self.api.get_opt(&self.name).await.ok().flatten()
    }

    /// Its status as it is now, which may be empty.
    pub async fn status(&self) -> Status {
        let object = self.object().await;
        Status(object.map(|object| object.data["status"].clone()).unwrap_or_default())
    }

    /// Its status as the API server remembers it, without a look into etcd.
    ///
    /// # Panics
    /// If it does not.
    pub async fn remembered_status(&self) -> Status {
        let object = self.api.get_with(&self.name, &GetParams::any()).await;
        Status(
            object.unwrap_or_else(|error| panic!("ScaledApp {}: {error}", self.name)).data["status"].clone(),
        )
    }

    /// Returns as the API server tells that it has come to that phase, as its watchers hear it.
    ///
    /// # Panics
    /// If that is not told within a minute.
    pub async fn comes_to(&self, phase: &str) {
        let now = self.object().await.expect("it exists");
        let version = now.metadata.resource_version.expect("the API server gives it one");
        let only = WatchParams::default().fields(&format!("metadata.name={}", self.name)).timeout(60);
        let told = self.api.watch(&only, &version).await;
        let mut told = pin!(told.unwrap_or_else(|error| panic!("ScaledApp {}: {error}", self.name)));
        while let Some(event) = told.next().await {
            if let Ok(WatchEvent::Modified(object)) = event
                && object.data["status"]["phase"] == phase
            {
                return;
            }
        }
        panic!("ScaledApp {} never came to {phase}", self.name);
    }

    /// Changes its spec by a merge patch.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let changed = self.api.patch(&self.name, &PatchParams::default(), &patch).await;
        changed.unwrap_or_else(|error| panic!("ScaledApp {}: {error}", self.name));
    }

    /// Asks for its deletion.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn delete(&self) {
        let deleted = self.api.delete(&self.name, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("ScaledApp {}: {error}", self.name));
    }

    /// Waits until its status is as wanted, and returns it.
    ///
    /// # Panics
    /// If it is not within `limit`, with the last one.
    #[track_caller]
    pub fn until(
        &self,
        what: impl Into<String>,
        limit: Duration,
        wanted: impl Fn(&Status) -> bool,
    ) -> impl Future<Output = Status> {
        let caller = std::panic::Location::caller();
        let (started, what) = (Instant::now(), what.into());
        async move {
            loop {
                let status = self.status().await;
                if wanted(&status) {
                    return status;
                }
                assert!(
                    started.elapsed() < limit,
                    "{caller}: ScaledApp {}: waited {limit:?} in vain: {what}; it is {}",
                    self.name,
                    status.0
                );
                tokio::time::sleep(crate::wait::ms(50)).await;
            }
        }
    }

    /// Waits for a phase.
    #[track_caller]
    pub fn until_phase(&self, phase: &str, limit: Duration) -> impl Future<Output = Status> {
        let wanted = phase.to_owned();
        self.until(format!("phase {phase}"), limit, move |status| status.phase() == Some(&wanted))
    }

    /// Waits until a condition holds or does not hold for this reason, and returns its message.
    #[track_caller]
    pub fn until_condition(
        &self,
        name: &'static str,
        holds: bool,
        reason: &'static str,
    ) -> impl Future<Output = String> {
        let wanted = move |status: &Status| {
            status.condition(name).is_some_and(|found| found.holds == holds && found.reason == reason)
        };
        let status = self.until(format!("{name}={holds} ({reason})"), secs(60), wanted);
        async move { status.await.condition(name).map(|found| found.message).unwrap_or_default() }
    }

    /// Waits for an Event about it with this reason, and returns its note.
    pub async fn event(&self, reason: &str) -> String {
        until_some(&format!("an Event {reason} of ScaledApp {}", self.name), secs(30), async || {
            self.events().await.into_iter().find_map(|(is, note)| (is == reason).then_some(note))
        })
        .await
    }

    /// The Events about it: reason and note.
    pub async fn events(&self) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> = self.namespace.api();
        let events = api.list(&kube::api::ListParams::default()).await.map(|list| list.items);
        let about = |event: &k8s_openapi::api::events::v1::Event| {
            event.regarding.as_ref().is_some_and(|object| {
                object.kind.as_deref() == Some("ScaledApp") && object.name.as_ref() == Some(&self.name)
            })
        };
        let text = |event: k8s_openapi::api::events::v1::Event| {
            (event.reason.unwrap_or_default(), event.note.unwrap_or_default())
        };
        events.unwrap_or_default().into_iter().filter(about).map(text).collect()
    }
}

impl Status {
    /// Such as `Asleep`.
    pub fn phase(&self) -> Option<&str> {
        self.0["phase"].as_str()
    }

    /// A number of it.
    pub fn number(&self, field: &str) -> Option<u64> {
        self.0[field].as_u64()
    }

    /// A condition.
    pub fn condition(&self, name: &str) -> Option<Condition> {
        let all = self.0["conditions"].as_array()?;
        let found = all.iter().find(|condition| condition["type"] == name)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some(Condition { holds: found["status"] == "True", reason: text("reason"), message: text("message") })
    }

    /// Whether it can sleep and wake.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| condition.holds)
    }
}
