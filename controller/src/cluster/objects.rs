//! Whose an object is, and how an app is named by its object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Resource, ResourceExt,
    api::{ObjectMeta, PatchParams},
};
use reveille_core::{
    app::AppId,
    resource::{ScaledApp, names},
};

/// A patch in the controller's name.
pub(crate) fn own_patch() -> PatchParams {
    PatchParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PatchParams::default() }
}

/// Makes an object go with its app, whatever happens to the controller.
pub(crate) fn owner(app: &ScaledApp) -> OwnerReference {
    OwnerReference {
        api_version: ScaledApp::api_version(&()).into_owned(),
        kind: ScaledApp::kind(&()).into_owned(),
        name: app.name_any(),
        uid: app.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Whether the object was made for this very app, not for an earlier one of its name.
pub(crate) fn is_owned(object: &ObjectMeta, app: &ScaledApp) -> bool {
    let owners = object.owner_references.as_deref().unwrap_or_default();
    app.metadata.uid.is_some() && owners.iter().any(|owner| Some(&owner.uid) == app.metadata.uid.as_ref())
}

/// The app's name.
pub(crate) fn id(object: &ObjectMeta) -> AppId {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    AppId::new(&text(&object.namespace), &text(&object.name))
}
