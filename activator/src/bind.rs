//! Listening sockets: one for each worker on the same address (`SO_REUSEPORT`), so that the kernel spreads
//! new connections over the workers.
//!
//! With `SO_REUSEPORT` another process of the same user could bind the same address, silently sharing its
//! connections. So the address is bound once without it, to find out whether it is free.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per worker; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds one listener for each worker. Port 0 takes a free port, the same for all.
///
/// # Errors
/// If the address is taken, not of this machine, or not allowed.
pub(crate) fn bind_each(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let address = {
        let test = socket(address)?;
        test.bind(&address.into())?;
        test.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP address"))?
    };
    (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` is every address, of both families.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_listen_on_one_port_and_nobody_else_does() {
        let listeners = bind_each("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
        assert_eq!(bind_each(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        bind_each(address, 1).unwrap();
    }
}
