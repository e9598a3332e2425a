//! Doing what was planned: by server-side apply, in the controller's name, and only what differs.

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use reveille_core::resource::names;

use super::{observe::Observed, traffic};

fn ours() -> PatchParams {
    PatchParams::apply(names::CONTROLLER).force()
}

/// Writes a slice of ours.
///
/// # Errors
/// The API server's.
pub(crate) async fn slice(api: &Api<EndpointSlice>, slice: &EndpointSlice) -> Result<(), kube::Error> {
    let name = slice.metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &ours(), &Patch::Apply(slice)).await.map(|_| ())
}

/// Brings our slices to what they should be. New ones come before old ones go.
///
/// # Errors
/// The API server's.
pub(crate) async fn slices(
    client: &Client,
    namespace: &str,
    seen: &Observed,
    wanted: &[EndpointSlice],
) -> Result<(), kube::Error> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let (write, gone) = traffic::changes(&seen.slices, wanted);
    for one in write {
        slice(&api, one).await?;
    }
    for name in gone {
        ignore_gone(api.delete(&name, &DeleteParams::default()).await.map(|_| ()))?;
    }
    Ok(())
}

/// Writes the private Service.
///
/// # Errors
/// The API server's.
pub(crate) async fn private(client: &Client, namespace: &str, service: &Service) -> Result<(), kube::Error> {
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let name = service.metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &ours(), &Patch::Apply(service)).await.map(|_| ())
}

/// What is gone already need not go.
pub(crate) fn ignore_gone(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other,
    }
}
