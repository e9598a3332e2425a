//! What the activator asks the API server of one app: three calls, each bounded in time, none repeated by itself.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use futures_util::future::BoxFuture;
use k8s_openapi::api::{autoscaling::v1 as autoscaling, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use reveille_core::{
    app::AppId,
    resource::{TargetSpec, names},
};

use super::{
    slices::{Slice, SliceList, version},
    stance::Scale,
};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which slices tell of apps' pods: not those that lead to the activators.
pub(crate) fn selector(app: Option<&AppId>) -> String {
    let label = names::APP_LABEL;
    let of_app = app.map_or_else(|| label.to_owned(), |app| format!("{label}={}", app.name));
    format!("{of_app},endpointslice.kubernetes.io/managed-by!={}", names::MANAGED_BY)
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such object, or no such kind.
    #[error("{0}")]
    NotFound(String),
    /// The activators' account may not.
    #[error("{0}")]
    Forbidden(String),
    /// It is not as it was read any more.
    #[error("{0}")]
    Conflict(String),
    /// It is as it was read, and yet the API server does not take the count: an admission policy, or the kind's own schema.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that says nothing about what was asked.
    #[error("{0}")]
    Unavailable(String),
}

/// The API server, as far as one app's errands need it.
pub(crate) trait Cluster: Send + Sync {
    /// The app's slices as they are now: a consistent list, as a cache of it may be old.
    fn slices<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Result<SliceList, ApiError>>;

    /// The count that the app's target asks for.
    fn scale<'a>(&'a self, app: &'a AppId, target: &'a TargetSpec) -> BoxFuture<'a, Result<Scale, ApiError>>;

    /// Raises it, if it is still 0 and as it was read.
    fn raise<'a>(
        &'a self,
        app: &'a AppId,
        target: &'a TargetSpec,
        read: &'a Scale,
        replicas: u32,
    ) -> BoxFuture<'a, Result<Scale, ApiError>>;
}

/// The real one.
pub(crate) struct KubeCluster {
    client: Client,
    /// Resources of kinds that are not built in. A lock, as it is taken once a call and never held while one runs.
    found: Mutex<HashMap<(String, String), ApiResource>>,
}

impl KubeCluster {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, found: Mutex::default() }
    }

    async fn target(&self, app: &AppId, target: &TargetSpec) -> Result<Api<DynamicObject>, ApiError> {
        let (group, version) = match target.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", target.api_version.as_str()),
        };
        let gvk = GroupVersionKind::gvk(group, version, &target.kind);
        let resource = match target.known_plural() {
            Some(plural) => ApiResource::from_gvk_with_plural(&gvk, plural),
            None => self.find(&gvk, target).await?,
        };
        Ok(Api::namespaced_with(self.client.clone(), &app.namespace, &resource))
    }

    async fn find(&self, gvk: &GroupVersionKind, target: &TargetSpec) -> Result<ApiResource, ApiError> {
        let key = (target.api_version.clone(), target.kind.clone());
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found().get(&key) {
            return Ok(known.clone());
        }
        let what = format!("find {} of {}", target.kind, target.api_version);
        let looked = bounded(&what, kube::discovery::pinned_kind(&self.client, gvk)).await;
        let (resource, _) = looked?;
        found().insert(key, resource.clone());
        Ok(resource)
    }
}

impl Cluster for KubeCluster {
    fn slices<'a>(&'a self, app: &'a AppId) -> BoxFuture<'a, Result<SliceList, ApiError>> {
        Box::pin(async move {
            let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &app.namespace);
            let params = ListParams::default().labels(&selector(Some(app)));
            let list = bounded("list endpointslices", api.list(&params)).await?;
            let read = |slice| Slice::read(slice).filter(|(id, ..)| id == app);
            Ok(SliceList {
                version: version(list.metadata.resource_version.as_ref()),
                slices: list.items.iter().filter_map(read).map(|(_, name, slice)| (name, slice)).collect(),
            })
        })
    }

    fn scale<'a>(&'a self, app: &'a AppId, target: &'a TargetSpec) -> BoxFuture<'a, Result<Scale, ApiError>> {
        Box::pin(async move {
            let api = self.target(app, target).await?;
            let what = format!("get the scale of {} {}", target.kind, target.name);
            read(bounded(&what, api.get_scale(&target.name)).await?)
        })
    }

    fn raise<'a>(
        &'a self,
        app: &'a AppId,
        target: &'a TargetSpec,
        read_before: &'a Scale,
        replicas: u32,
    ) -> BoxFuture<'a, Result<Scale, ApiError>> {
        Box::pin(async move {
            let api = self.target(app, target).await?;
            let patch = serde_json::from_value(wake_patch(read_before, replicas));
            let patch = Patch::<()>::Json(patch.expect("it is a JSON patch"));
            let params =
                PatchParams { field_manager: Some(names::ACTIVATOR.to_owned()), ..PatchParams::default() };
            let what = format!("patch the scale of {} {}", target.kind, target.name);
            read(bounded(&what, api.patch_scale(&target.name, &params, &patch)).await?)
        })
    }
}

/// A count of 0 is left out of the object, so `null` is what it is compared with.
fn wake_patch(read: &Scale, replicas: u32) -> serde_json::Value {
    serde_json::json!([
        {"op": "test", "path": "/spec/replicas", "value": null},
        {"op": "test", "path": "/metadata/resourceVersion", "value": read.version},
        {"op": "add", "path": "/spec/replicas", "value": replicas},
    ])
}

fn read(scale: autoscaling::Scale) -> Result<Scale, ApiError> {
    let version = scale.metadata.resource_version;
    let version = version.ok_or_else(|| ApiError::Unavailable("the scale has no resourceVersion".into()))?;
    let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
    Ok(Scale { replicas: u32::try_from(replicas).unwrap_or(0), version })
}

async fn bounded<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ApiError::new(what, &error)),
        Err(_) => {
            let seconds = TIMEOUT.as_secs();
            Err(ApiError::Unavailable(format!("cannot {what}: no answer within {seconds} s")))
        }
    }
}

impl ApiError {
    fn new(what: &str, error: &kube::Error) -> Self {
        let (code, says) = match error {
            kube::Error::Api(status) => (status.code, status.message.clone()),
            // No such kind: discovery has looked, and the API server answered.
            kube::Error::Discovery(error) => (404, error.to_string()),
            other => (0, said_in_full(other)),
        };
        let text = format!("cannot {what}: {says}");
        match code {
            404 => Self::NotFound(text),
            401 | 403 => Self::Forbidden(text),
            // 422: what the patch tests is not so; or it is refused, which only a second look tells apart.
            409 | 422 => Self::Conflict(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// An error with what led to it: the outermost often says only that a connection failed.
pub(crate) fn said_in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_a_compare_and_set_from_what_was_read() {
        let patch = wake_patch(&Scale { replicas: 0, version: "17".into() }, 3);
        assert_eq!(
            patch.to_string(),
            r#"[{"op":"test","path":"/spec/replicas","value":null},{"op":"test","path":"/metadata/resourceVersion","value":"17"},{"op":"add","path":"/spec/replicas","value":3}]"#
        );
    }

    #[test]
    fn a_count_of_zero_may_be_left_out() {
        let scale = |spec: serde_json::Value| {
            let object = serde_json::json!({
                "apiVersion": "autoscaling/v1", "kind": "Scale",
                "metadata": {"name": "web", "resourceVersion": "4"}, "spec": spec,
            });
            read(serde_json::from_value(object).unwrap()).unwrap()
        };
        assert_eq!(scale(serde_json::json!({})), Scale { replicas: 0, version: "4".into() });
        assert_eq!(scale(serde_json::json!({"replicas": 2})).replicas, 2);
    }

    #[test]
    fn slices_that_lead_to_the_activators_are_not_asked_for() {
        let app = AppId::new("team", "web");
        assert_eq!(
            selector(Some(&app)),
            "reveille.dev/scaled-app=web,endpointslice.kubernetes.io/managed-by!=reveille.dev"
        );
        assert!(selector(None).starts_with("reveille.dev/scaled-app,"));
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do() {
        let error = |code| {
            let status = kube::core::Status { code, message: "why".into(), ..Default::default() };
            ApiError::new("list", &kube::Error::Api(Box::new(status)))
        };
        assert_eq!(error(404), ApiError::NotFound("cannot list: why".into()));
        assert!(matches!(error(403), ApiError::Forbidden(_)));
        assert!(matches!((error(409), error(422)), (ApiError::Conflict(_), ApiError::Conflict(_))));
        assert!(matches!((error(500), error(429)), (ApiError::Unavailable(_), ApiError::Unavailable(_))));
    }
}
