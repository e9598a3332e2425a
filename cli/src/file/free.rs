//! Whether the addresses of a file are free, asked before anything starts.
//!
//! The listeners themselves share their ports among threads (SO_REUSEPORT), and so would share them with
//! another Reveille without a word. Here each address is bound once without it.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

use super::{LocalConfig, Problem, Problems};

/// Tries to bind every address that Reveille listens on, and lets go of it again.
///
/// # Errors
/// Each address that cannot be bound, with the reason.
pub fn check_ports_free(config: &LocalConfig) -> Result<(), Problems> {
    let taken: Vec<Problem> = config
        .binds
        .iter()
        .filter_map(|bind| {
            let error = try_bind(bind.address).err()?;
            Some(Problem {
                place: bind.place,
                field: bind.field.clone(),
                reason: explain(bind.address, &error),
            })
        })
        .collect();
    if taken.is_empty() { Ok(()) } else { Err(Problems::new(&config.file, taken)) }
}

fn try_bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of a Reveille that just ended must not count as taken.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use by another process; choose another port, or find it with: ss -ltnp 'sport = :{port}'"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{} is no address of this machine; write 127.0.0.1, or 0.0.0.0 for every interface",
                address.ip()
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} needs privileges; choose a port of 1024 or more")
        }
        _ => format!("{address} cannot be listened on: {error}"),
    }
}
