//! kubectl and Helm, as users have them.

use std::fs;

use k8s_openapi::api::core::v1::ConfigMap;
use reveille_tests_cluster::Context;

use crate::support::web;

/// The API server reaches kubelets, and these their containers.
pub(crate) async fn kubectl_reaches_pods(t: Context) {
    let (namespace, _) = web(&t, 1).await;
    let pod = namespace.ready_pod("web").await.metadata.name.unwrap();
    let version = namespace.kubectl(&["exec", &pod, "--", "nginx", "-v"]).await;
    assert!(version.stderr.contains("nginx version"), "{version:?}");
    let table = namespace.kubectl(&["get", "deployment", "web"]).await.ok();
    assert!(table.contains("1/1"), "{table}");
}

/// A chart is installed, changed and removed.
pub(crate) async fn helm_installs_and_removes(t: Context) {
    let namespace = t.namespace().await;
    let chart = t.cluster.places().state("chart-of-helm-test");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: sample\nversion: 0.1.0\n").unwrap();
    fs::write(chart.join("values.yaml"), "word: first\n").unwrap();
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sample}\ndata: {word: {{ .Values.word }}}\n";
    fs::write(chart.join("templates/map.yaml"), template).unwrap();
    let chart = chart.display().to_string();
    let word = async || namespace.get::<ConfigMap>("sample").await.data.unwrap()["word"].clone();
    t.cluster.helm_install(namespace.name(), "sample", &chart, &[]).await;
    assert_eq!(word().await, "first");
    t.cluster.helm_upgrade(namespace.name(), "sample", &chart, &["--set", "word=second"]).await;
    assert_eq!(word().await, "second");
    t.cluster.helm_uninstall(namespace.name(), "sample").await;
    assert!(namespace.api::<ConfigMap>().get_opt("sample").await.unwrap().is_none());
}
