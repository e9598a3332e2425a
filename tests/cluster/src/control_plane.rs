//! The control plane: etcd, the API server, the controllers and the scheduler, as their own programs.

use std::{path::Path, time::Instant};

use kube::Client;
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::{
    credentials::{Credentials, User},
    places::Places,
    process::{Daemon, command, run},
    wait::{ms, secs},
};

/// The addresses of Services.
const SERVICES: &str = "10.96.0.0/16";
/// The addresses of pods, whatever node they are on.
pub(crate) const PODS: &str = "10.244.0.0/16";
const ETCD: &str = "http://127.0.0.1:2379";

/// The running control plane.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    etcd: Daemon,
    api_server: Option<Daemon>,
    /// They run whenever the API server does.
    clients: Option<(Daemon, Daemon)>,
}

impl ControlPlane {
    /// Starts all of it, and returns it with a client of the administrator when the API server is ready.
    pub(crate) async fn start(places: &Places, credentials: &Credentials) -> (Self, Client) {
        let mut etcd = start_etcd(places);
        let started = Instant::now();
        while tokio::net::TcpStream::connect("127.0.0.1:2379").await.is_err() {
            etcd.assert_runs();
            assert!(started.elapsed() < secs(20), "etcd does not listen");
            tokio::time::sleep(ms(10)).await;
        }
        let mut api_server = start_api_server(places, credentials);
        let client = ready(credentials, &mut api_server).await;
        let clients = Some(start_clients(places, credentials));
        let plane = Self { etcd, api_server: Some(api_server), clients };
        (plane, client)
    }

    /// Kills the API server, as if its machine were gone. The controllers and the scheduler end, too, as they do wherever
    /// they elect a leader; those that lived on would try again a minute later only.
    pub(crate) async fn stop_api_server(&mut self) {
        self.api_server.take().expect("the API server runs").kill().await;
        let (controllers, scheduler) = self.clients.take().expect("they run when the API server does");
        controllers.kill().await;
        scheduler.kill().await;
    }

    /// Starts it again, and returns when it is ready.
    pub(crate) async fn start_api_server(&mut self, places: &Places, credentials: &Credentials) {
        assert!(self.api_server.is_none(), "the API server runs");
        let server = self.api_server.insert(start_api_server(places, credentials));
        ready(credentials, server).await;
        self.clients = Some(start_clients(places, credentials));
    }

    /// Whether it was stopped and not started again.
    pub(crate) fn api_server_is_stopped(&self) -> bool {
        self.api_server.is_none()
    }

    /// Sends etcd a signal.
    pub(crate) fn signal_etcd(&self, signal: Signal) {
        self.etcd.signal(signal);
    }
}

/// Forgets every version of every object but the last.
pub(crate) async fn compact_etcd() {
    let ask = async |path: &str, body: &str| {
        let url = format!("{ETCD}/v3/{path}");
        run(command("curl", ["-sS", "--fail-with-body", "-d", body, &url])).await.ok()
    };
    let answer = ask("maintenance/status", "{}").await;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("etcd answers JSON");
    let revision = answer["header"]["revision"].as_str().expect("an answer of etcd has a revision");
    ask("kv/compaction", &format!(r#"{{"revision": "{revision}", "physical": true}}"#)).await;
}

fn start_etcd(places: &Places) -> Daemon {
    let data = places.state("etcd");
    let mut etcd = command(
        places.program("etcd"),
        [
            "--name=etcd",
            "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=etcd=http://127.0.0.1:2380",
            "--log-level=warn",
        ],
    );
    etcd.arg(option("--data-dir", &data));
    Daemon::start("etcd", etcd, &places.log("etcd"))
}

fn start_api_server(places: &Places, credentials: &Credentials) -> Daemon {
    let key = credentials.service_account_key();
    let mut server = command(
        places.program("kube-apiserver"),
        [
            &format!("--etcd-servers={ETCD}"),
            "--advertise-address=10.200.0.1",
            "--secure-port=6443",
            &format!("--service-cluster-ip-range={SERVICES}"),
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ],
    );
    server.args([
        option("--cert-dir", &credentials.certificates()),
        option("--token-auth-file", &credentials.tokens()),
        option("--service-account-key-file", &key),
        option("--service-account-signing-key-file", &key),
    ]);
    Daemon::start("the API server", server, &places.log("kube-apiserver"))
}

/// Waits until the API server says so, and returns a client of the administrator.
async fn ready(credentials: &Credentials, server: &mut Daemon) -> Client {
    let started = Instant::now();
    let mut client = None;
    loop {
        // It makes its certificate when it starts for the first time, which is what a client verifies it with.
        if client.is_none() && credentials.find_authority() {
            client = Some(credentials.client(None).await);
        }
        if let Some(client) = &client {
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a path is a URI");
            if client.request_text(request).await.is_ok() {
                return client.clone();
            }
        }
        server.assert_runs();
        assert!(started.elapsed() < secs(60), "the API server is not ready in a minute; see its log");
        tokio::time::sleep(ms(25)).await;
    }
}

fn start_controllers(places: &Places, credentials: &Credentials) -> Daemon {
    let kubeconfig =
        credentials.kubeconfig("controllers", Some(User::component("system:kube-controller-manager")));
    let mut controllers = command(
        places.program("kube-controller-manager"),
        [
            "--leader-elect=false",
            "--use-service-account-credentials",
            "--bind-address=127.0.0.1",
            // The limits of a client are no subject here, and tests run side by side.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            &format!("--cluster-cidr={PODS}"),
        ],
    );
    controllers.args([
        option("--kubeconfig", &kubeconfig),
        option("--service-account-private-key-file", &credentials.service_account_key()),
        // Pods verify the API server by it.
        option("--root-ca-file", &credentials.authority()),
    ]);
    Daemon::start("the controller manager", controllers, &places.log("kube-controller-manager"))
}

/// The controllers and the scheduler.
fn start_clients(places: &Places, credentials: &Credentials) -> (Daemon, Daemon) {
    (start_controllers(places, credentials), start_scheduler(places, credentials))
}

fn start_scheduler(places: &Places, credentials: &Credentials) -> Daemon {
    let kubeconfig = credentials.kubeconfig("scheduler", Some(User::component("system:kube-scheduler")));
    let mut scheduler =
        command(places.program("kube-scheduler"), ["--leader-elect=false", "--bind-address=127.0.0.1"]);
    scheduler.arg(option("--kubeconfig", &kubeconfig));
    Daemon::start("the scheduler", scheduler, &places.log("kube-scheduler"))
}

/// kube-proxy, which makes the rules for Services. All nodes of the sandbox share its network, so one is enough.
pub(crate) fn start_proxy(places: &Places, credentials: &Credentials, node: &str) -> Daemon {
    let kubeconfig = credentials.kubeconfig("proxy", Some(User::component("system:kube-proxy")));
    let mut proxy: Command = command(
        places.program("kube-proxy"),
        [
            "--proxy-mode=iptables",
            // These limits of the kernel are not the sandbox's own.
            "--conntrack-max-per-core=0",
            "--healthz-bind-address=127.0.0.1:10256",
            "--metrics-bind-address=127.0.0.1:10249",
            &format!("--cluster-cidr={PODS}"),
            &format!("--hostname-override={node}"),
        ],
    );
    proxy.arg(option("--kubeconfig", &kubeconfig));
    Daemon::start("kube-proxy", proxy, &places.log("kube-proxy"))
}

/// `NAME=PATH`.
pub(crate) fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
