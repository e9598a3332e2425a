//! Readiness by gRPC's health protocol (`grpc.health.v1`), spoken over HTTP/2 by prior knowledge.
//!
//! A server that does not implement it is ready when it answers so: it takes calls.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Request, header};

use super::connect;

/// `HealthCheckResponse.ServingStatus.SERVING`, as the message's only field: number 1, a varint.
const SERVING: [u8; 2] = [0x08, 0x01];
/// `grpc-status` of a method that the server does not have.
const UNIMPLEMENTED: &str = "12";
/// A message's header: one byte of flags, four of length.
const HEADER: usize = 5;

/// Asks the server about `service`; empty for the server as a whole.
pub(super) async fn check(address: SocketAddr, service: &str) -> bool {
    ask(address, service).await.unwrap_or(false)
}

async fn ask(address: SocketAddr, service: &str) -> Option<bool> {
    let stream = connect(address).await.ok()?;
    let (sender, connection) = h2::client::handshake(stream).await.ok()?;
    let answer = async {
        let mut sender = sender.ready().await.ok()?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, concat!("reveille-probe/", env!("CARGO_PKG_VERSION")))
            .body(())
            .ok()?;
        let (response, mut body) = sender.send_request(request, false).ok()?;
        body.send_data(message(service), true).ok()?;
        let response = response.await.ok()?;
        // Trailers-only: the status is among the headers, and no message follows.
        if let Some(status) = response.headers().get("grpc-status") {
            return Some(status == UNIMPLEMENTED);
        }
        if !response.status().is_success() {
            return Some(false);
        }
        let mut body = response.into_body();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.ok()?;
            drop(body.flow_control().release_capacity(data.len()));
            received.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.ok()??;
        let status = trailers.get("grpc-status")?;
        Some(status == UNIMPLEMENTED || status == "0" && received.get(HEADER..) == Some(&SERVING[..]))
    };
    let mut answer = std::pin::pin!(answer);
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
    let mut message = BytesMut::with_capacity(HEADER + payload.len());
    message.put_u8(0);
    message.put_u32(u32::try_from(payload.len()).expect("a service's name is short"));
    message.extend_from_slice(&payload);
    message.freeze()
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
