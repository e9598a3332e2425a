//! The ports on which apps listen: choosing one, and seeing whether it is free.
//!
//! A chosen port lies outside the kernel's ephemeral range. Within it, the prober's connect to a port where
//! nobody listens yet may be given that very port as its own: it then connects to itself, holds the port,
//! and the app cannot bind it (seen after 1,413 tries).

mod owner;

use std::{
    collections::HashSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Below are the ports that people choose themselves, if there are enough others.
const FIRST: u16 = 20_000;
/// Below are the ports for which a process needs a privilege.
const UNPRIVILEGED: u16 = 1024;
/// What Linux sets unless it was told otherwise.
const DEFAULT_RANGE: RangeInclusive<u16> = 32_768..=60_999;

/// The ports that the kernel gives to outgoing connections (`net.ipv4.ip_local_port_range`).
pub fn ephemeral_range() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(DEFAULT_RANGE)
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// Whether the kernel may give this port to an outgoing connection: an app should not listen there.
pub fn is_ephemeral(port: u16) -> bool {
    ephemeral_range().contains(&port)
}

/// Chooses a port of 127.0.0.1 that is free, not in `taken`, and outside the ephemeral range if there is any
/// such port.
///
/// It is free now; whoever is to listen on it must be ready to find it taken.
///
/// # Errors
/// If no port is free, or no socket could be made.
pub fn choose(taken: &HashSet<u16>) -> io::Result<u16> {
    for ports in candidates(&ephemeral_range()) {
        // At random: two runs of Reveille should not try for the same ports.
        let middle = fastrand::u16(ports.clone());
        for port in (middle..=*ports.end()).chain(*ports.start()..middle) {
            if !taken.contains(&port) && can_bind((Ipv4Addr::LOCALHOST, port).into())? {
                return Ok(port);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port of 127.0.0.1 is free"))
}

/// Where to look for a port, best first. The ephemeral range itself is the last resort: there the rule that
/// a socket whose own address is its peer's is refused must do alone.
fn candidates(ephemeral: &RangeInclusive<u16>) -> Vec<RangeInclusive<u16>> {
    let below = ephemeral.start().saturating_sub(1);
    let mut ranges = vec![FIRST..=below];
    ranges.extend(ephemeral.end().checked_add(1).map(|above| above..=u16::MAX));
    ranges.extend([UNPRIVILEGED..=below, UNPRIVILEGED.max(*ephemeral.start())..=*ephemeral.end()]);
    ranges.retain(|ports| !ports.is_empty());
    ranges
}

/// Checks that nothing listens where an app is about to.
///
/// # Errors
/// A clause that says who does, if that can be seen, and what to do.
pub fn check_free(addr: SocketAddr) -> Result<(), String> {
    match can_bind(addr) {
        Ok(false) => Err(owner::describe(addr)),
        // No local address, or a port for which Reveille lacks the privilege: the app may be luckier.
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Whether the address can be bound. It is not listened on: a prober that came in that moment would take
/// this for the app.
fn can_bind(addr: SocketAddr) -> io::Result<bool> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last run that linger in TIME_WAIT do not count.
    socket.set_reuse_address(true)?;
    match socket.bind(&addr.into()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a socket that listens on `bound` gets what is sent to `wanted`.
fn covers(bound: IpAddr, wanted: IpAddr) -> bool {
    let (bound, wanted) = (bound.to_canonical(), wanted.to_canonical());
    bound == wanted
        || match bound {
            IpAddr::V4(any) => any.is_unspecified() && wanted.is_ipv4(),
            IpAddr::V6(any) => any.is_unspecified(), // of both families, unless it says otherwise
        }
        || wanted.is_unspecified()
}

#[cfg(test)]
mod tests;
