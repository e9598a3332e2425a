//! What a test is given.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::outcome::Skip;
use crate::{cluster::Cluster, namespace::Namespace, report, reveille::Reveille};

/// A test's hands: the cluster, and namespaces that go when it is over.
#[derive(Clone)]
pub struct Context {
    /// The cluster, which other tests use at the same time.
    pub cluster: Cluster,
    name: &'static str,
    // Only for the moment in which one is added.
    namespaces: Arc<Mutex<Vec<Namespace>>>,
}

impl Context {
    pub(super) fn new(cluster: Cluster, name: &'static str) -> Self {
        Self { cluster, name, namespaces: Arc::default() }
    }

    /// A new namespace, named after the test.
    pub async fn namespace(&self) -> Namespace {
        let mut namespaces = self.namespaces.lock().await;
        let mut name = self.name.replace("::", "-").replace('_', "-");
        if !namespaces.is_empty() {
            name = format!("{name}-{}", namespaces.len() + 1);
        }
        let namespace = self.cluster.namespace(&name).await;
        namespaces.push(namespace.clone());
        namespace
    }

    /// The Reveille that tests share. See [`Cluster::reveille`].
    pub async fn reveille(&self) -> Reveille {
        self.cluster.reveille().await
    }

    /// Says what was measured.
    pub fn figure(&self, text: &str) {
        report::figure(self.name, text);
    }

    /// Ends the test as one that cannot run here.
    pub fn skip(&self, reason: &str) -> ! {
        std::panic::resume_unwind(Box::new(Skip(reason.to_owned())))
    }

    /// Gives everything back. Nobody waits for that: no name is used twice.
    pub(super) async fn leave(&self) {
        for namespace in self.namespaces.lock().await.drain(..) {
            namespace.delete().await;
        }
    }
}
