//! The gRPC server behind the proxies: answers each call with the message that came, over HTTP/2 with prior knowledge.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};

use crate::error::{Error, Result};

/// Serves on a port of 127.0.0.1 until the process is ended.
pub(crate) fn run(port: Option<&str>) -> Result<()> {
    let port: u16 =
        port.and_then(|port| port.parse().ok()).ok_or_else(|| Error::new("grpc-server needs a port"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::of("no runtime"))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.map_err(Error::of(format!("port {port} cannot be opened")))?;
        loop {
            let accepted = listener.accept().await.map_err(Error::of("no connection can be accepted"))?;
            accepted.0.set_nodelay(true).map_err(Error::of("the socket has no TCP_NODELAY"))?;
            tokio::spawn(connection(accepted.0));
        }
    })
}

/// An error is a client that left, which is the load's to count.
async fn connection(stream: tokio::net::TcpStream) -> std::result::Result<(), h2::Error> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1_000)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(call(request, respond));
    }
    Ok(())
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> std::result::Result<(), h2::Error> {
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut body = request.into_body();
    let mut sending = respond.send_response(head, false)?;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        // The end of the client's side comes as an empty one. Sent on, it would not end anything, and peers count such
        // frames as a flood.
        if piece.is_empty() {
            continue;
        }
        sending.send_data(piece, false)?;
    }
    sending.send_trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]))
}
