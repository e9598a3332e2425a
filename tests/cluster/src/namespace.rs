//! A namespace: each test has its own, and all of it goes when the test is over.

use std::fmt::Debug;

use k8s_openapi::{NamespaceResourceScope, api::core::v1 as core};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    pod::{Network, is_ready},
    process::Output,
    wait::{secs, until, until_some},
};

/// What can be made in a namespace.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// One namespace.
#[derive(Clone)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(crate) async fn make(cluster: Cluster, name: &str) -> Self {
        let api: Api<core::Namespace> = Api::all(cluster.client());
        let namespace =
            serde_json::from_value(json!({ "metadata": { "name": name } })).expect("it has these fields");
        api.create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        let this = Self { cluster, name: name.to_owned() };
        let accounts: Api<core::ServiceAccount> = this.api();
        let config_maps: Api<core::ConfigMap> = this.api();
        until(&format!("pods can be made in namespace {name}"), secs(30), async || {
            let found = |error: Result<bool, kube::Error>| error.unwrap_or(false);
            found(accounts.get_opt("default").await.map(|object| object.is_some()))
                && found(config_maps.get_opt("kube-root-ca.crt").await.map(|object| object.is_some()))
        })
        .await;
        this
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Objects of a kind in it, as the administrator.
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.cluster.client(), &self.name)
    }

    /// Makes an object of what its manifest would say, without `apiVersion` and `kind`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create<K: Kind>(&self, manifest: Value) -> K {
        let kind = K::kind(&()).into_owned();
        let object: K = serde_json::from_value(manifest).unwrap_or_else(|error| panic!("a {kind}: {error}"));
        let api: Api<K> = self.api();
        api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("a {kind}: {error}"))
    }

    /// The object of this name.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn get<K: Kind>(&self, name: &str) -> K {
        let api: Api<K> = self.api();
        api.get(name).await.unwrap_or_else(|error| panic!("{} {name}: {error}", K::kind(&())))
    }

    /// The pods with the label `app`.
    ///
    /// # Panics
    /// If the API server does not say.
    pub async fn pods(&self, app: &str) -> Vec<core::Pod> {
        let api: Api<core::Pod> = self.api();
        let list = api.list(&ListParams::default().labels(&format!("app={app}"))).await;
        list.expect("pods can be listed").items
    }

    /// The pod with the label `app`, when there is one that is ready.
    ///
    /// # Panics
    /// If there is none in a minute.
    pub async fn ready_pod(&self, app: &str) -> core::Pod {
        until_some(&format!("a pod of {app} is ready"), secs(60), async || {
            self.pods(app).await.into_iter().find(is_ready)
        })
        .await
    }

    /// A pod that does nothing, and its network: a client.
    pub async fn client_pod(&self, name: &str) -> Network {
        self.create::<core::Pod>(json!({
            "metadata": { "name": name, "labels": { "app": name } },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": "idle", "image": crate::image::PAUSE, "imagePullPolicy": "Never" }],
            },
        }))
        .await;
        let pod = self.ready_pod(name).await;
        self.cluster.network(&pod).await
    }

    /// What was said about an object, as `reason: message`.
    ///
    /// # Panics
    /// If the API server does not say.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<core::Event> = self.api();
        let list = api.list(&ListParams::default().fields(&format!("involvedObject.name={name}"))).await;
        let text = |event: core::Event| {
            format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        };
        list.expect("events can be listed").items.into_iter().map(text).collect()
    }

    /// Waits for an event of an object, which `reason: message` begins with.
    ///
    /// # Panics
    /// If there is none in a minute.
    pub async fn event(&self, name: &str, start: &str) -> String {
        until_some(&format!("an event of {name}: {start}"), secs(60), async || {
            self.events(name).await.into_iter().find(|event| event.starts_with(start))
        })
        .await
    }

    /// `kubectl`, as the administrator, in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Output {
        self.cluster.kubectl(&[&["--namespace", &self.name], arguments].concat(), "").await
    }

    /// `kubectl apply` of manifests, as YAML or JSON.
    ///
    /// # Panics
    /// If they are refused.
    pub async fn apply(&self, manifests: &str) {
        self.cluster.kubectl(&["--namespace", &self.name, "apply", "-f", "-"], manifests).await.ok();
    }

    /// Asks for its deletion, and waits for nothing.
    pub(crate) async fn delete(&self) {
        let api: Api<core::Namespace> = Api::all(self.cluster.client());
        // A test that broke the API server failed already.
        let _ = api.delete(&self.name, &DeleteParams::default()).await;
    }
}
