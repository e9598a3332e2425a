//! One line of the log for each change that somebody asked for: who, what, why, how it went.

use std::sync::Arc;

use reveille_core::app::AppId;

use super::{caller::Caller, problem::Problem};

/// A change that is being made.
pub(super) struct Change {
    /// Who makes it.
    pub(super) caller: Caller,
    /// What: the last word of the path.
    pub(super) action: &'static str,
    /// To which app or Deployment.
    pub(super) app: AppId,
    /// Why, as they say.
    pub(super) reason: String,
    /// Who else is told of it.
    pub(super) witnesses: Option<Arc<dyn Witnesses>>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Who made it: the name of a key, or `anonymous`.
    pub who: String,
    /// What: `wake`, `sleep`, `scale-to-zero`, `scale-up`.
    pub action: &'static str,
    /// To which app or Deployment.
    pub of: AppId,
    /// Why, as they say; may be empty.
    pub reason: String,
}

/// Who is told of each change that was made.
pub trait Witnesses: Send + Sync {
    /// It was made.
    fn changed(&self, changed: Changed);
}

impl Change {
    /// Makes the change, and notes how it went. In a task of its own: a handler is dropped when its client leaves or its
    /// time is up, and a change that has begun must come to its end, one way or the other, with its line.
    pub(super) async fn make<T: Send + 'static>(
        self,
        change: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let made = tokio::spawn(async move {
            let result = change.await;
            self.note(result.as_ref().err());
            result
        });
        made.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the task that makes a change ended");
            Err(Problem::new(
                super::problem::Kind::Internal,
                "the call ended without a result; see Reveille's log",
            ))
        })
    }

    fn note(&self, problem: Option<&Problem>) {
        let Caller { peer, request_id, .. } = &self.caller;
        let (who, result) = (self.caller.name(), problem.map_or("done", |problem| problem.kind().name()));
        tracing::info!(
            target: "reveille::audit",
            who, %peer, action = self.action, app = %self.app, reason = self.reason, result,
            detail = problem.map(Problem::detail), request_id = &*request_id.0, "change"
        );
        if let (None, Some(witnesses)) = (problem, &self.witnesses) {
            witnesses.changed(Changed {
                who: who.to_owned(),
                action: self.action,
                of: self.app.clone(),
                reason: self.reason.clone(),
            });
        }
    }
}
