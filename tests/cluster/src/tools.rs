//! The command lines of users: kubectl and Helm.

use std::{path::PathBuf, time::Duration};

use crate::{
    cluster::Cluster,
    process::{Output, command, run_with, run_within},
    wait::secs,
};

impl Cluster {
    /// `kubectl`, as the administrator. `input` is what it reads, such as manifests for `apply -f -`.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut kubectl = command(self.places().program("kubectl"), ["--kubeconfig"]);
        kubectl.arg(self.kubeconfig()).args(arguments).envs(self.homes());
        run_with(kubectl, input).await
    }

    /// Installs a chart, which may be a folder, and waits until what it has is ready. `arguments` are further ones,
    /// such as `--set`.
    ///
    /// # Panics
    /// If Helm refuses.
    pub async fn helm_install(&self, namespace: &str, release: &str, chart: &str, arguments: &[&str]) {
        let fixed = ["install", release, chart, "--namespace", namespace, "--create-namespace", "--wait"];
        self.helm(&[&fixed, arguments].concat()).await.ok();
    }

    /// Changes an installed chart.
    ///
    /// # Panics
    /// If Helm refuses.
    pub async fn helm_upgrade(&self, namespace: &str, release: &str, chart: &str, arguments: &[&str]) {
        let fixed = ["upgrade", release, chart, "--namespace", namespace, "--wait"];
        self.helm(&[&fixed, arguments].concat()).await.ok();
    }

    /// Removes an installed chart, with its hooks.
    ///
    /// # Panics
    /// If Helm refuses.
    pub async fn helm_uninstall(&self, namespace: &str, release: &str) {
        self.helm(&["uninstall", release, "--namespace", namespace, "--wait"]).await.ok();
    }

    /// Helm, as the administrator.
    pub async fn helm(&self, arguments: &[&str]) -> Output {
        self.helm_within(arguments, secs(60)).await
    }

    /// Helm, when it may take so long.
    pub async fn helm_within(&self, arguments: &[&str], patience: Duration) -> Output {
        let mut helm = command(self.places().program("helm"), ["--kubeconfig"]);
        helm.arg(self.kubeconfig()).args(arguments).envs(self.homes());
        run_within(helm, "", patience).await
    }

    /// Where kubectl and Helm keep what they would otherwise keep in the user's home.
    pub fn homes(&self) -> [(&'static str, PathBuf); 4] {
        let home = self.places().state("home");
        let names = ["KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"];
        names.map(|name| (name, home.join(name)))
    }
}
