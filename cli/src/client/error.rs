//! What can go wrong between the command line and the admin port, and what the user is told.

use reveille_core::api::ProblemBody;

use super::ServerUrl;
use crate::exit::{CliError, Exit};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There is no connection, or no answer on it.
    #[error("cannot reach Reveille at {server}: {reason}")]
    Unreachable {
        /// Whom we called.
        server: ServerUrl,
        /// What is known of why.
        reason: String,
    },
    /// Something answered, but not as Reveille does.
    #[error("what answers at {server} is no Reveille, or one of another version: {reason}")]
    NotReveille {
        /// Whom we called.
        server: ServerUrl,
        /// What is odd about the answer.
        reason: String,
    },
    /// Reveille refused.
    #[error("{}", .0.detail)]
    Refused(ProblemBody),
}

impl ClientError {
    /// Whether it may be another thing when it is asked again: nobody answered, or who did is about to be replaced.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::NotReveille { .. } => false,
            Self::Refused(problem) => matches!(problem.status, 429 | 500..),
        }
    }

    /// Whether Reveille answered that there is no such app.
    pub fn is_unknown_app(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.kind.rsplit('/').next() == Some("unknown-app"))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable { .. } => Self::new(Exit::Unreachable, message)
                .hint("is `reveille local` running? --server or REVEILLE_SERVER say where its admin port is"),
            ClientError::NotReveille { .. } => Self::new(Exit::Unreachable, message)
                .hint("--server or REVEILLE_SERVER must name the admin port, `admin:` in reveille.yaml"),
            ClientError::Refused(ref problem) if problem.status == 401 => Self::new(Exit::Failed, message)
                .hint("--key-file, REVEILLE_KEY_FILE or REVEILLE_KEY say which key to call with"),
            // The detail of a refusal says what to do.
            ClientError::Refused(_) => Self::new(Exit::Failed, message),
        }
    }
}
