//! A gRPC client: tonic's messages, metadata and statuses over one connection of [`h2`], so that a test knows
//! which connection carries which call. On the wire the four kinds of calls differ only in the number of messages, so
//! there is one way to make them all, which keeps head and trailers apart, too.

mod call;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    client::conn::http2::SendRequest,
};
use tokio::sync::oneshot;
pub use tonic::Code;
use tonic::{body::Body, codegen::Service, metadata::MetadataMap};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

pub use call::{Running, Source};

use crate::{h2, runtime::wait};

/// The only message of the echo server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Note {
    /// What is echoed.
    #[prost(bytes = "bytes", tag = "1")]
    pub payload: Bytes,
}

/// A call to make. Metadata tell the echo server what to do with it: `bin/echo_server/grpc.rs`.
#[derive(Clone, Debug)]
pub struct Call {
    path: String,
    authority: Option<String>,
    metadata: MetadataMap,
    messages: Vec<Bytes>,
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub code: Code,
    /// The message of its status.
    pub message: String,
    /// The details of its status.
    pub details: Bytes,
    /// The payloads that came.
    pub messages: Vec<Bytes>,
    /// The metadata of its head; of a trailers-only answer all of it.
    pub head: MetadataMap,
    /// The metadata of its trailers.
    pub trailers: MetadataMap,
    /// Who says so.
    pub source: Source,
    /// How long it took.
    pub took: Duration,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Client(h2::Client);

impl Call {
    /// `reveille.test.Echo/Unary`.
    pub fn unary(message: impl Into<Bytes>) -> Self {
        Self::new("/reveille.test.Echo/Unary", vec![message.into()])
    }

    /// `reveille.test.Echo/ClientStream`.
    pub fn client_stream<M: Into<Bytes>>(messages: impl IntoIterator<Item = M>) -> Self {
        Self::new("/reveille.test.Echo/ClientStream", messages.into_iter().map(Into::into).collect())
    }

    /// `reveille.test.Echo/ServerStream`.
    pub fn server_stream(message: impl Into<Bytes>) -> Self {
        Self::new("/reveille.test.Echo/ServerStream", vec![message.into()])
    }

    /// `reveille.test.Echo/Bidi`.
    pub fn bidi<M: Into<Bytes>>(messages: impl IntoIterator<Item = M>) -> Self {
        Self::new("/reveille.test.Echo/Bidi", messages.into_iter().map(Into::into).collect())
    }

    /// A call of any method.
    pub fn new(path: &str, messages: Vec<Bytes>) -> Self {
        Self { path: path.to_owned(), authority: None, metadata: MetadataMap::new(), messages }
    }

    /// Adds metadata.
    ///
    /// # Panics
    /// If it is none, or its name ends with `-bin`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "it is a literal or a number wherever this is used")]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let key = tonic::metadata::AsciiMetadataKey::from_bytes(name.as_bytes()).expect("the name is valid");
        self.metadata.append(key, value.to_string().parse().expect("the value is valid"));
        self
    }

    /// Adds metadata of any bytes, whose name ends with `-bin`.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn with_bin(mut self, name: &str, value: &[u8]) -> Self {
        let key = tonic::metadata::BinaryMetadataKey::from_bytes(name.as_bytes()).expect("it ends with -bin");
        self.metadata.append_bin(key, tonic::metadata::MetadataValue::from_bytes(value));
        self
    }

    /// Sends `grpc-timeout`, and leaves it to the other side to keep it: this client waits on.
    #[must_use]
    pub fn timeout(self, time: Duration) -> Self {
        self.with("grpc-timeout", format!("{}m", time.as_millis()))
    }

    /// Sets `:authority`, which is otherwise the address.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }
}

impl Reply {
    /// The one payload of a unary answer, as text.
    ///
    /// # Panics
    /// If the call failed, or brought not exactly one message.
    #[track_caller]
    pub fn text(&self) -> String {
        assert_eq!((self.code, self.messages.len()), (Code::Ok, 1), "{self:?}");
        String::from_utf8_lossy(&self.messages[0]).into_owned()
    }

    /// Metadata of the head.
    pub fn head(&self, name: &str) -> Option<&str> {
        self.head.get(name)?.to_str().ok()
    }

    /// Metadata of the trailers.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Panics
    /// If nobody listens there.
    #[track_caller]
    pub fn open(port: u16) -> Self {
        Self(h2::Client::open(port))
    }

    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn try_open(port: u16) -> io::Result<Self> {
        h2::Client::try_open(port).map(Self)
    }

    /// The connection, for requests that are not gRPC.
    pub fn http(&self) -> &h2::Client {
        &self.0
    }

    /// Makes a call and waits for what it comes to.
    pub fn call(&self, call: &Call) -> Reply {
        self.start(call).reply()
    }

    /// Makes a call with all its messages, and does not wait.
    pub fn start(&self, call: &Call) -> Running {
        let mut running = self.talk(call);
        running.finish();
        running
    }

    /// Makes a call, sends its messages, and leaves its request open for more.
    pub fn talk(&self, call: &Call) -> Running {
        Running::new(self.0.clone(), call)
    }

    /// Asks `grpc.health.v1.Health/Check`: 1 is serving, 2 is not.
    ///
    /// # Errors
    /// The status, if it is not OK.
    pub fn health(&self, service: &str) -> Result<i32, Code> {
        let mut client = HealthClient::new(Over { client: self.0.clone(), cancel: None });
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = wait("a health check", client.check(request));
        answer.map(|answer| answer.into_inner().status).map_err(|status| status.code())
    }
}

/// The connection as what tonic sends requests to.
struct Over {
    client: h2::Client,
    cancel: Option<oneshot::Receiver<()>>,
}

/// The messages of a call until it is cancelled: then its stream is reset. Without this, hyper would end the request
/// as if all had been said, and the reset would race with the answer to that.
struct Cancelled {
    messages: Body,
    cancel: oneshot::Receiver<()>,
}

impl hyper::body::Body for Cancelled {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(Ok(())) = Pin::new(&mut self.cancel).poll(cx) {
            return Poll::Ready(Some(Err(::h2::Error::from(::h2::Reason::CANCEL).into())));
        }
        Pin::new(&mut self.messages).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.messages.size_hint()
    }
}

impl Service<http::Request<Body>> for Over {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.send.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.uri().authority().is_none() {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let uri = format!("http://127.0.0.1:{}{path}", self.client.port);
            *request.uri_mut() = uri.parse().expect("a path after an address is valid");
        }
        if let Some(cancel) = self.cancel.take() {
            request = request.map(|messages| Body::new(Cancelled { messages, cancel }));
        }
        Box::pin(SendRequest::send_request(&mut self.client.send, request))
    }
}
