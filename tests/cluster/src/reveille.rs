//! Reveille in the cluster, installed as users do: by its chart.

use std::{fs, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{Namespace, Pod, Service},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    cluster::Cluster,
    image::Image,
    metrics::Metrics,
    places,
    pod::is_ready,
    process::{command, run},
    scale_api::{KEYS, ScaleApi},
    wait::{secs, until, until_some},
};

/// Where it is installed, and under which name: that is what all names begin with.
pub const NAMESPACE: &str = "scale-system";
/// The name of the release.
pub const RELEASE: &str = "reveille";
/// How long a rollout may take. Below the time that a tool is given.
const ROLLOUT: &str = "--timeout=50s";
/// How long the chart's hook may take to give all apps back.
const GIVE_BACK: Duration = secs(300);

/// For tests: times are short, machines small, logs long.
const VALUES: &str = r#"
image: {repository: reveille.test/reveille, tag: "1", pullPolicy: Never}
log: {level: "debug,h2=error,hyper=info,hyper_util=info,kube=info,rustls=info,tower=info"}
activator:
  drainSeconds: 20
  minReadySeconds: 0
  workers: 2
  accessLog: true
  resources: {requests: {cpu: 10m, memory: 32Mi}, limits: null}
scaleApi: {keys: {existingSecret: reveille-keys}}
controller:
  sleepDelay: 2s
  resources: {requests: {cpu: 10m, memory: 32Mi}, limits: null}
"#;

/// An installed Reveille. There is one in a cluster: tests that install it run alone, or share it.
#[derive(Clone)]
pub struct Reveille {
    cluster: Cluster,
}

impl Reveille {
    /// Installs it, and returns when it is ready. `values` are what `--set` takes, on top of those for tests.
    ///
    /// # Panics
    /// If Helm refuses, or it does not get ready.
    pub async fn install(cluster: &Cluster, values: &[(&str, &str)]) -> Self {
        cluster.image(&Image::reveille()).await;
        make_keys(cluster).await;
        let this = Self { cluster: cluster.clone() };
        this.roll_out(&["install", "--create-namespace"], values).await;
        this
    }

    /// Changes it, and returns when it is ready again. What `values` do not say is as it is in tests.
    ///
    /// # Panics
    /// If Helm refuses, or it does not get ready.
    pub async fn upgrade(&self, values: &[(&str, &str)]) {
        self.roll_out(&["upgrade"], values).await;
    }

    async fn roll_out(&self, how: &[&str], values: &[(&str, &str)]) {
        let file = self.cluster.places().state("reveille-values.yaml");
        fs::write(&file, VALUES).expect("the cluster's folders can be written");
        let (file, chart) = (file.display().to_string(), chart());
        let set: Vec<String> = values.iter().map(|(key, value)| format!("--set={key}={value}")).collect();
        let fixed = [RELEASE, &chart, "--namespace", NAMESPACE, "--values", &file, "--wait", ROLLOUT];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        self.cluster.helm(&[how, &fixed, &set].concat()).await.ok();
        self.until_ready().await;
    }

    /// Waits until every pod of both planes is ready and one controller leads.
    ///
    /// # Panics
    /// If they are not in a minute.
    pub async fn until_ready(&self) {
        let deployments: Api<Deployment> = self.api();
        for plane in ["activator", "controller"] {
            let name = format!("{RELEASE}-{plane}");
            until(&format!("{name} is rolled out"), secs(60), async || {
                deployments.get(&name).await.is_ok_and(|deployment| is_rolled_out(&deployment))
            })
            .await;
        }
        until_some("a controller leads", secs(60), async || self.leader().await).await;
    }

    /// Removes it as users do, with its namespace, after it gave every app back.
    ///
    /// # Panics
    /// If Helm refuses, or an app is not given back in time.
    pub async fn uninstall(self) {
        let timeout = format!("--timeout={}s", GIVE_BACK.as_secs());
        let arguments = ["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", &timeout];
        self.cluster.helm_within(&arguments, GIVE_BACK + secs(10)).await.ok();
        let namespaces: Api<Namespace> = Api::all(self.cluster.client());
        let _ = namespaces.delete(NAMESPACE, &DeleteParams::default()).await; // which is gone if it was
        until("the namespace is gone", secs(60), async || {
            namespaces.get_opt(NAMESPACE).await.is_ok_and(|namespace| namespace.is_none())
        })
        .await;
    }

    /// Sets how many activators there are. Waits for nothing.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn scale_activators(&self, replicas: u32) {
        self.scale("activator", replicas).await;
    }

    /// Sets how many controllers there are. Waits for nothing.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn scale_controllers(&self, replicas: u32) {
        self.scale("controller", replicas).await;
    }

    async fn scale(&self, plane: &str, replicas: u32) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let deployments: Api<Deployment> = self.api();
        let name = format!("{RELEASE}-{plane}");
        let scaled = deployments.patch(&name, &PatchParams::default(), &patch).await;
        scaled.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// A metric of all activators that answer, added up.
    pub async fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum_of(&self.activators().await, metric, labels).await
    }

    /// A metric of all controllers that answer, added up: each counts what it did while it led.
    pub async fn controller_sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum_of(&self.controllers().await, metric, labels).await
    }

    async fn sum_of(&self, pods: &[Pod], metric: &str, labels: &[(&str, &str)]) -> f64 {
        let mut sum = 0.0;
        for pod in pods {
            sum += self.try_metrics(pod).await.map_or(0.0, |metrics| metrics.sum(metric, labels));
        }
        sum
    }

    /// Its pods, as the administrator.
    pub fn pods_api(&self) -> Api<Pod> {
        self.api()
    }

    /// The activators' pods that exist, ready or not.
    ///
    /// # Panics
    /// If the API server does not say.
    pub async fn activators(&self) -> Vec<Pod> {
        self.pods("activator").await
    }

    /// The controllers' pods that exist, ready or not.
    ///
    /// # Panics
    /// If the API server does not say.
    pub async fn controllers(&self) -> Vec<Pod> {
        self.pods("controller").await
    }

    async fn pods(&self, plane: &str) -> Vec<Pod> {
        let labels = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={plane}");
        let list = self.api::<Pod>().list(&ListParams::default().labels(&labels)).await;
        list.expect("pods can be listed").items
    }

    /// The controller that leads, if the lease names a pod that is ready.
    pub async fn leader(&self) -> Option<Pod> {
        let lease = self.api::<Lease>().get_opt(&format!("{RELEASE}-leader")).await.ok().flatten()?;
        let holder = lease.spec?.holder_identity?;
        // Behind the pod's name stands what tells its runs apart.
        let pod = holder.split('_').next()?;
        self.api::<Pod>().get_opt(pod).await.ok().flatten().filter(is_ready)
    }

    /// What a pod of either plane counts, now.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn metrics(&self, pod: &Pod) -> Metrics {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.try_metrics(pod).await.unwrap_or_else(|| panic!("{name} does not say what it counts"))
    }

    async fn try_metrics(&self, pod: &Pod) -> Option<Metrics> {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref())?;
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("http://{host}:9090/metrics");
        let answer = run(command("curl", ["-sS", "--fail", "--max-time", "5", &url])).await;
        answer.status.success().then(|| Metrics::parse(&answer.stdout))
    }

    /// The Scale API, by the address of its Service, as the administrator of it.
    ///
    /// # Panics
    /// If there is no such Service.
    pub async fn scale_api(&self) -> ScaleApi {
        let service = self.api::<Service>().get("scale-api").await.expect("the chart makes it");
        let address = service.spec.and_then(|spec| spec.cluster_ip).expect("it has an address");
        ScaleApi::at(&address)
    }

    fn api<K: crate::namespace::Kind>(&self) -> Api<K> {
        Api::namespaced(self.cluster.client(), NAMESPACE)
    }
}

/// The Secret that the Scale API is installed with, in the namespace that is there before the chart.
async fn make_keys(cluster: &Cluster) {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reveille-keys", "namespace": NAMESPACE},
            "stringData": {"keys": KEYS}},
    ]});
    cluster.kubectl(&["apply", "-f", "-"], &objects.to_string()).await.ok();
}

/// The folder of the chart.
pub fn chart() -> String {
    places::repository().join("deploy/chart").display().to_string()
}

/// Whether all replicas are of the newest version, and ready.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    status.observed_generation == deployment.metadata.generation
        && [status.updated_replicas, status.ready_replicas, status.replicas] == [Some(wanted); 3]
}
