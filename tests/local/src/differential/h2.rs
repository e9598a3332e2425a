//! The client that speaks HTTP/2, over frames: the `h2` crate, without what a full client adds.

use std::{future::Future, time::Duration};

use ::h2::client::{self, SendRequest};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::{
    h1::PATIENCE,
    message::{Message, Start},
    script::{Body, CASE, Case, Field, Framing, bytes, latin1, without_hop},
};

/// Larger than any head of a case, and than the defaults of both sides.
const MAX_HEADER_LIST: u32 = 256 << 10;

/// A client with at most one open connection, which lives as long as both sides let it.
#[derive(Debug)]
pub struct Client {
    port: u16,
    runtime: Runtime,
    conn: Option<SendRequest<Bytes>>,
}

impl Client {
    /// A client of a port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no runtime to be had.
    pub fn new(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { port, runtime: runtime.expect("a runtime can be built"), conn: None }
    }

    /// Sends the request of a case and reads the answer to it.
    ///
    /// # Errors
    /// If no answer comes, or what comes is no flawless HTTP message.
    pub fn exchange(&mut self, name: &str, case: &Case) -> Result<Message, String> {
        let (port, conn) = (self.port, self.conn.take());
        let result = self.runtime.block_on(async {
            let conn = match conn {
                Some(conn) => conn,
                None => patient("connecting", connect(port)).await?,
            };
            let answer = patient("the answer", exchange(&conn, name, case)).await?;
            Ok::<_, String>((conn, answer))
        });
        let (conn, answer) = result?;
        self.conn = Some(conn);
        Ok(answer)
    }
}

async fn patient<T>(what: &str, future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let limit: Duration = PATIENCE;
    timeout(limit, future).await.unwrap_or_else(|_| Err(format!("{what} took more than {limit:?}")))
}

async fn connect(port: u16) -> Result<SendRequest<Bytes>, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut builder = client::Builder::new();
    builder.max_header_list_size(MAX_HEADER_LIST).initial_window_size(1 << 20).enable_push(false);
    let (conn, driver) = builder.handshake(stream).await.map_err(|error| error.to_string())?;
    // The answer to the next request tells how it ended.
    tokio::spawn(async { driver.await.err() });
    Ok(conn)
}

async fn exchange(conn: &SendRequest<Bytes>, name: &str, case: &Case) -> Result<Message, String> {
    let request = &case.request;
    let mut head = http::Request::new(());
    *head.method_mut() = Method::from_bytes(&bytes(&request.method)).map_err(|error| error.to_string())?;
    *head.uri_mut() = uri(request.host.as_deref(), &request.target)?;
    let mut fields = vec![(CASE.to_owned(), name.to_owned())];
    fields.extend(without_hop(&request.fields));
    fields.extend(length(&request.body));
    *head.headers_mut() = to_map(&fields)?;
    let conn = conn.clone().ready().await;
    let mut conn = conn.map_err(|error| format!("no answer: {error}"))?;
    let is_empty = request.body.length == 0 && request.body.trailers.is_empty();
    let (response, mut sending) =
        conn.send_request(head, is_empty).map_err(|error| format!("not sent: {error}"))?;
    if !is_empty {
        send(&mut sending, &request.body).await.map_err(|error| format!("body not sent: {error}"))?;
    }
    let response = response.await.map_err(|error| format!("no answer: {error}"))?;
    let (parts, body) = response.into_parts();
    let start = Start::Response { status: parts.status.as_u16(), reason: String::new() };
    let message = Message::new("HTTP/2", start, to_fields(&parts.headers));
    receive(message, body).await.map_err(|error| format!("the answer broke off: {error}"))
}

fn uri(host: Option<&str>, target: &str) -> Result<Uri, String> {
    let mut builder = Uri::builder().scheme("http");
    if let Some(host) = host {
        builder = builder.authority(host);
    }
    builder.path_and_query(target).build().map_err(|error| error.to_string())
}

/// The field that tells a body's length. What ends it shows in the frames.
pub fn length(body: &Body) -> Option<Field> {
    (body.framing == Framing::Length).then(|| ("content-length".into(), body.length.to_string()))
}

/// Fields for the `http` crate.
///
/// # Errors
/// If it does not take one.
pub fn to_map(fields: &[Field]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("{name:?}: {error}"))?;
        let value = HeaderValue::from_bytes(&bytes(value)).map_err(|error| format!("{name}: {error}"))?;
        map.append(key, value);
    }
    Ok(map)
}

/// Fields of the `http` crate.
pub fn to_fields(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes()))).collect()
}

/// Sends a body and its trailers, and ends the stream.
///
/// # Errors
/// If the other side is gone.
pub async fn send(stream: &mut ::h2::SendStream<Bytes>, body: &Body) -> Result<(), ::h2::Error> {
    let trailers = to_map(&without_hop(&body.trailers)).expect("trailers are made of valid fields");
    let pieces = body.split();
    let count = pieces.len();
    for (index, piece) in pieces.into_iter().enumerate() {
        if index > 0 && body.pause > 0 {
            tokio::time::sleep(Duration::from_millis(body.pause)).await;
        }
        stream.send_data(piece.into(), index + 1 == count && trailers.is_empty())?;
    }
    if !trailers.is_empty() {
        stream.send_trailers(trailers)?;
    } else if count == 0 {
        stream.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

/// Reads the body and trailers of a message.
///
/// # Errors
/// If the stream breaks off.
pub async fn receive(mut message: Message, mut body: ::h2::RecvStream) -> Result<Message, ::h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.add(&piece);
    }
    if let Some(trailers) = body.trailers().await? {
        message.trailers = to_fields(&trailers);
    }
    message.framing =
        if message.values("content-length").is_empty() { Framing::None } else { Framing::Length };
    Ok(message)
}
