//! Whether the addresses of a file are free, asked before anything starts.
//!
//! The listeners themselves share their ports among threads (SO_REUSEPORT), and so would share them with
//! another Reveille without a word. Here each address is bound once without it.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

use super::{LocalConfig, Problem, Problems};

/// What is in the way of listening on the addresses of a file.
#[derive(Debug, Default)]
pub struct Obstacles {
    /// Addresses that somebody listens on already, be it Reveille itself with this very file.
    pub in_use: Option<Problems>,
    /// Addresses that this user cannot listen on, whoever else runs.
    pub refused: Option<Problems>,
}

/// Tries to bind every address that Reveille listens on, and lets go of it again.
///
/// # Errors
/// Each address that cannot be bound, with the reason.
pub fn check_ports_free(config: &LocalConfig) -> Result<(), Problems> {
    let all: Vec<Problem> = obstacles_of(config, try_bind).map(|(_, problem)| problem).collect();
    problems(config, all).map_or(Ok(()), Err)
}

/// The same, told apart by whether it may be as it should be.
pub fn obstacles(config: &LocalConfig) -> Obstacles {
    obstacles_by(config, try_bind)
}

fn obstacles_by(config: &LocalConfig, bind: impl Fn(SocketAddr) -> io::Result<()>) -> Obstacles {
    let (in_use, refused): (Vec<_>, Vec<_>) =
        obstacles_of(config, bind).partition(|(kind, _)| *kind == io::ErrorKind::AddrInUse);
    let of =
        |list: Vec<(_, Problem)>| problems(config, list.into_iter().map(|(_, problem)| problem).collect());
    Obstacles { in_use: of(in_use), refused: of(refused) }
}

fn obstacles_of(
    config: &LocalConfig,
    try_bind: impl Fn(SocketAddr) -> io::Result<()>,
) -> impl Iterator<Item = (io::ErrorKind, Problem)> {
    config.binds.iter().filter_map(move |bind| {
        let error = try_bind(bind.address).err()?;
        let reason = explain(bind.address, &error);
        Some((error.kind(), Problem { place: bind.place, field: bind.field.clone(), reason }))
    })
}

fn problems(config: &LocalConfig, list: Vec<Problem>) -> Option<Problems> {
    if list.is_empty() { None } else { Some(Problems::new(&config.file, list)) }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_an_address_in_use_may_be_as_it_should_be() {
        let text = "apps: [{name: web, command: [sh], ports: [{listen: 127.0.0.1:80, upstream: 127.0.0.1:9001}, {listen: 127.0.0.1:81}]}]";
        let config = crate::file::parse(text, Path::new("reveille.yaml"), Path::new("/")).unwrap();
        let found = obstacles_by(&config, |address| match address.port() {
            80 => Err(io::ErrorKind::PermissionDenied.into()),
            81 => Err(io::ErrorKind::AddrInUse.into()),
            _ => Ok(()),
        });
        let refused = found.refused.unwrap().lines();
        assert_eq!(
            refused,
            "reveille.yaml:1:52: apps[0].ports[0].listen: 127.0.0.1:80 needs privileges; choose a port of 1024 or more\n"
        );
        assert!(found.in_use.unwrap().lines().contains("127.0.0.1:81 is in use"));
        let none = obstacles_by(&config, |_| Ok(()));
        assert!(none.refused.is_none() && none.in_use.is_none());
    }
}
