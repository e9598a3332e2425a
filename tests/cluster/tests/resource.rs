//! `ScaledApp` as a cluster knows it: what it takes, what it refuses and in which words, and how it reads.

use std::{fs, path::PathBuf};

use reveille_tests_cluster::{Context, secs, until};

/// A path of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// The objects of a folder of `tests/cluster-objects`, by the names of their files.
fn objects(folder: &str) -> Vec<(String, String)> {
    let folder = repository("tests/cluster-objects").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The lines behind `# refused: `: one field's message each.
fn expected(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# refused: ")).collect()
}

/// The chart's definition is taken, without a warning.
pub(crate) async fn define(t: &Context) {
    let definition = fs::read_to_string(repository("deploy/chart/crds/scaledapp.yaml")).unwrap();
    let applied = t.cluster.kubectl(&["apply", "--server-side", "-f", "-"], &definition).await;
    assert!(!applied.stderr.contains("Warning"), "{applied:?}");
    applied.ok();
    until("the kind is served", secs(20), async || {
        t.cluster.kubectl(&["get", "scaledapps", "-A"], "").await.status.success()
    })
    .await;
}

/// Every good object is taken as it is, and every bad one refused with the words that it says.
pub(crate) async fn what_is_taken_and_what_is_refused(t: Context) {
    define(&t).await;
    let (good, bad) = (objects("good"), objects("bad"));
    let namespace = t.namespace().await;
    for (file, text) in &good {
        let applied = namespace.cluster().kubectl(&["-n", namespace.name(), "apply", "-f", "-"], text).await;
        assert!(applied.status.success(), "{file}: {applied:?}");
    }
    // What is refused leaves nothing behind, but what came before it in the same file does.
    let shared = t.namespace().await;
    for (file, text) in &bad {
        let own = if text.contains("\n---\n") { Some(t.namespace().await) } else { None };
        let namespace = own.as_ref().unwrap_or(&shared);
        let applied = namespace.cluster().kubectl(&["-n", namespace.name(), "apply", "-f", "-"], text).await;
        assert!(!applied.status.success(), "{file} was taken");
        let said = format!("{}{}", applied.stdout, applied.stderr);
        let expected = expected(text);
        assert!(!expected.is_empty(), "{file} does not say why it is refused");
        for message in expected {
            assert!(said.contains(message), "{file}: expected `{message}` in:\n{said}");
        }
    }
    t.figure(&format!("{} objects taken, {} refused in their words", good.len(), bad.len()));
}

/// `kubectl get` has the columns, and `kubectl explain` the reference.
pub(crate) async fn how_it_reads(t: Context) {
    define(&t).await;
    let namespace = t.namespace().await;
    namespace
        .apply(
            "apiVersion: reveille.dev/v1alpha1\nkind: ScaledApp\nmetadata: {name: web}\n\
             spec: {target: {name: web}, service: web, idle: {ttl: 10m}}\n",
        )
        .await;
    let table = namespace.kubectl(&["get", "sapp"]).await.ok();
    let columns: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "TARGET", "PHASE", "REPLICAS", "SINCE", "AGE"]);
    let explained = t.cluster.kubectl(&["explain", "scaledapp.spec.idle.ttl"], "").await.ok();
    assert!(explained.contains("100ms") && explained.contains("never"), "{explained}");
}
