//! Writing the status: only what changed, and only over the version that was read.

use kube::{Api, api::Patch};
use reveille_core::resource::{ScaledApp, ScaledAppStatus};
use serde_json::{Map, Value, json};

use super::objects::own_patch;

/// The merge patch from one status to another. None if they are the same.
pub(crate) fn patch(before: &ScaledAppStatus, after: &ScaledAppStatus) -> Option<Value> {
    let json = |status| serde_json::to_value(status).expect("a status is plain JSON");
    difference(&json(before), &json(after))
}

/// RFC 7386 the other way round: what makes the one into the other.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let change = match old.get(name) {
            Some(was) => difference(was, value),
            None => Some(value.clone()),
        };
        patch.extend(change.map(|change| (name.clone(), change)));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Writes a merge patch of the status over that version of the object.
///
/// # Errors
/// The API server's; a conflict if the version is another one.
pub(crate) async fn write(
    api: &Api<ScaledApp>,
    name: &str,
    version: &str,
    patch: &Value,
) -> Result<ScaledApp, kube::Error> {
    let patch = json!({"metadata": {"resourceVersion": version}, "status": patch});
    api.patch_status(name, &own_patch(), &Patch::Merge(patch)).await
}

#[cfg(test)]
mod tests {
    use reveille_core::phase::Phase;

    use super::*;

    #[test]
    fn only_differences_are_written_and_what_is_gone_is_null() {
        let before: ScaledAppStatus = serde_json::from_value(json!({
            "phase": "Waking", "replicas": 1, "wake": {"id": "a", "since": "2026-01-01T00:00:00.000000Z", "step": "Starting"},
        }))
        .unwrap();
        assert_eq!(patch(&before, &before), None);
        let mut after = before.clone();
        after.wake.as_mut().unwrap().message = Some("pulls".into());
        assert_eq!(patch(&before, &after), Some(json!({"wake": {"message": "pulls"}})));
        let mut awake = before.clone();
        (awake.phase, awake.wake) = (Some(Phase::Awake), None);
        assert_eq!(patch(&before, &awake), Some(json!({"phase": "Awake", "wake": null})));
    }
}
