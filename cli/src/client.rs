//! The client of the admin port: a call is one connection, one request, one JSON answer.
//!
//! Connections are not kept: at ten calls a second on one machine they cost nothing, and a kept one would have to
//! be checked for whether the server has closed it meanwhile.

mod error;
mod events;
mod sse;
#[cfg(test)]
mod tests;
mod url;

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use reveille_core::{
    api::{AppList, AppStatus, ProblemBody, SleepRequest, WakeRequest},
    app::AppId,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

pub use self::{error::ClientError, events::EventStream, sse::SseEvent, url::ServerUrl};

/// Where `reveille local` serves its admin port unless it is told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:9090";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For a whole call, connecting included.
const TIMEOUT: Duration = Duration::from_secs(15);

/// For a whole call that waits for work in flight to end: longer than the controller of a cluster does at the most, which is
/// 30 s and a `--sleep-delay` of 60 s.
const SLEEP_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest answer that is read, in bytes: more than 10,000 apps have to say.
const MAX_ANSWER: usize = 64 << 20;

/// An answer, read and as it came.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// The JSON as the server sent it, fields included that this version does not know.
    pub json: Value,
}

/// Calls one Reveille.
#[derive(Clone, Debug)]
pub struct Client {
    server: ServerUrl,
    /// The value of `Authorization`.
    key: Option<HeaderValue>,
}

/// What every call comes to.
type Outcome<T> = Result<Answer<T>, ClientError>;

impl Client {
    /// Connects to nothing yet.
    pub fn new(server: ServerUrl) -> Self {
        Self { server, key: None }
    }

    /// Calls with this key; space around it does not count.
    ///
    /// # Errors
    /// If that cannot be a key.
    pub fn with_key(mut self, key: Option<&str>) -> Result<Self, String> {
        self.key = match key.map(str::trim) {
            None | Some("") => None,
            Some(key) => {
                let value = HeaderValue::try_from(format!("Bearer {key}"));
                let fit = value.ok().filter(|_| key.bytes().all(|byte| byte.is_ascii_graphic()));
                let mut value =
                    fit.ok_or("the key is no key: one is made of visible ASCII characters, on one line")?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(self)
    }

    /// Whether it calls with a key, and may thus not be shown everything.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Every app.
    ///
    /// # Errors
    /// A [`ClientError`], as of every call.
    pub async fn list(&self) -> Outcome<AppList> {
        self.call(Method::GET, "/api/v1/apps", None::<&()>, TIMEOUT).await
    }

    /// One app.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn get(&self, app: &AppId) -> Outcome<AppStatus> {
        self.call(Method::GET, &path(app, ""), None::<&()>, TIMEOUT).await
    }

    /// Starts a wake; returns at once.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn wake(&self, app: &AppId, request: &WakeRequest) -> Outcome<AppStatus> {
        self.call(Method::POST, &path(app, "/wake"), Some(request), TIMEOUT).await
    }

    /// Puts the app to sleep; returns when it does.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn sleep(&self, app: &AppId, request: &SleepRequest) -> Outcome<AppStatus> {
        self.call(Method::POST, &path(app, "/sleep"), Some(request), SLEEP_TIMEOUT).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Outcome<T> {
        let request = self.request(method, path, body)?;
        match timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer.and_then(|(status, body)| self.read(status, &body)),
            Err(Elapsed { .. }) => Err(self.unreachable(format!("no answer within {} s", limit.as_secs()))),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.server.target(path))
            .header(header::HOST, self.server.authority())
            .header(header::ACCEPT, "application/json, application/problem+json, text/event-stream")
            .header(header::USER_AGENT, concat!("reveille/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        let mut bytes = Vec::new();
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            bytes = serde_json::to_vec(body).expect("requests are structs of text and booleans");
        }
        request.body(Full::from(bytes)).map_err(|error| self.unreachable(error.to_string()))
    }

    /// Sends the request and reads the whole answer.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = self.connect().await?;
        let broken = |error: hyper::Error| self.broken(&error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            let response: Response<Incoming> = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| self.unreachable(format!("the answer broke off: {error}")))?;
            Ok((status, body.to_bytes()))
        };
        tokio::pin!(answer);
        // The connection must be driven until the answer is there. If it ends first, what it read is already
        // with the answer, which then resolves on its own.
        tokio::select! {
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(self.server.address())).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(reason(&error))),
            Err(_) => Err(self.unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Outcome<T> {
        if !status.is_success() {
            return Err(self.refused(status, body));
        }
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let json = json.ok_or_else(|| self.not_reveille(format!("it answered {status} without JSON")))?;
        match T::deserialize(&json) {
            Ok(value) => Ok(Answer { value, json }),
            Err(error) => Err(self.not_reveille(format!("its JSON cannot be read: {error}"))),
        }
    }

    /// An answer that is no success.
    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ProblemBody>(body) {
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => self.not_reveille(format!("it answered {status}")),
        }
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() {
            self.not_reveille("it does not speak HTTP".into())
        } else if error.is_incomplete_message() {
            self.unreachable("the connection was closed before an answer came".into())
        } else {
            self.unreachable(error.to_string())
        }
    }

    fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { server: self.server.clone(), reason }
    }

    fn not_reveille(&self, reason: String) -> ClientError {
        ClientError::NotReveille { server: self.server.clone(), reason }
    }
}

fn path(app: &AppId, call: &str) -> String {
    format!("/api/v1/apps/{}/{}{call}", app.namespace, app.name)
}

/// The error in words, without the number that the system gives it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no route to the host".into(),
        _ => error.to_string(),
    }
}
