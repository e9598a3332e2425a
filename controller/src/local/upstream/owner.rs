//! Who listens on a port, as far as `/proc` tells: other users' programs are seen by root alone.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use super::covers;
use crate::local::procfs::{self, Stat};

/// `TCP_LISTEN` of the kernel's `enum`, as `/proc/net/tcp` writes it.
const LISTENING: &str = "0A";

/// Says in a clause that `addr` is taken, by whom, and what to do.
pub(super) fn describe(addr: SocketAddr) -> String {
    let sockets: Vec<PathBuf> = listeners(addr).map(|inode| format!("socket:[{inode}]").into()).collect();
    if sockets.is_empty() {
        return format!(
            "{addr} is taken by a socket that does not listen; wait for its end or choose another port"
        );
    }
    let holds = |pid: &i32| procfs::open_files(*pid).any(|file| sockets.contains(&file));
    // The lowest number of several is most often the one that started the others.
    match procfs::pids().filter(holds).min().and_then(Stat::of) {
        Some(Stat { pid, name, .. }) => {
            let name: String = name.chars().filter(|c| !c.is_control()).collect();
            format!("{addr} is taken by {name} (pid {pid}); stop it or choose another port")
        }
        None => format!(
            "{addr} is taken by a program of another user (as root, `ss -ltnp` names it); stop it or choose another port"
        ),
    }
}

/// The inodes of the sockets that listen there.
fn listeners(addr: SocketAddr) -> impl Iterator<Item = u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().flat_map(move |table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        let inodes = text.lines().filter_map(|line| listener(line, addr));
        inodes.collect::<Vec<_>>()
    })
}

/// The inode, if this line of the table (proc_net(5)) is of a socket that listens there.
fn listener(line: &str, addr: SocketAddr) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let local = parse_address(fields.nth(1)?)?;
    let listens = fields.nth(1)? == LISTENING;
    let inode = fields.nth(5)?.parse().ok()?;
    (listens && local.port() == addr.port() && covers(local.ip(), addr.ip())).then_some(inode)
}

/// `0100007F:1F90`: words of 4 bytes in the machine's own order, then the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(listener(LINE, at("127.0.0.1:8080")), Some(31337));
        assert_eq!(listener(LINE, at("127.0.0.1:8081")), None);
        assert_eq!(listener(LINE, at("127.0.0.2:8080")), None);
        assert_eq!(listener(&LINE.replace(" 0A ", " 01 "), at("127.0.0.1:8080")), None);
        assert_eq!(listener("  sl  local_address rem_address   st", at("127.0.0.1:8080")), None);
        let v6 = "00000000000000000000000001000000:1F90";
        assert_eq!(parse_address(v6), Some(at("[::1]:8080")));
        assert_eq!(parse_address("äääääääääääääääää"), None);
    }
}
