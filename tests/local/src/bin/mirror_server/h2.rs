//! HTTP/2, over the frames of the `h2` crate.

use std::{future::poll_fn, io, net::TcpStream};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{Request, StatusCode};
use reveille_tests_local::differential::{
    h2::{length, receive, send, to_fields, to_map},
    message::{Message, Start},
    script::without_hop,
};

use crate::book::Book;

/// Larger than any head of a case.
const MAX_HEADER_LIST: u32 = 256 << 10;

pub(crate) fn serve(stream: TcpStream, book: &Book) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut builder = server::Builder::new();
        builder.max_header_list_size(MAX_HEADER_LIST).initial_window_size(1 << 20);
        let mut conn = builder.handshake(stream).await.map_err(io::Error::other)?;
        while let Some(stream) = conn.accept().await {
            let (request, respond) = stream.map_err(io::Error::other)?;
            let book = book.clone();
            // A stream that is reset concerns no other.
            tokio::spawn(async move { answer(request, respond, &book).await });
        }
        poll_fn(|cx| conn.poll_closed(cx)).await.map_err(io::Error::other)
    })
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    book: &Book,
) -> Result<(), h2::Error> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().to_owned();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let mut fields = to_fields(&parts.headers);
    if let Some(authority) = parts.uri.authority() {
        fields.insert(0, ("host".into(), authority.to_string()));
    }
    let is_head = method == "HEAD";
    let request = Message::new("HTTP/2", Start::Request { method, target }, fields);
    let response = book.response(&request);
    let request = receive(request, body).await?;
    book.note(request);

    for status in &response.interim {
        let mut interim = http::Response::new(());
        *interim.status_mut() = StatusCode::from_u16(*status).expect("scripts have valid statuses");
        respond.send_informational(interim)?;
    }
    let mut head = http::Response::new(());
    *head.status_mut() = StatusCode::from_u16(response.status).expect("scripts have valid statuses");
    let mut fields = without_hop(&response.fields);
    fields.extend(length(&response.body));
    *head.headers_mut() = to_map(&fields).expect("scripts have valid fields");
    let is_bodyless = is_head || matches!(response.status, 204 | 304);
    let is_empty = is_bodyless || (response.body.length == 0 && response.body.trailers.is_empty());
    let mut stream = respond.send_response(head, is_empty)?;
    if !is_empty {
        send(&mut stream, &response.body).await?;
    }
    Ok(())
}
