//! gRPC: `reveille.test.Echo` with the methods `Unary`, `ClientStream`, `ServerStream` and `Bidi`, each message being
//! `message Note { bytes payload = 1; }`, and `grpc.health.v1.Health`.
//!
//! What a call does is asked for by its metadata, so that any client can ask without generated code:
//!
//! | metadata | meaning |
//! |---|---|
//! | `echo-delay-ms` | how long it thinks before the head of its answer |
//! | `echo-messages`, `echo-interval-ms` | how many messages `ServerStream` sends (1), and the time between them |
//! | `echo-size` | the payload of each answer has so many bytes, instead of the request's payload |
//! | `echo-code`, `echo-message`, `echo-details-bin` | this status; without a head, hence trailers-only |
//! | `echo-fail-after` | that status only after the head and so many messages |
//! | `echo-never` | no answer, ever |
//! | `x-echo-*` | comes back in the head |
//! | `x-trail-*` | comes back in the trailers |
//!
//! `ClientStream` answers with `MESSAGES BYTES` in decimal digits. The environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `ECHO_HEALTH_IF` | it says that it serves only while this file exists; it does serve, whatever it says |
//! | `ECHO_HEALTH=none` | no health service |
//! | `ECHO_MAX_STREAMS` | how many calls one connection may carry (200) |
//!
//! The log gets for each call `request POST PATH`, `metadata PATH JSON`, `timeout PATH GRPC-TIMEOUT`, then
//! `end PATH sent=N`, or `cancelled PATH sent=N` if the client left first.

mod ask;
mod call;

use std::{convert::Infallible, env, io, net::TcpListener, path::PathBuf};

use ask::Ask;
use call::{Call, Kind};
use http::HeaderMap;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reveille_tests_local::{
    grpc::Note,
    server::{self, Log},
};
use serde_json::json;
use tonic::{Status, body::Body, codegen::Service, server::Grpc};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tonic_prost::ProstCodec;

const SERVICE: &str = "/reveille.test.Echo/";

pub(crate) fn serve(log: Log, listener: TcpListener) -> io::Result<()> {
    let health = Health {
        reporter: HealthReporter::new(),
        exists: env::var("ECHO_HEALTH").as_deref() != Ok("none"),
        only_if: env::var_os("ECHO_HEALTH_IF").map(PathBuf::from),
    };
    let streams = server::number("ECHO_MAX_STREAMS").and_then(|number| u32::try_from(number).ok());
    super::run(listener, &log.clone(), move |stream| {
        let (log, health) = (log.clone(), health.clone());
        async move {
            let service = service_fn(move |request| {
                let (log, health) = (log.clone(), health.clone());
                async move { Ok::<_, Infallible>(route(request, &log, health).await) }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(streams.unwrap_or(200));
            // An error here is a client that left, which shows in the calls.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
}

#[derive(Clone)]
struct Health {
    reporter: HealthReporter,
    exists: bool,
    only_if: Option<PathBuf>,
}

async fn route(request: http::Request<Incoming>, log: &Log, health: Health) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    log.write("request", &format!("{} {path}", request.method()));
    log.write("metadata", &format!("{path} {}", fields(request.headers())));
    if let Some(timeout) = request.headers().get("grpc-timeout") {
        log.write("timeout", &format!("{path} {}", String::from_utf8_lossy(timeout.as_bytes())));
    }
    if path.starts_with("/grpc.health.v1.Health/") && health.exists {
        let serves = health.only_if.as_ref().is_none_or(|path| path.exists());
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.reporter.set_service_status("", status).await;
        let service = HealthService::from_health_reporter(health.reporter);
        let Ok(answer) = HealthServer::new(service).call(request).await;
        return answer;
    }
    let Some(kind) = path.strip_prefix(SERVICE).and_then(Kind::of) else {
        return Status::unimplemented(format!("there is no {path}")).into_http();
    };
    let call = Call::new(kind, Ask::of(request.headers()), log, path);
    // On the wire the four kinds differ in nothing but the number of messages.
    Grpc::new(ProstCodec::<Note, Note>::default())
        .apply_max_message_size_config(Some(usize::MAX), None)
        .streaming(call, request)
        .await
}

fn fields(headers: &HeaderMap) -> serde_json::Value {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| json!([name.as_str(), text(value.as_bytes())])).collect()
}
