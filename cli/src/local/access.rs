//! Who may call the admin port: everybody who reaches the loopback address, elsewhere whoever has a key.

use std::{net::SocketAddr, path::Path, pin::Pin, sync::Arc};

use reveille_controller::keys::{self, KeyRing};

use crate::{
    args::LocalArgs,
    exit::{CliError, Exit},
};

/// Refuses an admin port that others can reach and that asks for no key, unless that was wanted.
pub(super) fn check(admin: SocketAddr, args: &LocalArgs) -> Result<(), CliError> {
    if !is_open_to_all(admin, args) || args.allow_anonymous {
        return Ok(());
    }
    let message = format!("the admin port {admin} could be reached by others, and asks for no key");
    Err(CliError::new(Exit::BadConfig, message)
        .details(["nothing was started".to_owned()])
        .hint("give it keys (--keys FILE, `reveille key new` makes them), or let it listen on 127.0.0.1; or let anybody wake and stop apps by --allow-anonymous"))
}

/// Says loudly what was wanted.
pub(super) fn warn(admin: SocketAddr, args: &LocalArgs) {
    if is_open_to_all(admin, args) {
        tracing::warn!(
            %admin,
            "--allow-anonymous: the admin port can be reached by others and asks for no key; anybody there can wake and stop apps, and read what they print"
        );
    }
}

fn is_open_to_all(admin: SocketAddr, args: &LocalArgs) -> bool {
    !admin.ip().to_canonical().is_loopback() && args.keys.is_none()
}

/// The keys, and what reads their file again.
pub(super) struct Keys {
    /// None: everybody may call.
    pub(super) ring: Option<Arc<KeyRing>>,
    /// Ends only where there is no file.
    pub(super) follow: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Keys {
    /// Those of the file, if there is one.
    pub(super) async fn read(file: Option<&Path>) -> Result<Self, CliError> {
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
