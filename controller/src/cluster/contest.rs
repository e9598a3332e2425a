//! Whether somebody else sets an app's replicas back right after it fell asleep.
//!
//! Once is chance (a person, a wake by hand); twice in a row is a manager that owns the count, and is named.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use reveille_core::resource::names;

/// How soon after the sleep it counts.
const SOON: Duration = Duration::from_secs(10);
/// How often in a row it must have happened.
const TWICE: u8 = 2;

/// What is remembered of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contest {
    slept: Option<Instant>,
    in_a_row: u8,
    manager: Option<String>,
}

impl Contest {
    /// The app was put to sleep.
    pub(crate) fn slept(&mut self, now: Instant) {
        self.slept = Some(now);
    }

    /// It has so many replicas, set by this manager.
    pub(crate) fn see(&mut self, now: Instant, replicas: u32, setter: impl FnOnce() -> Option<String>) {
        let Some(slept) = self.slept else { return };
        let soon = now.saturating_duration_since(slept) < SOON;
        if replicas == 0 {
            if !soon {
                *self = Self::default();
            }
            return;
        }
        self.slept = None;
        match setter().filter(|_| soon) {
            Some(manager) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.manager = Some(manager);
            }
            None => *self = Self::default(),
        }
    }

    /// Who contests it.
    pub(crate) fn manager(&self) -> Option<String> {
        self.manager.clone().filter(|_| self.in_a_row >= TWICE)
    }
}

/// The manager that set the replicas last, unless that is Reveille.
pub(crate) fn setter(fields: &[ManagedFieldsEntry]) -> Option<String> {
    let sets = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
    };
    let last = fields.iter().filter(sets).max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let manager = last.manager.clone()?;
    (manager != names::ACTIVATOR && manager != names::CONTROLLER).then_some(manager)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn twice_in_a_row_is_a_contest_and_a_sleep_that_lasts_ends_it() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut contest = Contest::default();
        let by = |name: &str| Some(name.to_owned());
        for (round, named) in [(0, None), (100, by("argocd"))] {
            contest.slept(after(round));
            contest.see(after(round + 1), 0, || None);
            contest.see(after(round + 2), 1, || by("argocd"));
            assert_eq!(contest.manager(), named);
        }
        contest.slept(after(200));
        contest.see(after(211), 0, || None);
        assert_eq!(contest.manager(), None);
        contest.slept(after(300));
        contest.see(after(301), 1, || None);
        assert_eq!(contest, Contest::default(), "it was Reveille itself");
    }

    #[test]
    fn the_last_one_that_set_the_replicas_is_named() {
        let entry = |manager: &str, field: &str, second: u8| -> ManagedFieldsEntry {
            serde_json::from_value(json!({
                "manager": manager, "time": format!("2026-01-01T00:00:0{second}Z"), "fieldsV1": {"f:spec": {field: {}}},
            }))
            .unwrap()
        };
        let argo = entry("argocd", "f:replicas", 3);
        let (ours, other) = (entry(names::ACTIVATOR, "f:replicas", 5), entry("kubectl", "f:paused", 7));
        assert_eq!(setter(&[argo.clone(), other.clone()]), Some("argocd".into()));
        assert_eq!(setter(&[argo, ours, other]), None);
    }
}
