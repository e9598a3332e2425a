//! Who may call the admin port: everybody who reaches the loopback address, elsewhere whoever has a key.

use std::net::SocketAddr;

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
