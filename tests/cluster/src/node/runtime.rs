//! The containers of one node: a containerd of its own, with its own network of pods.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio::{net::UnixStream, process::Command};

use super::tree;
use crate::{
    image::PAUSE,
    places::Places,
    process::{Daemon, Output, command, run},
    wait::{ms, secs},
};

/// Where Debian keeps the programs that give pods their network.
pub(crate) const CNI: &str = "/usr/lib/cni";
/// containerd's name for what belongs to Kubernetes.
const NAMESPACE: &str = "k8s.io";

/// A running containerd.
#[derive(Debug)]
pub(crate) struct Runtime {
    daemon: Daemon,
    ctr: PathBuf,
    folder: PathBuf,
    subnet: String,
}

impl Runtime {
    /// Starts one in a folder of its own, and returns when it listens. `subnet` is the third byte of its pods'
    /// addresses.
    pub(crate) async fn start(places: &Places, name: &str, folder: PathBuf, subnet: u8) -> Self {
        let subnet = format!("10.244.{subnet}.0/24");
        fs::create_dir_all(folder.join("cni")).expect("the cluster's folders can be written");
        write(&folder.join("cni/10-pods.conflist"), &network(&folder, &subnet).to_string());
        write(&folder.join("containerd.toml"), &configuration(&folder));
        let mut containerd = Command::new(places.program("containerd"));
        containerd.arg("--config").arg(folder.join("containerd.toml"));
        // It looks its shim up there.
        let path = std::env::var("PATH").unwrap_or_default();
        containerd.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", places.programs().display()));
        let daemon = Daemon::start(name, containerd, &places.log(name));
        let mut this = Self { daemon, ctr: places.program("ctr"), folder, subnet };
        let started = tokio::time::Instant::now();
        while UnixStream::connect(this.socket()).await.is_err() {
            this.daemon.assert_runs();
            assert!(started.elapsed() < secs(20), "{name} does not listen");
            tokio::time::sleep(ms(10)).await;
        }
        this
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// Asks it something.
    pub(crate) async fn ctr(&self, arguments: &[&str]) -> Output {
        let mut ctr = command(&self.ctr, ["--address"]);
        ctr.arg(self.socket()).args(["--namespace", NAMESPACE]).args(arguments);
        run(ctr).await
    }

    /// Takes an image in, from a file as `docker save` writes it.
    pub(crate) async fn import(&self, archive: &Path) {
        let archive = archive.to_str().expect("the cluster's folders have names of ASCII");
        self.ctr(&["images", "import", "--no-unpack=false", archive]).await.ok();
    }

    /// The network namespace of a pod, if it has one here.
    pub(crate) async fn network_namespace(&self, pod: &str) -> Option<PathBuf> {
        let sandbox =
            format!(r#"labels."io.kubernetes.pod.uid"=={pod},labels."io.cri-containerd.kind"==sandbox"#);
        let list = self.ctr(&["containers", "list", "--quiet", &sandbox]).await.ok();
        let info = self.ctr(&["containers", "info", list.lines().next()?]).await.ok();
        let info: Value = serde_json::from_str(&info).expect("ctr writes JSON");
        let namespaces = info["Spec"]["linux"]["namespaces"].as_array()?;
        let network = namespaces.iter().find(|namespace| namespace["type"] == "network")?;
        Some(network["path"].as_str()?.into())
    }

    /// The pid of a pod's running container.
    pub(crate) async fn pid(&self, pod: &str, container: &str) -> Option<i32> {
        let filter = format!(
            r#"labels."io.kubernetes.pod.uid"=={pod},labels."io.kubernetes.container.name"=={container}"#
        );
        let list = self.ctr(&["containers", "list", "--quiet", &filter]).await.ok();
        let tasks = self.ctr(&["tasks", "list"]).await.ok();
        tasks.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (id, pid, state) = (words.next()?, words.next()?, words.next()?);
            (state == "RUNNING" && list.lines().any(|known| known == id)).then(|| pid.parse().ok())?
        })
    }

    /// Ends it and every container, all at once, as the end of a machine does. Packets to its pods then get no
    /// answer, not even a refusal.
    pub(crate) async fn end(self) {
        let socket = self.socket();
        self.daemon.kill().await;
        // The shims outlive it on purpose, and name it in their arguments.
        tree::kill_with_descendants(&socket.display().to_string()).await;
        run(command("ip", ["route", "add", "blackhole", &self.subnet])).await.ok();
        let networks = fs::read_dir(self.folder.join("state/io.containerd.grpc.v1.cri/netns"));
        for network in networks.into_iter().flatten().flatten() {
            // The last reference to it: its interfaces go, and with them the routes to the pod.
            run(command("umount", [network.path()])).await.ok();
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}

/// Point to point instead of a bridge: replies between two pods of one bridge pass by connection tracking, which breaks
/// the addresses of Services.
fn network(folder: &Path, subnet: &str) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": folder.join("addresses"),
                "ranges": [[{ "subnet": subnet }]],
                // Without it pods reach no Service.
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    // What is disabled would put folders into the machine's own file system, or needs devices that are not there.
    format!(
        r#"version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs"]

[grpc]
address = "{folder}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI}"]
conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
"#
    )
}
