//! The [`Directory`] of a cluster: what the table says, one app at a time, each as it is when it is its turn. So a burst
//! of changes of one app is one change, and nothing piles up.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reveille_core::{app::AppId, directory::Change};

use super::apps::{Apps, Release};
use crate::traits::Directory;

/// See the [module](self).
pub(crate) struct ClusterDirectory {
    apps: Arc<Apps>,
    /// What follows once the data plane has taken over the last change. It has when it asks for the next one.
    then: Option<(AppId, Release)>,
}

impl ClusterDirectory {
    pub(crate) fn new(apps: Arc<Apps>) -> Self {
        Self { apps, then: None }
    }
}

impl Directory for ClusterDirectory {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(async {
            if let Some((id, release)) = self.then.take() {
                self.apps.release(&id, release);
            }
            loop {
                if let Some((change, id, release)) = self.apps.next_change() {
                    self.then = Some((id, release));
                    return Some(change);
                }
                self.apps.changed().await;
            }
        })
    }
}
