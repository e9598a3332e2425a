//! Where the Lease is kept.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use reveille_core::resource::names;

use super::DURATION;
use crate::cluster::traits::BoxFuture;

/// The Lease as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaseRecord {
    /// Who holds it. None if it was given back.
    pub holder: Option<String>,
    /// For how long since its last change it keeps others out.
    pub duration: Duration,
    /// Changes with every write.
    pub version: String,
    /// The rest of it, which is carried along.
    pub object: Lease,
}

/// The Lease was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody wrote since it was read.
    #[error("it was written by another controller")]
    Conflict,
    /// It may have been written, or not.
    #[error("{0}")]
    Failed(String),
}

/// A Lease, read and written by compare-and-set.
pub trait LeaseStore: Send + Sync {
    /// Reads it, if there is any.
    fn get(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, StoreError>>;

    /// Writes that `identity` holds it now. `before` is what was read: none if it has to be made.
    fn hold<'a>(
        &'a self,
        before: Option<&'a LeaseRecord>,
        identity: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes that nobody holds it.
    fn free<'a>(&'a self, before: &'a LeaseRecord) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// A Lease on the API server.
pub struct KubeLeases {
    api: Api<Lease>,
    name: String,
}

impl KubeLeases {
    /// The Lease of that name. It is made when it is first held.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    async fn write(&self, before: Option<&LeaseRecord>, spec: LeaseSpec) -> Result<(), StoreError> {
        let by = PostParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PostParams::default() };
        let written = if let Some(before) = before {
            let mut lease = before.object.clone();
            lease.metadata.managed_fields = None;
            lease.metadata.resource_version = Some(before.version.clone());
            lease.spec = Some(spec);
            self.api.replace(&self.name, &by, &lease).await
        } else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            self.api.create(&by, &Lease { metadata, spec: Some(spec) }).await
        };
        written.map(|_| ()).map_err(|error| match error {
            kube::Error::Api(status) if status.code == 409 => StoreError::Conflict,
            other => failed(&other),
        })
    }
}

impl LeaseStore for KubeLeases {
    fn get(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, StoreError>> {
        Box::pin(async {
            let lease = self.api.get_opt(&self.name).await.map_err(|error| failed(&error))?;
            lease.map(record).transpose()
        })
    }

    fn hold<'a>(
        &'a self,
        before: Option<&'a LeaseRecord>,
        identity: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let now = MicroTime(Timestamp::now());
        let mut spec = before.and_then(|before| before.object.spec.clone()).unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(identity) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        spec.holder_identity = Some(identity.to_owned());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        Box::pin(self.write(before, spec))
    }

    fn free<'a>(&'a self, before: &'a LeaseRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut spec = before.object.spec.clone().unwrap_or_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        Box::pin(self.write(Some(before), spec))
    }
}

fn record(lease: Lease) -> Result<LeaseRecord, StoreError> {
    let spec = lease.spec.clone().unwrap_or_default();
    let version = lease.metadata.resource_version.clone().filter(|version| !version.is_empty());
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(LeaseRecord {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map_or(DURATION, Duration::from_secs),
        // Without one a write would have no precondition.
        version: version.ok_or_else(|| StoreError::Failed("it has no resourceVersion".to_owned()))?,
        object: lease,
    })
}

fn failed(error: &kube::Error) -> StoreError {
    StoreError::Failed(match error {
        kube::Error::Api(status) => status.message.clone(),
        other => format!("the API server does not answer: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// What was written: method and body.
    type Written = Arc<Mutex<Vec<(String, Value)>>>;

    /// An API server that has this Lease and answers every write with it, and what was written.
    fn leases(lease: &Value) -> (KubeLeases, Written) {
        let written = Written::default();
        let (note, answer) = (Arc::clone(&written), lease.to_string());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (note, answer) = (Arc::clone(&note), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                if let Ok(body) = serde_json::from_slice(&body) {
                    note.lock().unwrap().push((head.method.to_string(), body));
                }
                Ok::<_, Infallible>(Response::new(Body::from(answer.into_bytes())))
            }
        });
        (KubeLeases::new(Client::new(service, "reveille"), "reveille", "leader"), written)
    }

    #[tokio::test]
    async fn a_lease_is_written_only_as_it_was_read_and_keeps_what_others_put_there() {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "leader", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"holderIdentity": "one", "leaseDurationSeconds": 20, "leaseTransitions": 3},
        });
        let (store, written) = leases(&lease);
        let read = store.get().await.unwrap().unwrap();
        assert_eq!((read.holder.as_deref(), read.duration.as_secs()), (Some("one"), 20));
        store.hold(Some(&read), "two").await.unwrap();
        store.free(&read).await.unwrap();
        store.hold(None, "two").await.unwrap();
        let written = written.lock().unwrap();
        let (method, taken) = &written[0];
        assert_eq!((method.as_str(), &taken["metadata"]["resourceVersion"]), ("PUT", &json!("7")));
        assert_eq!(taken["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(
            (&taken["spec"]["holderIdentity"], &taken["spec"]["leaseTransitions"]),
            (&json!("two"), &json!(4))
        );
        assert_eq!(taken["spec"]["leaseDurationSeconds"], json!(10));
        assert_eq!(
            (&written[1].1["spec"]["holderIdentity"], &written[1].1["metadata"]["resourceVersion"]),
            (&json!(""), &json!("7"))
        );
        assert_eq!((written[2].0.as_str(), &written[2].1["metadata"]["name"]), ("POST", &json!("leader")));
    }

    #[tokio::test]
    async fn a_lease_that_was_given_back_has_no_holder_and_one_without_a_version_is_not_gone_by() {
        let spec = json!({"holderIdentity": ""});
        let of = |metadata: Value| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec});
        let (store, _) = leases(&of(json!({"name": "leader", "resourceVersion": "7"})));
        assert_eq!(store.get().await.unwrap().unwrap().holder, None);
        let (store, _) = leases(&of(json!({"name": "leader"})));
        assert!(store.get().await.is_err());
    }
}
