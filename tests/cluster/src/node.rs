//! Nodes: each a real kubelet with a containerd of its own, with real containers. All are in one network namespace, with
//! an address and a subnet of pods each.

mod kubelet;
pub(crate) mod runtime;
mod tree;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
};

use k8s_openapi::api::core::v1 as core;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

pub(crate) use self::runtime::Runtime;
use crate::{
    credentials::Credentials,
    places::Places,
    process::{Daemon, command, run},
    wait::{secs, until},
};

/// No address or subnet is used twice: packets that are still on their way to a node that ended must not reach another.
static STARTED: AtomicU8 = AtomicU8::new(0);
/// There are as many addresses.
const MOST: u8 = 250;

/// A node to start.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<core::Taint>,
    pub(crate) resources: BTreeMap<String, u32>,
}

impl NodeSpec {
    /// One without labels, taints and devices. Unless it is tainted it takes the pods of any
    /// test.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            resources: BTreeMap::new(),
        }
    }

    /// The same by another name.
    #[must_use]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Labels it. The kubelet refuses labels of `kubernetes.io` that are not its own to set.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Taints it from the start.
    #[must_use]
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let taint = json!({ "key": key, "value": value, "effect": effect });
        self.taints.push(serde_json::from_value(taint).expect("a taint has these fields"));
        self
    }

    /// Gives it devices that its kubelet does not know, such as 4 of `nvidia.com/gpu`.
    #[must_use]
    pub fn resource(mut self, name: &str, count: u32) -> Self {
        self.resources.insert(name.to_owned(), count);
        self
    }
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) spec: NodeSpec,
    pub(crate) runtime: Runtime,
    kubelet: Daemon,
    address: String,
    folder: PathBuf,
}

fn address(number: u8) -> String {
    format!("10.200.0.{number}")
}

/// A node that has its containerd, and no kubelet yet.
#[derive(Debug)]
pub(crate) struct Booting {
    spec: NodeSpec,
    runtime: Runtime,
    number: u8,
}

impl Booting {
    /// Starts the containerd.
    pub(crate) async fn start(places: &Places, spec: NodeSpec) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number <= MOST, "more than {MOST} nodes were started in one sandbox");
        // The first one's is the API server's as well, and there already.
        run(command("ip", ["address", "replace", &format!("{}/24", address(number)), "dev", "nodes"]))
            .await
            .ok();
        let folder = places.state(&format!("{}.{number}", spec.name));
        let runtime = Runtime::start(places, &format!("containerd-{}", spec.name), folder, number).await;
        Self { spec, runtime, number }
    }

    /// Takes an image in.
    pub(crate) async fn import(&self, archive: &Path) {
        self.runtime.import(archive).await;
    }

    /// Starts the kubelet, and returns when the node is ready.
    pub(crate) async fn join(self, places: &Places, credentials: &Credentials, client: &Client) -> Node {
        let Self { spec, runtime, number } = self;
        let folder = places.state(&format!("{}.{number}", spec.name));
        let address = address(number);
        let kubelet = kubelet::start(places, credentials, &spec, &address, &folder, &runtime.socket());
        let mut node = Node { spec, runtime, kubelet, address, folder };
        node.wait(client).await;
        node
    }
}

impl Node {
    /// Waits until it is ready, and gives it its devices as soon as it is known.
    async fn wait(&mut self, client: &Client) {
        let api: Api<core::Node> = Api::all(client.clone());
        let name = self.spec.name.clone();
        let mut equipped = self.spec.resources.is_empty();
        until(&format!("node {name} is ready"), secs(60), async || {
            self.kubelet.assert_runs();
            let Ok(Some(node)) = api.get_opt(&name).await else { return false };
            if !equipped {
                let counts: BTreeMap<_, _> =
                    self.spec.resources.iter().map(|(k, v)| (k, v.to_string())).collect();
                let status = json!({ "status": { "capacity": counts, "allocatable": counts } });
                let patched = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
                equipped = patched.is_ok();
            }
            equipped && is_ready(&node)
        })
        .await;
    }

    /// The files of a pod's volume whose name begins like this.
    pub(crate) fn volume(&self, pod: &str, name: &str) -> Option<PathBuf> {
        let volumes = self.folder.join("kubelet/pods").join(pod).join("volumes");
        let kinds = fs::read_dir(volumes).ok()?.flatten();
        let mut volumes = kinds.flat_map(|kind| fs::read_dir(kind.path())).flatten().flatten();
        let found = volumes.find(|volume| volume.file_name().to_string_lossy().starts_with(name));
        found.map(|volume| volume.path())
    }

    /// Ends it as if its machine lost its power. Its Node object stays, and is found out in a minute.
    pub(crate) async fn kill(self) {
        self.kubelet.kill().await;
        self.runtime.end().await;
        run(command("ip", ["address", "del", &format!("{}/24", self.address), "dev", "nodes"])).await.ok();
    }

    /// Ends it as a cloud does that gives the machine back: its Node object goes, too.
    pub(crate) async fn remove(self, client: &Client) {
        let api: Api<core::Node> = Api::all(client.clone());
        let name = self.spec.name.clone();
        self.kill().await;
        if let Err(error) = api.delete(&name, &DeleteParams::default()).await {
            assert!(
                matches!(&error, kube::Error::Api(status) if status.is_not_found()),
                "node {name}: {error}"
            );
        }
    }
}

/// Whether its kubelet says that it takes pods, and the scheduler knows.
pub(crate) fn is_ready(node: &core::Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    ready && !taints.into_iter().any(|taint| taint.key == "node.kubernetes.io/not-ready")
}
