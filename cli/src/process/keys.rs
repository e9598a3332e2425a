//! The keys that the API asks for, and the file that they are in.

use std::{path::Path, pin::Pin, sync::Arc};

use reveille_controller::keys::{self, KeyRing};

use crate::exit::{CliError, Exit};

/// The keys, and what reads their file again.
pub(crate) struct Keys {
    /// None: everybody may call.
    pub(crate) ring: Option<Arc<KeyRing>>,
    /// Ends only where there is no file.
    pub(crate) follow: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Keys {
    /// Those of the file, if there is one.
    pub(crate) async fn read(file: Option<&Path>) -> Result<Self, CliError> {
        let Some(file) = file else { return Ok(Self { ring: None, follow: Box::pin(async {}) }) };
        let (ring, follow) = keys::follow(file).await.map_err(|problems| {
            let message = format!("the keys of {} are wrong; nothing was started", file.display());
            CliError::new(Exit::BadConfig, message).details(problems)
        })?;
        if ring.is_empty() {
            tracing::warn!(file = %file.display(), "there are no keys in the file: nobody may call the API");
        } else {
            tracing::info!(file = %file.display(), keys = ring.len(), "the API asks for a key");
        }
        Ok(Self { ring: Some(ring), follow: Box::pin(follow) })
    }
}
