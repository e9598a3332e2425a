//! Replicas, by the `/scale` of whatever has one.
//!
//! Two clients: reads and fences may be repeated by whatever lies on their way, and are. A commit may not, as the second
//! answer would say nothing of the first. kube's client repeats on 429, 503 and 504 unless it is told not to, so commits
//! have a client of their own, [`Once`]. What is left below it repeats only what was never sent (hyper-util's
//! `retry_canceled_requests`).

use std::{error::Error as StdError, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Client, Config, Error,
    api::{DynamicObject, Patch},
};
use reveille_core::resource::TargetSpec;
use serde_json::{Value, json};

use super::{
    objects::own_patch,
    resources::Resources,
    traits::{BoxFuture, Commit, Scale, ScaleError, Scales},
};

/// How long the API server may take for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a fence writes.
const FENCE: &str = "reveille.dev/fence";

/// A client whose requests are sent once.
#[derive(Clone)]
pub struct Once(pub(super) Client);

impl Once {
    /// Makes one.
    ///
    /// # Errors
    /// If the configuration makes no client.
    pub fn connect(config: Config) -> kube::Result<Self> {
        let mut config = config;
        config.default_retry = false;
        Client::try_from(config).map(Self)
    }
}

/// See the [module](self).
pub struct KubeScales {
    client: Client,
    once: Once,
    resources: Resources,
}

impl KubeScales {
    /// Reads and fences by `client`, commits by `once`.
    pub fn new(client: Client, once: Once) -> Self {
        Self { resources: Resources::new(client.clone()), client, once }
    }

    async fn api(
        &self,
        client: &Client,
        namespace: &str,
        target: &TargetSpec,
    ) -> Result<Api<DynamicObject>, ScaleError> {
        let resource = within(self.resources.find(target)).await?;
        Ok(Api::namespaced_with(client.clone(), namespace, &resource))
    }

    async fn read(&self, namespace: &str, target: &TargetSpec) -> Result<Scale, ScaleError> {
        let api = self.api(&self.client, namespace, target).await?;
        let read = within(async {
            api.get_scale(&target.name)
                .await
                .map_err(|error| self.failed("get", "/scale", namespace, target, &error))
        });
        let read = read.await?;
        let version = read.metadata.resource_version.filter(|version| !version.is_empty());
        let version = version.ok_or_else(|| {
            ScaleError::NotScalable(format!(
                "the /scale of {} has no resourceVersion",
                named(namespace, target)
            ))
        })?;
        let count =
            |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        // The API server leaves a count of 0 out.
        Ok(Scale {
            replicas: count(read.spec.and_then(|spec| spec.replicas)),
            existing: count(read.status.as_ref().map(|status| status.replicas)),
            selector: read.status.and_then(|status| status.selector).filter(|selector| !selector.is_empty()),
            version,
        })
    }

    async fn commit(&self, namespace: &str, target: &TargetSpec, version: &str, replicas: u32) -> Commit {
        if version.is_empty() {
            // An empty version is no precondition to the API server.
            return Commit::Refused("no version of its scale is known".to_owned());
        }
        let api = match self.api(&self.once.0, namespace, target).await {
            Ok(api) => api,
            Err(error) => return Commit::Refused(error.to_string()),
        };
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}});
        let (by, patch) = (own_patch(), Patch::Merge(patch));
        let sent = api.patch_scale(&target.name, &by, &patch);
        match tokio::time::timeout(TIMEOUT, sent).await {
            Ok(Ok(_)) => Commit::Done,
            Ok(Err(error)) => answered(&error, || self.failed("patch", "/scale", namespace, target, &error)),
            Err(_) => Commit::Unknown(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn move_version(&self, namespace: &str, target: &TargetSpec) -> Result<(), ScaleError> {
        let before = self.read(namespace, target).await?.version;
        let api = self.api(&self.client, namespace, target).await?;
        let value = format!("{}-{:08x}", Timestamp::now(), fastrand::u32(..));
        let patch = Patch::Merge(json!({"metadata": {"annotations": {FENCE: value}}}));
        let mut failed = None;
        // Custom resources keep their metadata when /status is written, and not every kind has one.
        for by_status in [true, false] {
            let written = within(async {
                let (name, by) = (&target.name, own_patch());
                let written: Result<Value, Error> = if by_status {
                    api.patch_status(name, &by, &patch).await.map(|_| Value::Null)
                } else {
                    api.patch(name, &by, &patch).await.map(|_| Value::Null)
                };
                let on = if by_status { "/status" } else { "" };
                written.map_err(|error| self.failed("patch", on, namespace, target, &error))
            });
            failed = written.await.err().or(failed);
            // Whoever moved it: a write that goes by a version of before conflicts from here on.
            if self.read(namespace, target).await?.version != before {
                return Ok(());
            }
        }
        Err(failed.unwrap_or_else(|| {
            ScaleError::Unreachable(format!(
                "a write of {} did not move its version",
                named(namespace, target)
            ))
        }))
    }

    /// What a failed request says, to people.
    fn failed(
        &self,
        verb: &str,
        sub: &str,
        namespace: &str,
        target: &TargetSpec,
        error: &Error,
    ) -> ScaleError {
        let object = named(namespace, target);
        match error {
            Error::Api(status) => match status.code {
                404 => {
                    self.resources.forget(target);
                    ScaleError::NotFound(format!("there is no {object}{}: {}", in_words(sub), status.message))
                }
                401 | 403 => ScaleError::NotPermitted(format!(
                    "Reveille may not {verb} {object}{}; grant its ServiceAccount the verb {verb} on the resource{}: {}",
                    in_words(sub),
                    if sub.is_empty() { String::new() } else { format!(" with {sub}") },
                    status.message
                )),
                405 => ScaleError::NotScalable(format!("{object} takes no {verb}{}", in_words(sub))),
                _ => ScaleError::Unreachable(format!("{verb} {object}{}: {}", in_words(sub), status.message)),
            },
            other => ScaleError::Unreachable(format!("{verb} {object}{}: {}", in_words(sub), chain(other))),
        }
    }
}

impl Scales for KubeScales {
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
    ) -> BoxFuture<'a, Result<Scale, ScaleError>> {
        Box::pin(self.read(namespace, target))
    }

    fn set<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
        version: &'a str,
        replicas: u32,
    ) -> BoxFuture<'a, Commit> {
        Box::pin(self.commit(namespace, target, version, replicas))
    }

    fn fence<'a>(
        &'a self,
        namespace: &'a str,
        target: &'a TargetSpec,
    ) -> BoxFuture<'a, Result<(), ScaleError>> {
        Box::pin(self.move_version(namespace, target))
    }
}

/// How a commit ended that got an answer, or none. Whatever is not certain is unknown: that costs a fence, no more.
fn answered(error: &Error, why: impl FnOnce() -> ScaleError) -> Commit {
    match error {
        Error::Api(status) => match status.code {
            409 => Commit::Conflict,
            // Before it was tried: 408 and 429 are left to the fence, as what lies in between says them, too.
            400..=407 | 410..=428 | 430..=499 => Commit::Refused(why().to_string()),
            code => Commit::Unknown(format!("the API server answered {code}: {}", status.message)),
        },
        Error::BuildRequest(_) | Error::Auth(_) => Commit::Refused(why().to_string()),
        other if never_connected(other) => Commit::Refused(why().to_string()),
        other => Commit::Unknown(chain(other)),
    }
}

/// Whether there was no connection to send anything on.
fn never_connected(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        next = error.source();
    }
    false
}

/// An error with what is behind it, which is where a client says what happened.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = error.source();
    }
    text
}

fn named(namespace: &str, target: &TargetSpec) -> String {
    format!("{} {namespace}/{}", target.kind, target.name)
}

fn in_words(sub: &str) -> String {
    if sub.is_empty() { String::new() } else { format!(", subresource {sub}") }
}

async fn within<T>(work: impl Future<Output = Result<T, ScaleError>>) -> Result<T, ScaleError> {
    let late = |_| ScaleError::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, work).await.map_err(late)?
}

#[cfg(test)]
#[path = "scales_tests.rs"]
mod tests;
