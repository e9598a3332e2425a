//! Everything there is to know about a cluster, for whoever has to find out why a test failed.

use std::{fs, path::Path};

use k8s_openapi::api::core::v1 as core;
use kube::{Api, api::ListParams};

use crate::{
    cluster::Cluster,
    process::{Output, command, run},
};

/// What is asked of kubectl, and the file that the answer goes to.
const QUESTIONS: &[(&str, &[&str])] = &[
    (
        "overview.txt",
        &["get", "nodes,pods,deployments,statefulsets,services,endpointslices", "-A", "-o", "wide"],
    ),
    ("events.txt", &["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]),
    ("nodes.yaml", &["get", "nodes", "-o", "yaml"]),
    ("workloads.yaml", &["get", "pods,deployments,replicasets,statefulsets,jobs", "-A", "-o", "yaml"]),
    ("network.yaml", &["get", "services,endpointslices", "-A", "-o", "yaml"]),
    ("leases.yaml", &["get", "leases,configmaps", "-A", "-o", "yaml"]),
    ("custom-resources.txt", &["get", "customresourcedefinitions", "-o", "wide"]),
];

/// Writes it into `folder`, which is emptied first. What cannot be had is left out: this is no test.
pub(crate) async fn write(cluster: &Cluster, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let pods = folder.join("pods");
    fs::create_dir_all(&pods).expect("target/cluster can be written");
    copy_logs(cluster.places().logs(), folder);
    for (file, arguments) in QUESTIONS {
        // Where the API server does not run there is nothing to wait for.
        let arguments = [&["--request-timeout=5s"], *arguments].concat();
        keep(folder, file, &cluster.kubectl(&arguments, "").await);
    }
    custom_resources(cluster, folder).await;
    pod_logs(cluster, &pods).await;
    for (file, program) in [("rules.txt", "iptables-save"), ("routes.txt", "ip")] {
        let arguments: &[&str] = if program == "ip" { &["route"] } else { &[] };
        keep(folder, file, &run(command(program, arguments)).await);
    }
}

/// What the cluster's own programs wrote.
fn copy_logs(from: &Path, folder: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            let _ = fs::copy(entry.path(), folder.join(entry.file_name()));
        }
    }
}

/// The objects of kinds that Kubernetes does not bring, such as ours.
async fn custom_resources(cluster: &Cluster, folder: &Path) {
    let names = ["--request-timeout=5s", "get", "customresourcedefinitions", "-o", "name"];
    let names = cluster.kubectl(&names, "").await;
    for name in names.stdout.lines().filter_map(|line| line.split('/').nth(1)) {
        let objects = cluster.kubectl(&["--request-timeout=5s", "get", name, "-A", "-o", "yaml"], "").await;
        keep(folder, &format!("{name}.yaml"), &objects);
    }
}

async fn pod_logs(cluster: &Cluster, folder: &Path) {
    let api: Api<core::Pod> = Api::all(cluster.client());
    let list = tokio::time::timeout(crate::wait::secs(5), api.list(&ListParams::default())).await;
    for pod in list.into_iter().flatten().flat_map(|list| list.items) {
        let (Some(namespace), Some(name)) = (&pod.metadata.namespace, &pod.metadata.name) else { continue };
        for (suffix, previous) in [("", "--previous=false"), (".previous", "--previous=true")] {
            let arguments = [
                "--request-timeout=5s",
                "-n",
                namespace,
                "logs",
                name,
                "--all-containers",
                "--prefix",
                previous,
            ];
            let logs = cluster.kubectl(&arguments, "").await;
            if !logs.stdout.is_empty() {
                keep(folder, &format!("{namespace}.{name}{suffix}.log"), &logs);
            }
        }
    }
}

fn keep(folder: &Path, file: &str, output: &Output) {
    let _ = fs::write(folder.join(file), format!("{}{}", output.stdout, output.stderr));
}
