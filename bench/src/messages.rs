//! Messages that go back and forth: over WebSockets, over plain TCP, and over streams of gRPC. Of each connection or stream
//! one message is on its way at a time, and the answer to it is what counts.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    cpu,
    error::{Error, Result},
    tools::Load,
};

/// What carries the messages.
#[derive(Clone, Copy)]
pub(crate) enum Carrier {
    WebSocket,
    Tcp,
    Grpc,
}

/// Connections of WebSockets and TCP.
const CONNECTIONS: usize = 64;
/// Connections of gRPC, and streams on each.
const GRPC: (usize, usize) = (8, 8);
/// Bytes of a message.
const MESSAGE: usize = 100;
/// A frame of a client: final, binary, masked with zeros, as short messages are.
const CLIENT_FRAME: [u8; 6] = [0x82, 0x80 | MESSAGE as u8, 0, 0, 0, 0];
const SERVER_FRAME: [u8; 2] = [0x82, MESSAGE as u8];
/// Key and answer are the example of RFC 6455, 1.3.
const UPGRADE: &[u8] = b"GET /messages HTTP/1.1\r\nHost: bench.localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The load, on core 1.
pub(crate) fn run(carrier: Carrier, port: u16, seconds: u64) -> Result<Load> {
    let load = thread::spawn(move || exchange(carrier, port, Duration::from_secs(seconds)));
    load.join().map_err(|_| Error::new("the load's thread panicked"))?
}

fn exchange(carrier: Carrier, port: u16, lasts: Duration) -> Result<Load> {
    cpu::stay_on_load_core().map_err(Error::of("the load cannot be kept on core 1"))?;
    runtime()?.block_on(async {
        let begun = Instant::now();
        let until = begun + lasts;
        let connections = if matches!(carrier, Carrier::Grpc) { GRPC.0 } else { CONNECTIONS };
        let all: Vec<_> = (0..connections)
            .map(|_| {
                tokio::spawn(async move {
                    match carrier {
                        Carrier::WebSocket => {
                            websocket(port, until).await.map_err(Error::of("a WebSocket broke"))
                        }
                        Carrier::Tcp => tcp(port, until).await.map_err(Error::of("a connection broke")),
                        Carrier::Grpc => grpc(port, until).await,
                    }
                })
            })
            .collect();
        let mut requests = 0;
        for one in all {
            requests += one.await.map_err(Error::of("a connection's task ended"))??;
        }
        Ok(Load { requests, warm_up: 0, took: begun.elapsed() })
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::of("no runtime"))
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tcp(port: u16, until: Instant) -> io::Result<u64> {
    let mut stream = connect(port).await?;
    back_and_forth(&mut stream, &[b'm'; MESSAGE], MESSAGE, until).await
}

async fn websocket(port: u16, until: Instant) -> io::Result<u64> {
    let mut stream = connect(port).await?;
    stream.write_all(UPGRADE).await?;
    let head = read_head(&mut stream).await?;
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    let frame = [&CLIENT_FRAME[..], &[b'm'; MESSAGE]].concat();
    back_and_forth(&mut stream, &frame, SERVER_FRAME.len() + MESSAGE, until).await
}

async fn back_and_forth(
    stream: &mut TcpStream,
    message: &[u8],
    answer: usize,
    until: Instant,
) -> io::Result<u64> {
    let mut space = vec![0; answer];
    let mut count = 0;
    while Instant::now() < until {
        stream.write_all(message).await?;
        stream.read_exact(&mut space).await?;
        count += 1;
    }
    Ok(count)
}

/// Reads a head and nothing behind it.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

async fn grpc(port: u16, until: Instant) -> Result<u64> {
    let stream = connect(port).await.map_err(Error::of("no connection"))?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(Error::of("no HTTP/2"))?;
    let connection = tokio::spawn(connection);
    let streams: Vec<_> = (0..GRPC.1).map(|_| tokio::spawn(call(client.clone(), port, until))).collect();
    drop(client);
    let mut count = 0;
    for stream in streams {
        let one = stream.await.map_err(Error::of("a stream's task ended"))?;
        count += one.map_err(Error::of("a stream broke"))?;
    }
    connection.abort();
    Ok(count)
}

async fn call(
    client: h2::client::SendRequest<Bytes>,
    port: u16,
    until: Instant,
) -> std::result::Result<u64, h2::Error> {
    let mut head = Request::new(());
    *head.method_mut() = http::Method::POST;
    *head.uri_mut() = format!("http://127.0.0.1:{port}/bench.Echo/Stream").parse().unwrap_or_default();
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        head.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let message = Bytes::from([&[0, 0, 0, 0, MESSAGE as u8][..], &[b'm'; MESSAGE]].concat());
    let (response, mut sending) = client.ready().await?.send_request(head, false)?;
    sending.send_data(message.clone(), false)?;
    let mut body = response.await?.into_body();
    let (mut count, mut missing) = (0, message.len());
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        missing = missing.saturating_sub(piece.len());
        if missing > 0 {
            continue;
        }
        count += 1;
        if Instant::now() >= until {
            break;
        }
        missing = message.len();
        sending.send_data(message.clone(), false)?;
    }
    sending.send_data(Bytes::new(), true)?;
    while let Some(piece) = body.data().await {
        drop(piece?);
    }
    Ok(count)
}

/// The server behind the proxies: sends each message back, over WebSockets and plain TCP.
pub(crate) fn serve(port: Option<&str>) -> Result<()> {
    let port: u16 =
        port.and_then(|port| port.parse().ok()).ok_or_else(|| Error::new("message-server needs a port"))?;
    runtime()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.map_err(Error::of(format!("port {port} cannot be opened")))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(Error::of("no connection can be accepted"))?;
            tokio::spawn(answer(stream));
        }
    })
}

/// Ends with an error when the client leaves, which is the load's to count.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == *b"G" {
        read_head(&mut stream).await?;
        stream.write_all(UPGRADED).await?;
        let mut frame = [0; CLIENT_FRAME.len() + MESSAGE];
        loop {
            stream.read_exact(&mut frame).await?;
            let answer = [&SERVER_FRAME[..], &frame[CLIENT_FRAME.len()..]].concat();
            stream.write_all(&answer).await?;
        }
    }
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&message).await?;
    }
}
