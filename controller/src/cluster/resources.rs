//! Under which path the API server keeps a kind: known for those of `apps/v1`, else asked for and remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::{
    Client, Error,
    core::{ApiResource, GroupVersion, GroupVersionKind},
    discovery,
};
use reveille_core::resource::TargetSpec;

use super::traits::ScaleError;

/// See the [module](self).
pub(super) struct Resources {
    client: Client,
    /// By apiVersion and kind. A plain lock, held for a look-up only.
    found: Mutex<HashMap<(String, String), ApiResource>>,
}

impl Resources {
    pub(super) fn new(client: Client) -> Self {
        Self { client, found: Mutex::default() }
    }

    /// Finds the kind of a target.
    ///
    /// # Errors
    /// [`ScaleError::NotFound`] if there is no such kind, [`ScaleError::NotScalable`] if it has no `/scale`.
    pub(super) async fn find(&self, target: &TargetSpec) -> Result<ApiResource, ScaleError> {
        let TargetSpec { api_version, kind, .. } = target;
        let wanted = gvk(target)?;
        if let Some(plural) = target.known_plural() {
            return Ok(ApiResource::from_gvk_with_plural(&wanted, plural));
        }
        if let Some(found) = self.lock().get(&key(target)) {
            return Ok(found.clone());
        }
        let (resource, may) = discovery::pinned_kind(&self.client, &wanted).await.map_err(|error| {
            let is_missing = match &error {
                Error::Discovery(_) => true,
                Error::Api(status) => status.is_not_found(),
                _ => false,
            };
            if is_missing {
                ScaleError::NotFound(format!("the API server knows no kind {kind} in {api_version}"))
            } else {
                ScaleError::Unreachable(format!(
                    "which resource {kind} in {api_version} is, is not known: {error}"
                ))
            }
        })?;
        if !may.subresources.iter().any(|(sub, _)| sub.plural == "scale") {
            return Err(ScaleError::NotScalable(format!(
                "a {kind} of {api_version} has no /scale subresource"
            )));
        }
        self.lock().insert(key(target), resource.clone());
        Ok(resource)
    }

    /// Forgets a kind: it may be gone, or be served differently.
    pub(super) fn forget(&self, target: &TargetSpec) {
        self.lock().remove(&key(target));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), ApiResource>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(target: &TargetSpec) -> (String, String) {
    (target.api_version.clone(), target.kind.clone())
}

fn gvk(target: &TargetSpec) -> Result<GroupVersionKind, ScaleError> {
    let version: GroupVersion = target.api_version.parse().map_err(|_| {
        ScaleError::NotFound(format!("{:?} is no group and version, such as apps/v1", target.api_version))
    })?;
    Ok(version.with_kind(&target.kind))
}
