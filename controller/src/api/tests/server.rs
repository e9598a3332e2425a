//! Clients that are slow, stuck or too many; time is paused where both ends live in the test.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::api::server::{connection, serve};

/// One connection to the admin port, its pipe holding `pipe` bytes each way.
fn connect(pipe: usize) -> (DuplexStream, JoinHandle<()>, watch::Sender<()>) {
    let (client, server) = duplex(pipe);
    let (stop, stopping) = watch::channel(());
    let task = tokio::spawn(connection(server, [127, 0, 0, 1].into(), router_of(Arc::default()), stopping));
    (client, task, stop)
}

/// Time until the server has ended the connection.
async fn lasted(task: JoinHandle<()>) -> u64 {
    let start = Instant::now();
    task.await.unwrap();
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_given_up() {
    for sent in ["", "G", "GET /livez HTTP/1.1\r\nHost: local"] {
        let (mut client, task, _stop) = connect(4096);
        client.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(lasted(task).await, 15, "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let (mut client, task, _stop) = connect(4096);
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(lasted(task).await, 15);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_given_up() {
    let (mut client, task, _stop) = connect(64);
    client.write_all(b"GET /api/v1/apps HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(lasted(task).await, 15);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_closes_idle_connections_at_once() {
    let (mut client, task, stop) = connect(4096);
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 15];
    client.read_exact(&mut some).await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(lasted(task).await, 0);
}

#[tokio::test]
async fn a_real_socket_is_served_until_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router_of(Arc::default()), async {
        let _ = stopped.await;
    }));

    // More idle clients than are served at once, then room again when they leave.
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let waiting = tokio::time::timeout(Duration::from_millis(100), client.read_to_string(&mut answer)).await;
    assert!(waiting.is_err(), "the 257th client waits: {answer}");
    idle.clear();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("it ends when told").unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
