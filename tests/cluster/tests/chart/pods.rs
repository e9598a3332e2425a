//! The pods of both planes: they start under all of the restrictions, are replaced one by one, and the chart's hook runs
//! before they go.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::api::ListParams;
use reveille_tests_cluster::{
    Context, Namespace,
    process::{command, run},
};

use super::stand_in;

const RELEASE: &str = "chart-pods";

/// From install to uninstall.
pub(crate) async fn start_and_go(t: Context) {
    let namespace = t.namespace().await;
    // Refuses pods that might do more than they need.
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    t.cluster.kubectl(&["label", "namespace", namespace.name(), restricted], "").await.ok();
    stand_in::install(&namespace, RELEASE, &[]).await;
    for (plane, replicas) in [("activator", 2), ("controller", 2)] {
        let deployment: Deployment = namespace.get(&format!("{RELEASE}-reveille-{plane}")).await;
        assert_eq!(deployment.status.unwrap().ready_replicas, Some(replicas), "{plane}");
    }
    the_certificate_is_for_the_name(&t, &namespace).await;
    let (before, secret) = (uids(&namespace).await, secret(&namespace).await);
    stand_in::upgrade(&namespace, RELEASE, &["--set=log.level=debug"]).await;
    let after = uids(&namespace).await;
    assert!(after.iter().all(|uid| !before.contains(uid)), "a changed setting makes new pods");
    assert_eq!(self::secret(&namespace).await.data, secret.data, "the certificate is kept over upgrades");

    let job = format!("{RELEASE}-reveille-give-back");
    let hook = namespace.event(&job, "Completed");
    let (_, said) = tokio::join!(t.cluster.helm_uninstall(namespace.name(), RELEASE), hook);
    assert!(said.contains("completed"), "{said}");
    let left =
        t.cluster.kubectl(&["get", "clusterroles,validatingadmissionpolicies", "-o", "name"], "").await;
    assert!(!left.ok().contains(RELEASE), "nothing is left behind");
}

async fn uids(namespace: &Namespace) -> Vec<String> {
    let pods = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    let list = namespace.api::<Pod>().list(&pods).await.unwrap();
    let there = list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    there.map(|pod| pod.metadata.uid.unwrap()).collect()
}

async fn secret(namespace: &Namespace) -> Secret {
    namespace.get(&format!("{RELEASE}-reveille-control")).await
}

/// The activators' certificate is for the name that the controller asks for, and of the authority that it knows.
async fn the_certificate_is_for_the_name(t: &Context, namespace: &Namespace) {
    let data = secret(namespace).await.data.unwrap();
    let file = |key: &str| {
        let path = t.cluster.places().state(&format!("{RELEASE}-{key}"));
        std::fs::write(&path, &data[key].0).unwrap();
        path.display().to_string()
    };
    let (authority, certificate) = (file("ca.crt"), file("tls.crt"));
    let words = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "reveille-activator"];
    let mut openssl = command("openssl", words);
    openssl.args(["-CAfile", &authority, &certificate]);
    run(openssl).await.ok();
}
