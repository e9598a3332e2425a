//! Conditions: whether something about an app is as it should be.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::Reason;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Whether Reveille can put the app to sleep and wake it.
    Ready,
    /// Whether the Service's traffic goes where it belongs.
    TrafficProgrammed,
    /// Whether the last wake failed.
    WakeFailed,
}

impl ConditionType {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Ready, Self::TrafficProgrammed, Self::WakeFailed];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::TrafficProgrammed => "TrafficProgrammed",
            Self::WakeFailed => "WakeFailed",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The longest message of a condition, in characters.
const MAX_MESSAGE: usize = 32_768;

/// Sets a condition, whose message is what happened (`happened`, a clause) and the reason's remedy. Returns whether it
/// is news: conditions that say the same need not be written.
///
/// The time of the transition changes with the status alone, as everywhere in Kubernetes.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    of: (ConditionType, bool),
    reason: Reason,
    happened: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let (about, holds) = of;
    let message = match (happened.is_empty(), reason) {
        (true, Reason::AsDeclared) => String::new(),
        (false, Reason::AsDeclared) => happened.to_owned(),
        (true, _) => reason.remedy().to_owned(),
        (false, _) => format!("{happened}: {}", reason.remedy()),
    };
    let known = conditions.iter().position(|condition| condition.type_ == about.as_str());
    let status = if holds { "True" } else { "False" };
    let unchanged = known.map(|i| &conditions[i]).filter(|condition| condition.status == status);
    let new = Condition {
        last_transition_time: unchanged.map_or(Time(now), |condition| condition.last_transition_time.clone()),
        message: message.chars().take(MAX_MESSAGE).collect(),
        observed_generation: generation,
        reason: reason.as_str().to_owned(),
        status: status.to_owned(),
        type_: about.as_str().to_owned(),
    };
    match known {
        Some(i) if conditions[i] == new => return false,
        Some(i) => conditions[i] = new,
        None => conditions.push(new),
    }
    true
}

/// The schema of a list of conditions, with the bounds of Kubernetes' own.
/// Source: the markers of `metav1.Condition` in k8s.io/apimachinery.
pub(super) fn list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "Whether something about the app is as it should be.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "What it is about.",
                    "maxLength": 316,
                },
                "status": {
                    "type": "string",
                    "description": "Whether it holds.",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "type": "integer",
                    "description": "The generation of the spec that it goes by.",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "type": "string",
                    "description": "When the status changed last.",
                    "format": "date-time",
                },
                "reason": {
                    "type": "string",
                    "description": "Why, in one word for programs.",
                    "minLength": 1,
                    "maxLength": 1024,
                },
                "message": {
                    "type": "string",
                    "description": "Why, for people, and what to do about it.",
                    "maxLength": MAX_MESSAGE,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_they_are_named() {
        for about in ConditionType::ALL {
            assert_eq!(about.as_str(), format!("{about:?}"));
        }
    }

    #[test]
    fn only_a_new_status_is_a_transition_and_only_news_is_written() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut conditions = Vec::new();
        let mut set = |holds, reason, happened: &str, second| {
            let of = (ConditionType::Ready, holds);
            let news = set_condition(&mut conditions, of, reason, happened, Some(1), at(second));
            (news, conditions[0].message.clone(), conditions[0].last_transition_time.0)
        };
        let missing = "there is no Service web";
        let (news, message, since) = set(false, Reason::ServiceNotFound, missing, 1);
        assert!(news && message.starts_with("there is no Service web: create the Service"), "{message}");
        assert_eq!(since, at(1));
        assert!(!set(false, Reason::ServiceNotFound, missing, 2).0);
        let (news, _, since) = set(false, Reason::TargetNotFound, "", 3);
        assert!(news);
        assert_eq!(since, at(1));
        let (news, message, since) = set(true, Reason::AsDeclared, "", 4);
        assert_eq!((news, message.as_str(), since), (true, "", at(4)));
        assert_eq!(conditions.len(), 1);
    }
}
