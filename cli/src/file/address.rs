//! Addresses as they are written, with a hint for each usual mistake.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::hint::quote;

/// An IP address with a port other than 0. Names are refused: what they resolve to may change, and may be
/// several addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// Reads an address.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            Err(format!("{} has port 0; choose a port from 1 to 65535", quote(text)))
        }
        Ok(address) => Ok(SocketAddr::new(address.ip().to_canonical(), address.port())),
        Err(_) => Err(format!("{} is no address; {}", quote(text), correction(text))),
    }
}

fn correction(text: &str) -> String {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if is_port(text) {
        return format!("write the IP too: 127.0.0.1:{text}");
    }
    // Before the next: `::1:80` is an IP, too, but hardly what was meant.
    if let Some((ip, port)) = text.rsplit_once(':')
        && ip.parse::<Ipv6Addr>().is_ok()
        && is_port(port)
    {
        return format!("write \"[{ip}]:{port}\"");
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return match ip {
            IpAddr::V4(ip) => format!("add a port: {ip}:8080"),
            IpAddr::V6(ip) => format!("add a port: \"[{ip}]:8080\""),
        };
    }
    if text.contains("://") {
        return "write IP:port alone, without a scheme".to_owned();
    }
    match text.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() && !is_port(port) => {
            "a port is a number from 1 to 65535".to_owned()
        }
        Some(("localhost", port)) if is_port(port) => format!("write the IP: 127.0.0.1:{port}"),
        Some(("" | "*", port)) if is_port(port) => {
            format!("write the IP too: 127.0.0.1:{port}, or 0.0.0.0:{port} for every interface")
        }
        Some((_, port)) if is_port(port) => format!("write an IP instead of a name: 127.0.0.1:{port}"),
        _ => "write IP:port, such as 127.0.0.1:8080".to_owned(),
    }
}

/// A network of proxies, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proxy(pub(super) IpNet);

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_network(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// Reads a network, or one address.
///
/// # Errors
/// How it is written.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let net = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip)));
    net.map(|net: IpNet| net.trunc())
        .map_err(|_| format!("{} is no network; write one such as 10.0.0.0/8, or an IP", quote(text)))
}

/// Whether two sockets cannot listen on both at a time: the same port of the same address, or of every
/// address. `[::]` counts for IPv4 too, as Linux has it unless told otherwise.
pub(crate) fn conflict(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| match all.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && one.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_listened_on_together_conflicts() {
        let conflict = |a: &str, b: &str| conflict(a.parse().unwrap(), b.parse().unwrap());
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
        ] {
            assert_eq!(conflict(a, b), expected, "{a} {b}");
            assert_eq!(conflict(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn each_usual_mistake_has_its_hint() {
        for (text, hint) in [
            ("8081", "write the IP too: 127.0.0.1:8081"),
            (":8081", "write the IP too: 127.0.0.1:8081, or 0.0.0.0:8081 for every interface"),
            ("localhost:80", "write the IP: 127.0.0.1:80"),
            ("myhost:80", "write an IP instead of a name: 127.0.0.1:80"),
            ("127.0.0.1", "add a port: 127.0.0.1:8080"),
            ("::1", "add a port: \"[::1]:8080\""),
            ("::", "add a port: \"[::]:8080\""),
            ("::1:80", "write \"[::1]:80\""),
            ("1:2:3:4:5:6:7:8:80", "write \"[1:2:3:4:5:6:7:8]:80\""),
            ("127.0.0.1:99999", "a port is a number from 1 to 65535"),
            ("http://127.0.0.1:80", "write IP:port alone, without a scheme"),
            ("", "write IP:port, such as 127.0.0.1:8080"),
        ] {
            assert_eq!(parse(text), Err(format!("{text:?} is no address; {hint}")));
        }
        assert!(parse("127.0.0.1:0").unwrap_err().contains("port 0"));
        assert_eq!(parse("[::ffff:127.0.0.1]:80"), Ok("127.0.0.1:80".parse().unwrap()));
    }
}
