//! Apps that sleep, for the tests of Reveille: a workload, its Service and its `ScaledApp`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Pod, Service},
};
use reveille_tests_cluster::{
    Context, Image, Namespace, Network, Plan, Reveille, ScaledApp, Tally, ms, secs, until_some,
    workload::{deployment, nginx_pod, service, service_without_selector, stateful_set},
};
use serde_json::{Value, json};

use crate::support::address_of;

/// How traffic reaches an app while it is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Through the activators: the Service has no selector.
    Proxy,
    /// Straight to the pods, with the readiness gate in their template.
    Bypass,
}

/// What an app is made of; see the functions that set it.
pub(crate) struct Made {
    name: &'static str,
    mode: Mode,
    replicas: u32,
    spec: Value,
    pod: Value,
    ports: Value,
    stateful: bool,
}

/// An app in a namespace of its own, with a client in a pod.
pub(crate) struct App {
    pub(crate) namespace: Namespace,
    pub(crate) scaled: ScaledApp,
    pub(crate) name: &'static str,
    /// Its Service's address and first port.
    pub(crate) address: SocketAddr,
    pub(crate) client: Network,
    pub(crate) reveille: Reveille,
}

/// A web server that falls asleep after two seconds.
pub(crate) fn nginx(mode: Mode) -> Made {
    let mut pod = nginx_pod();
    if mode == Mode::Bypass {
        pod["readinessGates"] = json!([{ "conditionType": "reveille.dev/direct" }]);
        // The kubelet's probes by HTTP are requests to nginx as any other, and it would never look idle.
        pod["containers"][0].as_object_mut().unwrap().remove("readinessProbe");
        // A pod that was told to end goes on answering until the nodes have heard of it.
        pod["containers"][0]["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 2 } } });
    }
    let mut spec = json!({ "idle": { "ttl": "2s" } });
    if mode == Mode::Bypass {
        spec["idle"]["scrape"] = json!({ "nginx": { "port": 80, "path": "/stub_status" } });
    }
    Made {
        name: "web",
        mode,
        replicas: 0,
        spec,
        pod,
        ports: json!([{ "name": "http", "port": 80, "targetPort": 80 }]),
        stateful: false,
    }
}

/// One of the servers of `tests/local`, on port 8080.
pub(crate) fn server(arguments: &[&str], app_protocol: &str, mode: Mode) -> Made {
    let mut made = nginx(mode);
    made.pod["containers"][0] = json!({
        "name": "app",
        "image": Image::servers().name(),
        "imagePullPolicy": "Never",
        "command": arguments,
        "env": [{ "name": "SLOW_HOST", "value": "0.0.0.0" }, { "name": "SLOW_PORT", "value": "8080" },
                { "name": "SLOW_LOG", "value": "/tmp/log" },
                { "name": "SLOW_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
    });
    made.ports = json!([{ "name": "main", "port": 80, "targetPort": 8080, "appProtocol": app_protocol }]);
    made
}

impl Made {
    /// Names it.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Begins awake, with that many.
    pub(crate) fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds to the spec of its `ScaledApp`: a merge, one level deep.
    pub(crate) fn spec(mut self, more: Value) -> Self {
        merge(&mut self.spec, more);
        self
    }

    /// Changes its pods.
    pub(crate) fn pod(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.pod);
        self
    }

    /// One of [`server`] that takes so long before it listens.
    pub(crate) fn starting_after(self, millis: u32) -> Self {
        self.pod(|pod| {
            let start = json!({ "name": "SLOW_START_MS", "value": millis.to_string() });
            pod["containers"][0]["env"].as_array_mut().unwrap().push(start);
        })
    }

    /// It is a StatefulSet.
    pub(crate) fn stateful(mut self) -> Self {
        self.stateful = true;
        self
    }

    /// Makes all of it, in a namespace of its own, and waits until Reveille has it in hand.
    pub(crate) async fn make(self, t: &Context) -> App {
        let app = self.begin(t).await;
        app.scaled
            .until("it is ready and asleep or awake", secs(60), |status| {
                status.is_ready() && matches!(status.phase(), Some("Asleep" | "Awake"))
            })
            .await;
        app.until_reached().await;
        app
    }

    /// Makes all of it, and waits for nothing that Reveille does.
    pub(crate) async fn begin(self, t: &Context) -> App {
        let reveille = t.reveille().await;
        t.cluster.image(&Image::nginx()).await;
        t.cluster.image(&Image::servers()).await;
        let namespace = t.namespace().await;
        let client = namespace.client_pod("client").await;
        let address = self.workload(&namespace).await;
        let spec = self.scaled_app();
        let scaled = ScaledApp::create(&namespace, self.name, &spec).await;
        App { namespace, scaled, name: self.name, address, client, reveille }
    }

    /// The workload and the Service alone, whose address is returned.
    pub(crate) async fn workload(&self, namespace: &Namespace) -> SocketAddr {
        if self.stateful {
            namespace.create::<StatefulSet>(stateful_set(self.name, self.replicas, &self.pod)).await;
        } else {
            namespace.create::<Deployment>(deployment(self.name, self.replicas, &self.pod)).await;
        }
        let mut manifest = match self.mode {
            Mode::Proxy => service_without_selector(self.name),
            Mode::Bypass => service(self.name),
        };
        manifest["spec"]["ports"] = self.ports.clone();
        let service: Service = namespace.create(manifest).await;
        address_of(&service)
    }

    /// The spec of its `ScaledApp`.
    pub(crate) fn scaled_app(&self) -> Value {
        let kind = if self.stateful { "StatefulSet" } else { "Deployment" };
        let mut spec = json!({ "target": { "kind": kind, "name": self.name }, "service": self.name });
        merge(&mut spec, self.spec.clone());
        spec
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

impl App {
    /// Its URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What its clients do by default.
    pub(crate) fn plan(&self) -> Plan {
        Plan::of(self.address)
    }

    /// Waits until the nodes lead its Service somewhere. A connection on which nothing is asked wakes nobody.
    pub(crate) async fn until_reached(&self) {
        let connect = format!("exec 3<>/dev/tcp/{}/{}", self.address.ip(), self.address.port());
        reveille_tests_cluster::until("its Service leads somewhere", secs(30), async || {
            self.client.run("timeout", &["1", "bash", "-c", &connect]).await.status.success()
        })
        .await;
    }

    /// One request, and how long it took.
    ///
    /// # Panics
    /// Unless it is answered with status 200.
    pub(crate) async fn call(&self) -> (String, Duration) {
        let started = Instant::now();
        let answer = self.client.get(&self.url("/"), secs(60)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.body.trim().to_owned(), started.elapsed())
    }

    /// So many requests at once, one each.
    pub(crate) async fn crowd(&self, clients: usize) -> Tally {
        self.client.at_once(&Plan { clients, ..self.plan() }).join().await
    }

    /// Its pods that were not told to end.
    pub(crate) async fn pods(&self) -> Vec<Pod> {
        let pods = self.namespace.pods(self.name).await;
        pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Its pod, once it has an address.
    pub(crate) async fn pod_with_address(&self) -> (Pod, String) {
        until_some("a pod with an address", secs(60), async || {
            let pod = self.pods().await.into_iter().next()?;
            let address = pod.status.as_ref()?.pod_ip.clone()?;
            Some((pod, address))
        })
        .await
    }

    /// The replicas that its workload asks for.
    pub(crate) async fn replicas(&self) -> i32 {
        let deployment: Deployment = self.namespace.get(self.name).await;
        deployment.spec.replicas.unwrap_or(1)
    }

    /// Waits until it is asleep, and its pods are gone.
    pub(crate) async fn until_asleep(&self) {
        self.scaled.until_phase("Asleep", secs(60)).await;
        reveille_tests_cluster::until("its pods are gone", secs(60), async || {
            self.namespace.pods(self.name).await.is_empty()
        })
        .await;
    }

    /// A metric of all activators together.
    pub(crate) async fn counted(&self, metric: &str) -> f64 {
        let labels = [("namespace", self.namespace.name()), ("app", self.name)];
        self.reveille.sum(metric, &labels).await
    }
}

/// A client that leaves 10 ms between two requests.
pub(crate) fn paced(plan: Plan) -> Plan {
    Plan { pause: ms(10), ..plan }
}
