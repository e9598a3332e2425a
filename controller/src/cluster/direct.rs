//! The readiness gate that takes pods off the direct path before they sleep, and puts them back.
//!
//! A write that takes a pod off names the epoch, so that it changes the pod even if that is off already, and a write of a
//! deposed leader that would put it back conflicts (`PathMarked`, `PathVersion` of the protocol).

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api,
    api::{ListParams, Patch},
};
use reveille_core::resource::names;
use serde_json::{Value, json};

use super::{
    objects::own_patch,
    pods::{self, Gate, PodView},
};

/// The pods that a selector chooses, as they are now.
///
/// # Errors
/// The API server's.
pub(crate) async fn list(api: &Api<Pod>, selector: &str) -> Result<Vec<PodView>, kube::Error> {
    let list = api.list(&ListParams::default().labels(selector)).await?;
    Ok(list.items.iter().map(pods::view).collect())
}

/// The same from the API server's memory, which may be a moment old and costs it little.
///
/// # Errors
/// The API server's.
pub(crate) async fn list_cached(api: &Api<Pod>, selector: &str) -> Result<Vec<PodView>, kube::Error> {
    let list = api.list(&ListParams::default().labels(selector).match_any()).await?;
    Ok(list.items.iter().map(pods::view).collect())
}

/// Takes every pod with a gate off the direct path, over whatever version it has: this write has to win.
///
/// # Errors
/// The API server's; some pods may be off by then.
pub(crate) async fn leave(api: &Api<Pod>, selector: &str, epoch: u64) -> Result<(), kube::Error> {
    for pod in list(api, selector).await?.iter().filter(|pod| !pod.ending && pod.gate != Gate::None) {
        match patch(api, &pod.name, None, &format!("it falls asleep, epoch {epoch}")).await {
            // One that is gone is off every path.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => other?,
        }
    }
    Ok(())
}

/// Puts a pod back, unless it was written since that version was read.
///
/// # Errors
/// The API server's; a conflict is none, as the pod is looked at again.
pub(crate) async fn join(api: &Api<Pod>, name: &str, version: &str) -> Result<(), kube::Error> {
    match patch(api, name, Some(version), "it is awake").await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other,
    }
}

/// On the path over that version, or off it over any.
async fn patch(api: &Api<Pod>, name: &str, join_at: Option<&str>, message: &str) -> Result<(), kube::Error> {
    let body = body(join_at, message, Timestamp::now());
    // Strategic: by the condition's type, so that the kubelet's conditions beside it stay as they are.
    api.patch_status(name, &own_patch(), &Patch::Strategic(body)).await.map(|_| ())
}

fn body(join_at: Option<&str>, message: &str, now: Timestamp) -> Value {
    let (status, reason) = match join_at {
        Some(_) => ("True", "Awake"),
        None => ("False", "FallsAsleep"),
    };
    let condition = json!({
        "type": names::DIRECT_GATE,
        "status": status,
        "reason": reason,
        "message": message,
        // Of whole seconds, as the API server keeps it.
        "lastTransitionTime": serde_json::to_value(Time(now)).expect("a time is plain JSON"),
    });
    match join_at {
        Some(version) => {
            json!({"metadata": {"resourceVersion": version}, "status": {"conditions": [condition]}})
        }
        None => json!({"status": {"conditions": [condition]}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_puts_a_pod_back_depends_on_its_version() {
        let now = Timestamp::from_second(0).unwrap();
        let off = body(None, "it falls asleep, epoch 7", now);
        assert_eq!(off.get("metadata"), None);
        assert_eq!(off["status"]["conditions"][0]["status"], "False");
        assert_eq!(off["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        let on = body(Some("9"), "it is awake", now);
        assert_eq!(
            (&on["metadata"]["resourceVersion"], &on["status"]["conditions"][0]["status"]),
            (&json!("9"), &json!("True"))
        );
    }
}
