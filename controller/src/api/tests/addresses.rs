//! Failures of keys over real sockets: each address has its own bound, and none shuts out another.

use std::net::{IpAddr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::oneshot,
};

use super::*;
use crate::{
    api::serve,
    keys::{Namespaces, Right, new},
};

const LIST: &str = "/api/v1/apps";

/// How many failures of an address are answered at once.
const BURST: usize = 10;

/// The status and the body of a call from that address.
async fn call(from: &str, to: SocketAddr, path: &str, key: Option<&str>) -> (u16, String) {
    let from: IpAddr = from.parse().unwrap();
    let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{key}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

async fn failures(to: SocketAddr, reason: &str) -> usize {
    let (_, metrics) = call("127.0.0.9", to, "/metrics", None).await;
    let name = format!("reveille_api_auth_failures_total{{reason=\"{reason}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_address_has_its_own_bound_and_a_good_key_passes_from_any() {
    let key = new("ci", Namespaces::All, Right::Read).unwrap();
    let ring = KeyRing::new(vec![key.kept.clone()]);
    let router = router_of(Arc::new(FakeApps { keys: Some(ring), ..FakeApps::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router, async {
        let _ = stopped.await;
    }));

    let mut answered = Vec::new();
    for _ in 0..BURST * 2 {
        answered.push(call("127.0.0.2", to, LIST, Some("guess")).await.0);
    }
    // Real time passes here: on a slow machine a few more are answered, as the bound fills again.
    assert_eq!(answered[..BURST], [401; BURST]);
    assert!(answered.contains(&429), "{answered:?}");
    let refused = answered.iter().filter(|status| **status == 401).count();
    assert_eq!(failures(to, "unknown").await, refused);
    assert_eq!(failures(to, "limited").await, answered.len() - refused);

    assert_eq!(call("127.0.0.3", to, LIST, None).await.0, 401, "another address has its own");
    assert_eq!(failures(to, "missing").await, 1);
    for from in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        assert_eq!(call(from, to, LIST, Some(&key.told)).await.0, 200, "{from}");
    }
    assert_eq!(failures(to, "unknown").await, refused, "a good key is no failure");
    stop.send(()).unwrap();
    server.await.unwrap();
}
