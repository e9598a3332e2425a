//! The kubelet of one node.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::NodeSpec;
use crate::{
    control_plane::option,
    credentials::{Credentials, User},
    places::Places,
    process::{Daemon, command},
};

/// Starts it. `folder` is its own.
pub(crate) fn start(
    places: &Places,
    credentials: &Credentials,
    spec: &NodeSpec,
    address: &str,
    folder: &Path,
    socket: &Path,
) -> Daemon {
    let config = folder.join("kubelet.json");
    let text = configuration(spec, address, folder, socket).to_string();
    fs::write(&config, text).expect("the cluster's folders can be written");
    let user = format!("system:node:{}", spec.name);
    let user = User { name: &user, groups: &["system:nodes"] };
    let kubeconfig = credentials.kubeconfig(&format!("kubelet-{}", spec.name), Some(user));
    let labels: Vec<String> = spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut kubelet = command(
        places.program("kubelet"),
        [
            &format!("--hostname-override={}", spec.name),
            &format!("--node-ip={address}"),
            &format!("--node-labels={}", labels.join(",")),
        ],
    );
    kubelet.args([
        option("--config", &config),
        option("--kubeconfig", &kubeconfig),
        option("--root-dir", &folder.join("kubelet")),
        option("--cert-dir", &folder.join("kubelet/pki")),
    ]);
    let name = format!("kubelet-{}", spec.name);
    Daemon::start(&name, kubelet, &places.log(&name))
}

fn configuration(spec: &NodeSpec, address: &str, folder: &Path, socket: &Path) -> Value {
    let resolv = folder.join("resolv.conf");
    fs::write(&resolv, "# there is no DNS in the sandbox\n").expect("the cluster's folders can be written");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Two kubelets on one machine differ in their addresses, not in their ports.
        "address": address,
        "healthzBindAddress": address,
        "containerRuntimeEndpoint": format!("unix://{}", socket.display()),
        "registerWithTaints": spec.taints,
        "podLogsDir": folder.join("pods"),
        "volumePluginDir": folder.join("plugins"),
        "resolvConf": resolv,
        // The API server comes as nobody in particular. Nobody else is in the sandbox.
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        // The control groups of the machine are used as they are found.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // The disk is this machine's memory, and the pods are few: nothing has to be cleaned up.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "memory.available": "1%", "nodefs.available": "1%", "imagefs.available": "1%" },
        "syncFrequency": "1s",
        "eventRecordQPS": 0,
    })
}
