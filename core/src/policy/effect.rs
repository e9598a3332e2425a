//! Settings that only HTTP gives a meaning, so that an app none of whose ports speaks it can be told: whoever wrote them
//! relies on them.

use super::PolicySpec;

impl PolicySpec {
    /// The fields that are written and have no effect in an app whose ports pass bytes on as they are. Readiness is not
    /// among them: Reveille asks the app itself.
    pub fn http_settings(&self) -> Vec<&'static str> {
        let fields = [
            ("probes.paths", !self.probes.paths.is_empty()),
            ("probes.userAgents", !self.probes.user_agents.is_empty()),
            ("probes.answer", self.probes.answer.is_some()),
            ("timeouts.responseHeader", self.timeouts.response_header.is_some()),
            ("upgrades", self.upgrades.is_some()),
            ("hold.answerAfter", self.hold.answer_after.is_some()),
        ];
        fields.into_iter().filter(|(_, is_written)| *is_written).map(|(field, _)| field).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_is_named() {
        let spec: PolicySpec =
            serde_json::from_str(r#"{"upgrades": [], "timeouts": {"total": "1s"}}"#).unwrap();
        assert_eq!(spec.http_settings(), ["upgrades"]);
        assert!(PolicySpec::default().http_settings().is_empty());
    }
}
