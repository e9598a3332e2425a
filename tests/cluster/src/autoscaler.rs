//! A stand-in for the cluster autoscaler: it starts a node of a pool when a pod cannot be scheduled that would fit on
//! one, and ends nodes that stand empty. It writes the events of the real one, in its words.
//!
//! What it decides by is simpler: the pod's node selector, its tolerations, and the devices it asks for. Affinity,
//! processors and memory are not looked at. A pool has a node, or two, and its times are those of a test.

mod fit;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    cluster::Cluster,
    node::NodeSpec,
    wait::{ms, until},
};

/// How often it looks; the real one does every 10 s.
const SCAN: Duration = ms(200);
/// How long the scheduler may need to put the pods there that a new node is for.
const SETTLE: Duration = ms(5_000);
/// While a node has it, the real one leaves it alone.
const KEEP: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// Set on a node that is about to go.
const GOING: &str = "ToBeDeletedByClusterAutoscaler";

/// Nodes that can be had.
#[derive(Clone, Debug)]
pub struct Pool {
    name: String,
    node: NodeSpec,
    max: usize,
    provision: Duration,
    unneeded: Duration,
    namespace: Option<String>,
}

impl Pool {
    /// A pool of nodes like `node`, whose names begin with the pool's. One at the most; there in no time, gone after
    /// 10 s.
    pub fn new(name: &str, node: NodeSpec) -> Self {
        let (provision, unneeded) = (Duration::ZERO, Duration::from_secs(10));
        Self { name: name.to_owned(), node, max: 1, provision, unneeded, namespace: None }
    }

    /// Serves the pods of one namespace alone, so that tests that run side by side see none of each other's nodes and
    /// events.
    #[must_use]
    pub fn only(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// How many there can be.
    #[must_use]
    pub fn max(mut self, nodes: usize) -> Self {
        self.max = nodes;
        self
    }

    /// How long the cloud takes until a machine boots.
    #[must_use]
    pub fn provision(mut self, time: Duration) -> Self {
        self.provision = time;
        self
    }

    /// How long a node stands empty before it goes.
    #[must_use]
    pub fn unneeded(mut self, time: Duration) -> Self {
        self.unneeded = time;
        self
    }
}

/// The running stand-in. It ends when this is dropped; its nodes stay.
pub struct Autoscaler {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    cluster: Cluster,
    pool: Pool,
    // Held for one look at the cluster, so that a change by the test comes before or after it.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    started: usize,
    /// Those that are for pods which the scheduler has not put there yet.
    upcoming: BTreeMap<String, Upcoming>,
    /// Since when a node stands empty.
    empty: BTreeMap<String, Instant>,
    /// The cloud has no machine to give.
    exhausted: bool,
}

/// A node that was asked for.
struct Upcoming {
    /// By their uid.
    pods: BTreeSet<String>,
    /// Since when it is there.
    there: Option<Instant>,
}

impl Drop for Autoscaler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Autoscaler {
    /// Starts it, for one pool.
    pub fn start(cluster: &Cluster, pool: Pool) -> Self {
        let state = Arc::new(State { cluster: cluster.clone(), pool, inner: Mutex::default() });
        let look = Arc::clone(&state);
        let task = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SCAN).await;
                let mut inner = look.inner.lock().await;
                // Where the API server is out of reach the real one tries again, too.
                let _ = look.scale_up(&mut inner).await;
                let _ = look.scale_down(&mut inner).await;
            }
        });
        Self { state, task }
    }

    /// Lets the cloud run out of machines, or have some again.
    pub async fn exhausted(&self, exhausted: bool) {
        self.state.inner.lock().await.exhausted = exhausted;
    }

    /// How many nodes the pool has, those included that are on their way.
    pub async fn size(&self) -> usize {
        let inner = self.state.inner.lock().await;
        inner.size(&self.state.nodes().await)
    }

    /// Waits until the pool has no node.
    pub async fn until_empty(&self, limit: Duration) -> Duration {
        until("the pool is empty", limit, async || self.size().await == 0).await
    }
}

impl Inner {
    /// How many nodes there are or will be.
    fn size(&self, there: &[String]) -> usize {
        there.len() + self.upcoming.keys().filter(|name| !there.contains(name)).count()
    }
}

impl State {
    fn client(&self) -> Client {
        self.cluster.client()
    }

    /// The running nodes of the pool.
    async fn nodes(&self) -> Vec<String> {
        let start = format!("{}-", self.pool.name);
        let nodes = self.cluster.node_names().await;
        nodes.into_iter().filter(|name| name.starts_with(&start)).collect()
    }

    async fn scale_up(self: &Arc<Self>, inner: &mut Inner) -> Result<(), kube::Error> {
        let pods: Api<core::Pod> = match &self.pool.namespace {
            Some(namespace) => Api::namespaced(self.client(), namespace),
            None => Api::all(self.client()),
        };
        let pending = pods.list(&ListParams::default().fields("status.phase=Pending,spec.nodeName=")).await?;
        let there = self.nodes().await;
        inner.upcoming.retain(|name, upcoming| {
            if upcoming.there.is_none() && there.contains(name) {
                upcoming.there = Some(Instant::now());
            }
            upcoming.there.is_none_or(|since| since.elapsed() < SETTLE)
        });
        for pod in pending.items.iter().filter(|pod| fit::is_unschedulable(pod)) {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            if inner.upcoming.values().any(|upcoming| upcoming.pods.contains(&uid)) {
                continue;
            }
            if let Err(reason) = fit::fits(pod, &self.pool.node) {
                self.say(pod, "NotTriggerScaleUp", &format!("pod didn't trigger scale-up: 1 {reason}"))
                    .await?;
                continue;
            }
            let room = fit::capacity(pod, &self.pool.node);
            if let Some(upcoming) = inner.upcoming.values_mut().find(|upcoming| upcoming.pods.len() < room) {
                upcoming.pods.insert(uid);
                continue;
            }
            let size = inner.size(&there);
            if inner.exhausted {
                let text = "pod didn't trigger scale-up: 1 in backoff after failed scale-up";
                self.say(pod, "NotTriggerScaleUp", text).await?;
            } else if size >= self.pool.max {
                let text = "pod didn't trigger scale-up: 1 max node group size reached";
                self.say(pod, "NotTriggerScaleUp", text).await?;
            } else {
                let (name, max) = (&self.pool.name, self.pool.max);
                let text = format!("pod triggered scale-up: [{{{name} {size}->{} (max: {max})}}]", size + 1);
                self.say(pod, "TriggeredScaleUp", &text).await?;
                inner.started += 1;
                let node = format!("{name}-{}", inner.started);
                inner.upcoming.insert(node.clone(), Upcoming { pods: [uid].into(), there: None });
                self.provision(node);
            }
        }
        Ok(())
    }

    /// The cloud boots a machine, at its own pace.
    fn provision(self: &Arc<Self>, name: String) {
        let this = Arc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(this.pool.provision).await;
            this.cluster.start_node(this.pool.node.clone().named(&name)).await;
        });
    }

    async fn scale_down(&self, inner: &mut Inner) -> Result<(), kube::Error> {
        let nodes: Api<core::Node> = Api::all(self.client());
        let pods: Api<core::Pod> = Api::all(self.client());
        for name in self.nodes().await {
            let Some(node) = nodes.get_opt(&name).await? else { continue };
            let on_it = pods.list(&ListParams::default().fields(&format!("spec.nodeName={name}"))).await?;
            let kept =
                node.metadata.annotations.iter().flatten().any(|(key, value)| key == KEEP && value == "true");
            if kept || inner.upcoming.contains_key(&name) || on_it.items.iter().any(fit::holds_its_node) {
                inner.empty.remove(&name);
                continue;
            }
            let since = *inner.empty.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= self.pool.unneeded {
                inner.empty.remove(&name);
                // So that nothing is put there while it goes.
                let taint = json!({ "key": GOING, "effect": "NoSchedule" });
                let taints: Vec<Value> = fit::taints(&node).chain([taint]).collect();
                let patch = Patch::Merge(json!({ "spec": { "taints": taints } }));
                nodes.patch(&name, &PatchParams::default(), &patch).await?;
                self.cluster.remove_node(&name).await;
            }
        }
        Ok(())
    }

    /// Writes an event about a pod, once.
    async fn say(&self, pod: &core::Pod, reason: &str, message: &str) -> Result<(), kube::Error> {
        let namespace = pod.metadata.namespace.as_deref().expect("a pod has a namespace");
        let name = pod.metadata.name.as_deref().expect("a pod has a name");
        let uid = pod.metadata.uid.as_deref().expect("a pod of the API server has a uid");
        // The same words about the same pod are the same event.
        let hash = format!("{reason}{message}")
            .bytes()
            .fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let event = json!({
            "metadata": { "name": format!("{name}.{hash:08x}"), "namespace": namespace },
            "involvedObject": { "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid },
            "reason": reason,
            "message": message,
            "type": "Normal",
            "source": { "component": "cluster-autoscaler" },
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        let event: core::Event = serde_json::from_value(event).expect("an event has these fields");
        let api: Api<core::Event> = Api::namespaced(self.client(), namespace);
        match api.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            other => other.map(drop),
        }
    }
}
