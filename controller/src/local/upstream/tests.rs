//! Free ports, the ephemeral range, and who owns a port that is taken.

use std::net::{TcpListener, TcpStream};

use super::*;

#[test]
fn a_chosen_port_is_free_and_not_ephemeral() {
    let mut taken = HashSet::new();
    for _ in 0..50 {
        let port = choose(&taken).unwrap();
        assert!(!is_ephemeral(port) && port >= UNPRIVILEGED, "{port}");
        assert!(taken.insert(port), "{port} was taken");
    }
}

#[test]
fn there_are_candidates_whatever_the_range() {
    assert_eq!(
        candidates(&(32_768..=60_999)),
        [20_000..=32_767, 61_000..=65_535, 1024..=32_767, 32_768..=60_999]
    );
    assert_eq!(candidates(&(1024..=65_535)), [1024..=65_535]);
    assert_eq!(candidates(&(1..=65_535)), [1024..=65_535]);
    assert_eq!(candidates(&(15_000..=65_535)), [1024..=14_999, 15_000..=65_535]);
}

#[test]
fn the_range_is_read_as_the_kernel_writes_it() {
    assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
    assert_eq!(parse_range(""), None);
    assert_eq!(parse_range("1"), None);
}

#[test]
fn a_listener_is_named() {
    for bound in ["127.0.0.1:0", "0.0.0.0:0"] {
        let listener = TcpListener::bind(bound).unwrap();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()));
        let reason = check_free(addr).unwrap_err();
        let me = format!("(pid {})", std::process::id());
        assert!(reason.starts_with(&addr.to_string()) && reason.contains(&me), "{reason}");
        drop(listener);
        assert_eq!(check_free(addr), Ok(()));
    }
}

#[test]
fn a_connection_that_lingers_is_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(server); // closes first: its end goes through TIME_WAIT
    drop(client);
    drop(listener);
    assert_eq!(check_free(addr), Ok(()));
}

#[test]
fn a_wildcard_covers_every_address() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(covers(ip("0.0.0.0"), ip("127.0.0.1")));
    assert!(covers(ip("::"), ip("127.0.0.1")));
    assert!(covers(ip("::ffff:127.0.0.1"), ip("127.0.0.1")));
    assert!(covers(ip("127.0.0.1"), ip("0.0.0.0")));
    assert!(!covers(ip("0.0.0.0"), ip("::1")));
    assert!(!covers(ip("127.0.0.2"), ip("127.0.0.1")));
}
