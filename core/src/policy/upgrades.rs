//! The protocols that clients may change to by `Upgrade` (RFC 9110, 7.8).
//!
//! What follows an upgrade is passed on unread. An upgrade to HTTP/2 would let requests through that nobody has
//! checked, counted or held: it can never be allowed.

use std::sync::Arc;

use super::checker::Checker;

/// What every app may change to unless it says otherwise.
const WEBSOCKET: &str = "websocket";

impl Checker {
    /// Checks what is written; in lower case, as the names of protocols are compared.
    pub(super) fn upgrades(&mut self, written: Option<&[String]>) -> Arc<[String]> {
        let Some(written) = written else { return Arc::from([WEBSOCKET.to_owned()]) };
        let mut upgrades: Vec<String> = Vec::with_capacity(written.len());
        for (i, text) in written.iter().enumerate() {
            let upgrade = text.to_ascii_lowercase();
            match check(&upgrade) {
                Ok(()) if upgrades.contains(&upgrade) => {
                    self.problem(format!("upgrades[{i}]"), format!("{upgrade} is listed already; remove it"));
                }
                Ok(()) => upgrades.push(upgrade),
                Err(reason) => self.problem(format!("upgrades[{i}]"), format!("{text:?} {reason}")),
            }
        }
        upgrades.into()
    }
}

/// A name, and a version if need be: both tokens.
fn check(upgrade: &str) -> Result<(), &'static str> {
    let (name, version) = match upgrade.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (upgrade, None),
    };
    if !is_token(name) || !version.is_none_or(is_token) {
        return Err("is no protocol; write its name, and a version if it has one: websocket, spdy/3.1");
    }
    if matches!(name, "h2" | "h2c" | "http") {
        return Err(
            "cannot be changed to: requests behind the upgrade would go around every check; HTTP/2 needs \
                    none, clients speak it from the first byte (prior knowledge)",
        );
    }
    Ok(())
}

/// Whether it is a token (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use crate::policy::{Mode, PolicySpec, Problem};

    fn resolve(written: &str) -> Result<Vec<String>, Vec<Problem>> {
        let spec: PolicySpec = serde_json::from_str(written).unwrap();
        spec.resolve(Mode::Local).map(|policy| policy.upgrades.to_vec())
    }

    #[test]
    fn websocket_unless_said_otherwise() {
        assert_eq!(resolve("{}").unwrap(), ["websocket"]);
        assert!(resolve(r#"{"upgrades": []}"#).unwrap().is_empty(), "none at all");
        let both = resolve(r#"{"upgrades": ["WebSocket", "SPDY/3.1"]}"#).unwrap();
        assert_eq!(both, ["websocket", "spdy/3.1"]);
    }

    #[test]
    fn what_is_no_protocol_is_refused() {
        for bad in ["", "a b", "a,b", "a/", "/1", "a/1/2", "ä", "a\\u0000"] {
            let problems = resolve(&format!(r#"{{"upgrades": ["websocket", "{bad}"]}}"#)).unwrap_err();
            assert_eq!((problems.len(), problems[0].field.as_str()), (1, "upgrades[1]"), "{bad}");
            assert!(problems[0].reason.contains("is no protocol"), "{bad}: {}", problems[0].reason);
        }
    }

    #[test]
    fn http_2_goes_around_every_check() {
        for bad in ["h2c", "H2C", "h2", "h2c/1", "HTTP/2.0"] {
            let problems = resolve(&format!(r#"{{"upgrades": ["{bad}"]}}"#)).unwrap_err();
            assert!(problems[0].reason.contains("prior knowledge"), "{bad}: {}", problems[0].reason);
        }
    }

    #[test]
    fn none_is_listed_twice() {
        let problems = resolve(r#"{"upgrades": ["websocket", "x", "WebSocket"]}"#).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].to_string(), "upgrades[2]: websocket is listed already; remove it");
    }
}
