//! Who may not do what: planes that run under their chart's own ServiceAccounts are refused what the chart forgot.

use k8s_openapi::api::{
    core::v1::Pod,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, api::ListParams};
use reveille_tests_cluster::{Context, User, secs, until};
use serde_json::json;

/// A ServiceAccount may do nothing until a rule says so, and then no more than that.
pub(crate) async fn are_real(t: Context) {
    let namespace = t.namespace().await;
    let other = t.namespace().await;
    let client = t.cluster.client_of_service_account(namespace.name(), "default").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace.name());
    let nobody = t.cluster.client_of(User { name: "nobody", groups: &[] }).await;
    let nobodys: Api<Pod> = Api::namespaced(nobody, namespace.name());
    let others: Api<Pod> = Api::namespaced(client, other.name());
    let is_refused = async |api: &Api<Pod>| match api.list(&ListParams::default()).await {
        Ok(_) => false,
        Err(kube::Error::Api(status)) if status.code == 403 => true,
        Err(error) => panic!("neither allowed nor refused: {error}"),
    };
    assert!(is_refused(&pods).await, "nothing allows it");
    namespace
        .create::<Role>(json!({
            "metadata": { "name": "reader" },
            "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
        }))
        .await;
    namespace
        .create::<RoleBinding>(json!({
            "metadata": { "name": "reader" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
            "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": namespace.name() }],
        }))
        .await;
    until("the rule is known", secs(10), async || !is_refused(&pods).await).await;
    assert!(is_refused(&nobodys).await, "the rule is for one ServiceAccount");
    assert!(is_refused(&others).await, "the rule is for one namespace");
    let delete = pods.delete("any", &Default::default()).await;
    assert!(
        matches!(&delete, Err(kube::Error::Api(status)) if status.code == 403),
        "the rule is for listing: {delete:?}"
    );
}

/// What a program in a pod does to reach the API server works: its Service's address, the token and the authority that
/// the pod was given.
pub(crate) async fn tokens_are_good_in_pods(t: Context) {
    let namespace = t.namespace().await;
    namespace.client_pod("client").await;
    let pod = namespace.ready_pod("client").await;
    let network = t.cluster.network(&pod).await;
    let folder = t.cluster.volume(&pod, "kube-api-access").await;
    let token = std::fs::read_to_string(folder.join("token")).unwrap();
    let authority = folder.join("ca.crt").display().to_string();
    let header = format!("Authorization: Bearer {token}");
    let url = "https://10.96.0.1/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let arguments = ["-sS", "--max-time", "5", "--cacert", &authority, "-H", &header, "--json", body, url];
    let answer = network.run("curl", &arguments).await.ok();
    let user = format!("system:serviceaccount:{}:default", namespace.name());
    assert!(answer.contains(&user), "{answer}");
}
