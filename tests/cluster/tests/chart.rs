//! The chart by itself: what it makes, what it refuses, and what its planes may do. What is installed here are stand-ins for
//! the planes, unless it matters what they are.

pub(crate) mod objects;
pub(crate) mod pods;
pub(crate) mod policies;
pub(crate) mod rights;
mod stand_in;

use reveille_tests_cluster::{Cluster, Namespace, process::Output, reveille::chart};

/// What `helm template` makes of values, each as of `--set`.
async fn template(cluster: &Cluster, namespace: &str, release: &str, arguments: &[&str]) -> Output {
    let chart = chart();
    let fixed = ["template", release, &chart, "--namespace", namespace, "--kube-version", "1.33.0"];
    cluster.helm(&[&fixed, arguments].concat()).await
}

/// Installs the chart without waiting for pods: for tests of the objects that it makes.
async fn install(namespace: &Namespace, release: &str, arguments: &[&str]) {
    stand_in::install(
        namespace,
        release,
        &[&["--set=activator.replicas=1,controller.replicas=1"], arguments].concat(),
    )
    .await;
}
