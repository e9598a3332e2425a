//! How an app is named: a namespace and a name, both DNS labels, as Kubernetes has them.
//!
//! In local mode the namespace is always [`LOCAL_NAMESPACE`].

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The namespace of every app of local mode.
pub const LOCAL_NAMESPACE: &str = "local";

/// The identity of an app. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct AppId {
    /// The Kubernetes namespace, or [`LOCAL_NAMESPACE`].
    #[schema(value_type = String, example = "local")]
    pub namespace: Arc<str>,
    /// The name within the namespace.
    #[schema(value_type = String, example = "web")]
    pub name: Arc<str>,
}

impl AppId {
    /// Names an app. The parts are not checked: see [`check_name`].
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Names an app of local mode.
    pub fn local(name: &str) -> Self {
        Self::new(LOCAL_NAMESPACE, name)
    }

    /// Whether it is an app of local mode.
    pub fn is_local(&self) -> bool {
        *self.namespace == *LOCAL_NAMESPACE
    }

    /// The command that shows everything about it, as an error may advise.
    pub fn shown_by(&self) -> String {
        match self.is_local() {
            true => format!("reveille status {}", self.name),
            false => format!("kubectl -n {} describe scaledapp {}", self.namespace, self.name),
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks that `name` is a DNS label (RFC 1123): 1-63 characters of `a-z`, `0-9` and `-`, beginning and
/// ending with a letter or a digit.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 63 {
        return Err(format!("a name has 1 to 63 characters, this one has {}", name.len()));
    }
    if let Some(bad) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(format!("a name is made of a-z, 0-9 and '-', not {bad:?}"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err("a name begins and ends with a letter or a digit".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_are_shown_where_they_are() {
        assert_eq!(AppId::local("web").shown_by(), "reveille status web");
        assert_eq!(AppId::new("team", "web").shown_by(), "kubectl -n team describe scaledapp web");
    }

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "web", "resnet50", "a-b", &"x".repeat(63)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "Web", "a_b", "a.b", "ä", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
