//! What the ServiceAccounts of both planes may do, by the API server's own account, is what `docs/reference/permissions.md`
//! says: no more, and no less.

use std::{collections::BTreeSet, fs};

use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use kube::{Api, Client, api::PostParams};
use reveille_tests_cluster::{Context, places::repository, secs};
use serde_json::json;

use super::{install, stand_in};

const RELEASE: &str = "chart-rights";
/// What the names of its objects begin with.
const NAME: &str = "chart-rights-reveille";

/// API group, resource, name (none: any), verb.
type Right = (String, String, String, String);

/// In every namespace, or in some.
pub(crate) async fn are_those_of_the_page(t: Context) {
    let (own, apps, other) = (t.namespace().await, t.namespace().await, t.namespace().await);
    install(&own, RELEASE, &[]).await;
    let mut count = 0;
    for plane in ["activator", "controller"] {
        let everywhere = documented(plane, &["apps", "cluster"]);
        let at_home = &everywhere | &documented(plane, &["own"]);
        count += at_home.len();
        expect(&t, own.name(), plane, own.name(), &at_home).await;
        expect(&t, own.name(), plane, other.name(), &everywhere).await;
    }
    t.figure(&format!("{count} rights, as documented"));

    let some = format!("--set=rbac.namespaces={{{}}}", apps.name());
    let fixed = "--set=activator.replicas=1,controller.replicas=1";
    stand_in::upgrade(&own, RELEASE, &[fixed, &some]).await;
    for plane in ["activator", "controller"] {
        let cluster = documented(plane, &["cluster"]);
        expect(&t, own.name(), plane, other.name(), &cluster).await;
        expect(&t, own.name(), plane, apps.name(), &documented(plane, &["apps", "cluster"])).await;
        expect(&t, own.name(), plane, own.name(), &documented(plane, &["own", "cluster"])).await;
    }
    t.cluster.helm_uninstall(own.name(), RELEASE).await;
}

/// Waits until a plane has these rights in a namespace: rules take a moment.
async fn expect(t: &Context, own: &str, plane: &str, namespace: &str, wanted: &BTreeSet<Right>) {
    let client = t.cluster.client_of_service_account(own, &format!("{NAME}-{plane}")).await;
    let nobody = t.cluster.client_of_service_account(own, "default").await;
    let common = granted(nobody, namespace).await;
    let mut found = BTreeSet::new();
    for _ in 0..100 {
        found = &granted(client.clone(), namespace).await - &common;
        if found == *wanted {
            return;
        }
        tokio::time::sleep(secs(10) / 100).await;
    }
    let (more, less) = (&found - wanted, wanted - &found);
    panic!("the {plane} in {namespace} may also {more:?}, and may not {less:?}");
}

/// What the API server says that somebody may do in a namespace.
async fn granted(client: Client, namespace: &str) -> BTreeSet<Right> {
    let api: Api<SelfSubjectRulesReview> = Api::all(client);
    let review =
        serde_json::from_value(json!({ "metadata": {}, "spec": { "namespace": namespace } })).unwrap();
    let status = api.create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    assert!(!status.incomplete, "{status:?}");
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        let names =
            rule.resource_names.filter(|names| !names.is_empty()).unwrap_or_else(|| vec![String::new()]);
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                for name in &names {
                    for verb in &rule.verbs {
                        rights.insert((group.clone(), resource.clone(), name.clone(), verb.clone()));
                    }
                }
            }
        }
    }
    rights
}

/// What the page says of a plane in some kinds of places.
fn documented(plane: &str, places: &[&str]) -> BTreeSet<Right> {
    let page = repository().join("docs/reference/permissions.md");
    let page = fs::read_to_string(page).unwrap();
    let title = if plane == "activator" { "\n## Activators\n" } else { "\n## Controller\n" };
    let (_, table) = page.split_once(title).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let mut rights = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, place, group, resource, verbs, _why, _] = cells[..] else { panic!("not a row: {row}") };
        if !places.contains(&place) {
            continue;
        }
        let (group, resource) = (words(group), words(resource));
        let name = resource.get(1).map(|end| format!("{NAME}{end}")).unwrap_or_default();
        for verb in words(verbs) {
            let group = group.first().cloned().unwrap_or_default();
            rights.insert((group, resource[0].clone(), name.clone(), verb));
        }
    }
    assert!(!rights.is_empty() || !places.contains(&"apps"), "the table of the {plane} was not found");
    rights
}

/// What stands between backticks.
fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
