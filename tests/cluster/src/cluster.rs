//! The cluster, as tests hold it: one handle, cheap to clone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1 as core};
use kube::{Api, Client, api::PostParams};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    control_plane::{self, ControlPlane},
    credentials::{Credentials, User},
    image::Image,
    namespace::Namespace,
    node::{Booting, Node, NodeSpec},
    places::Places,
    pod::Network,
    process::Daemon,
    reveille::Reveille,
    wait::{ms, secs, until},
};

/// The node that is there from the start.
pub const FIRST_NODE: &str = "node1";

/// A running Kubernetes.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    places: Places,
    credentials: Credentials,
    client: Client,
    // Held across the start and the end of what it guards, so that these have an order.
    plane: Mutex<ControlPlane>,
    nodes: Mutex<BTreeMap<String, Node>>,
    // By name. Taken before `nodes` where both are.
    images: Mutex<Vec<(String, PathBuf)>>,
    /// The one Reveille that tests share, once one of them has asked for it. Held across its installation.
    reveille: Mutex<Option<Reveille>>,
    took: Duration,
    _proxy: Daemon,
}

impl Cluster {
    /// Starts one, in this sandbox: the whole control plane, one node, and the rules for Services. Its logs go to
    /// `target/cluster/NAME`.
    ///
    /// # Panics
    /// If some part of it does not come up, with the end of its log.
    pub async fn start(name: &str) -> Self {
        let started = Instant::now();
        let places = Places::new(name);
        let credentials = Credentials::make(&places).await;
        let boot = async {
            let pause = Image::pause();
            let images = places.state("images");
            let node = Booting::start(&places, NodeSpec::new(FIRST_NODE));
            let (node, archive) = tokio::join!(node, pause.write(&images));
            node.import(&archive).await;
            (node, pause, archive)
        };
        let ((plane, client), (node, pause, archive)) =
            tokio::join!(ControlPlane::start(&places, &credentials), boot);
        let proxy = control_plane::start_proxy(&places, &credentials, FIRST_NODE);
        let node = node.join(&places, &credentials, &client).await;
        let this = Self(Arc::new(Inner {
            places,
            credentials,
            client,
            plane: Mutex::new(plane),
            nodes: Mutex::new([(FIRST_NODE.to_owned(), node)].into()),
            images: Mutex::new(vec![(pause.name().to_owned(), archive)]),
            reveille: Mutex::new(None),
            took: started.elapsed(),
            _proxy: proxy,
        }));
        this.wait_for_services().await;
        this
    }

    /// Pods reach the API server by its Service, from the first one on.
    async fn wait_for_services(&self) {
        until("the API server's Service is there", secs(30), async || {
            let connect = tokio::net::TcpStream::connect("10.96.0.1:443");
            tokio::time::timeout(ms(500), connect).await.is_ok_and(|outcome| outcome.is_ok())
        })
        .await;
    }

    /// The Reveille that tests share: installed by the first that asks for it.
    ///
    /// # Panics
    /// If it cannot be installed.
    pub async fn reveille(&self) -> Reveille {
        let mut shared = self.0.reveille.lock().await;
        match &*shared {
            Some(reveille) => reveille.clone(),
            None => shared.insert(Reveille::install(self, &[]).await).clone(),
        }
    }

    /// Uninstalls it: the next test that asks for it installs it again.
    ///
    /// # Panics
    /// If that fails, or it was not installed.
    pub async fn uninstall_reveille(&self) {
        let reveille = self.0.reveille.lock().await.take().expect("it was installed");
        reveille.uninstall().await;
    }

    /// How long its start took.
    pub fn took(&self) -> Duration {
        self.0.took
    }

    /// Its folders.
    pub fn places(&self) -> &Places {
        &self.0.places
    }

    /// A client that may do anything.
    pub fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// A client that may do what some user may.
    pub async fn client_of(&self, user: User<'_>) -> Client {
        self.0.credentials.client(Some(user)).await
    }

    /// A client with a token of a ServiceAccount, as its pods have one.
    ///
    /// # Panics
    /// If there is no such ServiceAccount.
    pub async fn client_of_service_account(&self, namespace: &str, name: &str) -> Client {
        let accounts: Api<core::ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request: TokenRequest =
            serde_json::from_value(json!({ "metadata": {}, "spec": { "audiences": [] } }))
                .expect("it has these fields");
        let answer: TokenRequest = accounts
            .create_subresource("token", name, &PostParams::default(), &request)
            .await
            .unwrap_or_else(|error| panic!("a token of {namespace}/{name}: {error}"));
        let token = answer.status.and_then(|status| status.token).expect("the API server fills it in");
        self.0.credentials.client_with_token(token).await
    }

    /// A kubeconfig of somebody else, for programs.
    pub fn kubeconfig_of(&self, user: User<'_>) -> PathBuf {
        self.0.credentials.kubeconfig(&format!("user-{}", user.name.replace([':', '/'], "-")), Some(user))
    }

    /// A kubeconfig of the administrator, for programs.
    pub fn kubeconfig(&self) -> PathBuf {
        self.0.credentials.kubeconfig("administrator", None)
    }

    /// A new namespace, when pods can be made in it.
    pub async fn namespace(&self, name: &str) -> Namespace {
        Namespace::make(self.clone(), name).await
    }

    /// Makes an image, and takes it in on every node, also on those that start later. One of that name that is there
    /// already is left as it is.
    pub async fn image(&self, image: &Image) {
        let mut images = self.0.images.lock().await;
        if images.iter().any(|(known, _)| known == image.name()) {
            return;
        }
        let archive = image.write(&self.0.places.state("images")).await;
        for node in self.0.nodes.lock().await.values() {
            node.runtime.import(&archive).await;
        }
        images.push((image.name().to_owned(), archive));
    }

    /// Starts a node, and returns when it is ready.
    ///
    /// # Panics
    /// If it does not get ready, or one of its name runs.
    pub async fn start_node(&self, spec: NodeSpec) {
        let name = spec.name.clone();
        assert!(!self.runs_node(&name).await, "node {name} runs");
        let node = Booting::start(&self.0.places, spec).await;
        let images = self.archives().await;
        for archive in &images {
            node.import(archive).await;
        }
        let node = node.join(&self.0.places, &self.0.credentials, &self.0.client).await;
        self.0.nodes.lock().await.insert(name.clone(), node);
        // Those that were made meanwhile.
        let late = self.archives().await.into_iter().skip(images.len());
        if let Some(node) = self.0.nodes.lock().await.get(&name) {
            for archive in late {
                node.runtime.import(&archive).await;
            }
        }
    }

    async fn archives(&self) -> Vec<PathBuf> {
        self.0.images.lock().await.iter().map(|(_, archive)| archive.clone()).collect()
    }

    /// Whether a node of this name runs here, whatever the API server thinks.
    pub async fn runs_node(&self, name: &str) -> bool {
        self.0.nodes.lock().await.contains_key(name)
    }

    /// The nodes that run here.
    pub(crate) async fn node_names(&self) -> Vec<String> {
        self.0.nodes.lock().await.keys().cloned().collect()
    }

    /// Ends a node as a cloud does that gives its machine back: its containers end at once, its Node object goes.
    ///
    /// # Panics
    /// If there is none of that name.
    pub async fn remove_node(&self, name: &str) {
        self.take_node(name).await.remove(&self.0.client).await;
    }

    /// Ends a node as if its machine lost its power: nobody tells the API server.
    ///
    /// # Panics
    /// If there is none of that name.
    pub async fn kill_node(&self, name: &str) {
        self.take_node(name).await.kill().await;
    }

    async fn take_node(&self, name: &str) -> Node {
        let node = self.0.nodes.lock().await.remove(name);
        node.unwrap_or_else(|| panic!("there is no node {name}"))
    }

    /// The network of a pod, to run programs in.
    ///
    /// # Panics
    /// If the pod has none on any node.
    pub async fn network(&self, pod: &core::Pod) -> Network {
        let uid = pod.metadata.uid.as_deref().expect("a pod of the API server has a uid");
        for node in self.0.nodes.lock().await.values() {
            if let Some(path) = node.runtime.network_namespace(uid).await {
                return Network::new(path);
            }
        }
        panic!("pod {} has no network on any node", pod.metadata.name.as_deref().unwrap_or_default());
    }

    /// The files of a volume of a pod whose name begins like this, as its containers see them.
    ///
    /// # Panics
    /// If there is none on any node.
    pub async fn volume(&self, pod: &core::Pod, name: &str) -> PathBuf {
        let uid = pod.metadata.uid.as_deref().expect("a pod of the API server has a uid");
        let nodes = self.0.nodes.lock().await;
        let found = nodes.values().find_map(|node| node.volume(uid, name));
        found.unwrap_or_else(|| panic!("pod {uid} has no volume {name} on any node"))
    }

    /// Sends a signal to the first process of a pod's container, as its node's kernel would.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn signal(&self, pod: &core::Pod, container: &str, signal: Signal) {
        let uid = pod.metadata.uid.as_deref().expect("a pod of the API server has a uid");
        for node in self.0.nodes.lock().await.values() {
            if let Some(pid) = node.runtime.pid(uid, container).await {
                let pid = nix::unistd::Pid::from_raw(pid);
                return nix::sys::signal::kill(pid, signal).expect("a running process can be signalled");
            }
        }
        panic!("container {container} of {} does not run", pod.metadata.name.as_deref().unwrap_or_default());
    }

    /// Kills the API server. Only for tests that have the cluster to themselves.
    pub async fn stop_api_server(&self) {
        self.0.plane.lock().await.stop_api_server().await;
    }

    /// Starts it again, and returns when it is ready.
    pub async fn start_api_server(&self) {
        self.0.plane.lock().await.start_api_server(&self.0.places, &self.0.credentials).await;
    }

    /// Makes etcd hang, and with it every request to the API server. Only for tests that have the cluster to
    /// themselves.
    pub async fn pause_etcd(&self) {
        self.0.plane.lock().await.signal_etcd(Signal::SIGSTOP);
    }

    /// Lets etcd go on.
    pub async fn resume_etcd(&self) {
        self.0.plane.lock().await.signal_etcd(Signal::SIGCONT);
    }

    /// Lets etcd forget every version of every object but the last. The API server still knows those that it has seen;
    /// one that was started after this answers 410 to whoever asks for an older one.
    pub async fn compact_etcd(&self) {
        control_plane::compact_etcd().await;
    }

    /// After a test that broke the control plane, and did not get to mending it.
    pub async fn mend(&self) {
        self.resume_etcd().await;
        if self.0.plane.lock().await.api_server_is_stopped() {
            self.start_api_server().await;
        }
    }

    /// Writes all there is to know about it into a folder.
    pub async fn dump_state(&self, folder: &Path) {
        crate::dump::write(self, folder).await;
    }
}
