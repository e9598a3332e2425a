//! Readiness over HTTP/2 by prior knowledge: a path, or gRPC's health protocol (`grpc.health.v1`).
//!
//! A server that does not implement the latter is ready when it answers so: it takes calls.

use std::{net::SocketAddr, pin::pin};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderValue, Method, Request, header};

use super::{USER_AGENT, connect};
use crate::request::grpc::{self, APPLICATION_GRPC, GRPC_STATUS};

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// More than any answer to it; what is longer is none.
const LONGEST: usize = 1 << 10;

/// `HealthCheckResponse.ServingStatus.SERVING`, as the message's only field: number 1, a varint.
const SERVING: [u8; 2] = [0x08, 0x01];
/// `grpc-status` of a method that the server does not have.
const UNIMPLEMENTED: &str = "12";
/// A message's header: one byte of flags, four of length.
const HEADER: usize = 5;

/// Whether `GET path` is answered with a status from 200 to 399.
pub(super) async fn get(address: SocketAddr, path: &str) -> bool {
    let answer = with_server(address, async |mut sender| {
        let (response, _) = sender.send_request(request(Method::GET, address, path)?, true).ok()?;
        Some(response.await.ok()?.status())
    });
    answer.await.is_some_and(|status| status.is_success() || status.is_redirection())
}

/// Asks the server about `service` by gRPC; empty for the server as a whole.
pub(super) async fn check(address: SocketAddr, service: &str) -> bool {
    let answer = with_server(address, async |mut sender| {
        let mut request = request(Method::POST, address, CHECK)?;
        request.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_GRPC);
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        let (response, mut body) = sender.send_request(request, false).ok()?;
        body.send_data(message(service), true).ok()?;
        let response = response.await.ok()?;
        // Trailers-only: the status is among the headers, and no message follows.
        if let Some(status) = response.headers().get(GRPC_STATUS) {
            return Some(status == UNIMPLEMENTED);
        }
        if !response.status().is_success() {
            return Some(false);
        }
        let mut body = response.into_body();
        let mut received = BytesMut::new();
        while received.len() < LONGEST
            && let Some(data) = body.data().await
        {
            let data = data.ok()?;
            drop(body.flow_control().release_capacity(data.len()));
            received.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.ok()??;
        let status = trailers.get(GRPC_STATUS)?;
        Some(status == UNIMPLEMENTED || status == "0" && received.get(HEADER..) == Some(&SERVING[..]))
    });
    answer.await.unwrap_or(false)
}

fn request(method: Method, address: SocketAddr, path: &str) -> Option<Request<()>> {
    let builder = Request::builder().method(method).uri(format!("http://{address}{path}"));
    builder.header(header::USER_AGENT, USER_AGENT).body(()).ok()
}

/// Connects and asks.
async fn with_server<T>(
    address: SocketAddr,
    ask: impl AsyncFnOnce(SendRequest<Bytes>) -> Option<T>,
) -> Option<T> {
    let stream = connect(address).await.ok()?;
    let (sender, connection) = h2::client::handshake(stream).await.ok()?;
    let mut answer = pin!(async { ask(sender.ready().await.ok()?).await });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection may end in the moment that it delivers the answer.
        _ = connection => answer.await,
    }
}

/// `HealthCheckRequest`: the service's name as field 1, left out when empty.
fn message(service: &str) -> Bytes {
    let mut payload = BytesMut::new();
    if !service.is_empty() {
        payload.put_u8(0x0a);
        put_varint(&mut payload, service.len());
        payload.put_slice(service.as_bytes());
    }
    grpc::message(&payload)
}

fn put_varint(to: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one check with this status and message.
    async fn answers(status: &'static str, payload: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            if payload.is_empty() {
                let mut response = http::Response::new(());
                *response.headers_mut() = trailers;
                respond.send_response(response, true).unwrap();
            } else {
                let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                let mut message = vec![0, 0, 0, 0, payload.len() as u8];
                message.extend_from_slice(payload);
                body.send_data(message.into(), false).unwrap();
                body.send_trailers(trailers).unwrap();
            }
            while connection.accept().await.is_some() {}
        };
        tokio::select! {
            answer = check(address, "a.B") => answer,
            () = server => panic!("the server ended first"),
        }
    }

    #[tokio::test]
    async fn serving_and_unimplemented_are_ready() {
        assert!(answers("0", &[0x08, 0x01]).await, "SERVING");
        assert!(answers("12", &[]).await, "UNIMPLEMENTED");
        assert!(!answers("0", &[0x08, 0x02]).await, "NOT_SERVING");
        assert!(!answers("5", &[]).await, "NOT_FOUND: the service is unknown");
        assert!(!answers("14", &[]).await, "UNAVAILABLE");
    }

    #[test]
    fn a_long_service_name_has_a_length_of_two_bytes() {
        let message = message(&"x".repeat(200));
        assert_eq!(&message[..8], &[0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
        assert_eq!(super::message(""), &[0u8; 5][..]);
    }
}
