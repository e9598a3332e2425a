//! The Scale API as its clients call it: through its Service, with a key.

use std::time::Duration;

use serde_json::Value;

use crate::{
    namespace::Namespace,
    process::{command, run},
};

/// The keys that it is installed with, as `reveille key new` prints them.
pub const ADMIN: &str = "reveille_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// It may see everything, and change nothing.
pub const READER: &str = "reveille_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// It is good for a namespace that no test has.
pub const STRANGER: &str = "reveille_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

/// Their lines, as the Secret holds them.
pub(crate) const KEYS: &str = "\
admin 5e1606ad2a8aa81bf13273bbe0e79a220b3ff965b0235aa35eff691f5be42c00 * scale
reader a0bdf3288c58ad41140c5918fcc0db0a93542fec7b762633eef313a7b5048eea * read
stranger 693a50cd409f0133ddac505a27cb98cd8fdd10a99c1cc1f56e0037ffeb50ad07 elsewhere scale
";

/// Whoever calls, with a key or without.
#[derive(Clone, Debug)]
pub struct ScaleApi {
    base: String,
    key: Option<&'static str>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields of the head, in lower case.
    pub head: String,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl ScaleApi {
    /// The one that is served there, called with the administrator's key.
    pub fn at(address: &str) -> Self {
        Self { base: format!("http://{address}"), key: Some(ADMIN) }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The same with another key, or none.
    #[must_use]
    pub fn with(&self, key: Option<&'static str>) -> Self {
        Self { key, ..self.clone() }
    }

    /// A call without a body.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(path, &[]).await
    }

    /// A call with a body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(path, &["--json", &body.to_string()]).await
    }

    /// A call with whatever curl is told.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn call(&self, path: &str, more: &[&str]) -> Answer {
        self.try_call(path, more).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What comes in so long.
    pub async fn stream(&self, path: &str, seconds: u32) -> String {
        let (url, seconds) = (format!("{}{path}", self.base), seconds.to_string());
        let header = format!("Authorization: Bearer {}", self.key.unwrap_or_default());
        let arguments = ["-sSN", "--max-time", &seconds, "-H", &header, &url];
        run(command("curl", arguments)).await.stdout
    }

    /// The same, which may come to nothing.
    ///
    /// # Errors
    /// What curl says.
    pub async fn try_call(&self, path: &str, more: &[&str]) -> Result<Answer, String> {
        const PATIENCE: Duration = Duration::from_secs(40);
        let (url, patience) = (format!("{}{path}", self.base), PATIENCE.as_secs().to_string());
        let mut arguments = vec!["-sS", "-i", "--max-time", &patience];
        let header;
        if let Some(key) = self.key {
            header = format!("Authorization: Bearer {key}");
            arguments.extend(["-H", &header]);
        }
        arguments.extend(more);
        arguments.push(&url);
        let output = run(command("curl", arguments)).await;
        if !output.status.success() {
            return Err(output.stderr);
        }
        // Interim answers come before it.
        let (head, body) = output.stdout.rsplit_once("\r\n\r\n").ok_or("no head")?;
        let head = head.rsplit("\r\n\r\n").next().unwrap_or(head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok(Answer { status, head, body: serde_json::from_str(body).unwrap_or_default() })
    }
}

/// The path of a call about a Deployment.
pub fn deployment(namespace: &Namespace, name: &str, call: &str) -> String {
    format!("/api/v1/deployments/{}/{name}/{call}", namespace.name())
}

/// The path of a call about an app; of the app itself without one.
pub fn app(namespace: &Namespace, name: &str, call: &str) -> String {
    format!("/api/v1/apps/{}/{name}{call}", namespace.name())
}
