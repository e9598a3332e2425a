//! Giving all apps back at once, before Reveille itself is taken out of a cluster: deletes every `ScaledApp`, and waits until
//! the controllers that still run have given back each of them.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
    core::DeserializeGuard,
};
use reveille_core::{app::AppId, resource::ScaledApp};

use super::{objects, stores};

/// How long beyond the longest wake it may take.
const GRACE: Duration = Duration::from_secs(60);
/// The longest wake of an app that does not say, or cannot be read.
const DEADLINE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_secs(1);

/// Deletes every `ScaledApp` in scope and waits until they are gone. Returns those that are left when none is about to go any
/// more.
///
/// # Errors
/// The API server's.
pub async fn give_back_all(client: &Client, namespace: Option<&str>) -> Result<Vec<AppId>, kube::Error> {
    let api: Api<DeserializeGuard<ScaledApp>> = stores::api(client, namespace);
    let mut give_up = None;
    loop {
        let apps = match api.list(&ListParams::default()).await {
            Ok(list) => list.items,
            // Without its definition there is none.
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if apps.is_empty() {
            return Ok(Vec::new());
        }
        let longest = apps.iter().map(deadline).max().unwrap_or(DEADLINE);
        let give_up = *give_up.get_or_insert(tokio::time::Instant::now() + longest + GRACE);
        if tokio::time::Instant::now() >= give_up {
            return Ok(apps.iter().map(|app| objects::id(metadata(app))).collect());
        }
        for app in apps.iter().map(metadata).filter(|app| app.deletion_timestamp.is_none()) {
            let id = objects::id(app);
            tracing::info!(app = %id, "it is given back");
            let one: Api<ScaledApp> = Api::namespaced(client.clone(), &id.namespace);
            super::apply::ignore_gone(one.delete(&id.name, &DeleteParams::default()).await.map(|_| ()))?;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn metadata(app: &DeserializeGuard<ScaledApp>) -> &kube::api::ObjectMeta {
    match &app.0 {
        Ok(app) => &app.metadata,
        Err(error) => &error.metadata,
    }
}

fn deadline(app: &DeserializeGuard<ScaledApp>) -> Duration {
    let resolved = app.0.as_ref().ok().and_then(|app| app.resolve().ok());
    resolved.map_or(DEADLINE, |app| app.policy.wake.deadline)
}
