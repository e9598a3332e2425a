//! An HTTP/2 client with prior knowledge: one TCP connection that carries as many requests as wanted, never a second
//! one. It is hyper's, which drops interim answers ([`h2raw`](crate::h2raw) shows them); curl and h2load are in [`tools`].

mod request;
pub mod tools;

use std::{error::Error as _, io, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::mpsc, task::AbortHandle, time::timeout};
use tonic::body::Body;

pub use request::{Request, Upload};

use crate::{
    http::{Answer, Head},
    runtime::{runtime, wait},
};

/// A connection.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) send: SendRequest<Body>,
    pub(crate) port: u16,
}

/// Why there is no answer, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code of a reset or a GOAWAY (RFC 9113, 7).
    pub code: Option<u32>,
    /// Whether it ended the whole connection.
    pub is_goaway: bool,
    /// What the library says.
    pub text: String,
}

/// A request on its way. Dropped before its end, it is reset with CANCEL.
#[derive(Debug)]
pub struct Running {
    events: mpsc::Receiver<Event>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Event {
    Head(Head),
    Piece(Bytes),
    Trailers(Vec<(String, String)>),
    Failed(Failure),
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Panics
    /// If nobody speaks HTTP/2 there.
    #[track_caller]
    pub fn open(port: u16) -> Self {
        Self::try_open(port).unwrap_or_else(|error| panic!("no HTTP/2 at port {port}: {error}"))
    }

    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn try_open(port: u16) -> io::Result<Self> {
        let connect = async {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new());
            let (send, connection) =
                builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok(Self { send, port })
        };
        wait("an HTTP/2 connection", connect)
    }

    /// Whether the connection has ended, or takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.send.is_closed()
    }

    /// One GET.
    ///
    /// # Panics
    /// If no whole answer comes.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path))
    }

    /// One request.
    ///
    /// # Panics
    /// If no whole answer comes.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Answer {
        self.start(request).answer().unwrap_or_else(|failure| panic!("no answer: {failure:?}"))
    }

    /// Sends a request, and does not wait for its answer.
    pub fn start(&self, request: &Request) -> Running {
        self.run(request.http(self.port, request.body()))
    }

    /// Sends a request's head; its body is sent by hand.
    pub fn upload(&self, request: &Request) -> (Upload, Running) {
        let (upload, body) = Upload::new();
        (upload, self.run(request.http(self.port, body)))
    }

    fn run(&self, request: http::Request<Body>) -> Running {
        // Room for one: an answer that the test does not read is not read from the connection either.
        let (events, receiver) = mpsc::channel(1);
        let mut send = self.send.clone();
        let task = runtime().spawn(async move {
            let failed = match follow(&mut send, request, &events).await {
                Ok(()) => return,
                Err(error) => Failure::of(&error),
            };
            let _ = events.send(Event::Failed(failed)).await;
        });
        Running { events: receiver, task: task.abort_handle() }
    }
}

async fn follow(
    send: &mut SendRequest<Body>,
    request: http::Request<Body>,
    events: &mpsc::Sender<Event>,
) -> Result<(), hyper::Error> {
    send.ready().await?;
    let response = send.send_request(request).await?;
    let (parts, mut body) = response.into_parts();
    let head = Head {
        version: format!("{:?}", parts.version),
        status: parts.status.as_u16(),
        fields: list(&parts.headers),
    };
    let _ = events.send(Event::Head(head)).await;
    while let Some(frame) = body.frame().await {
        let event = match frame?.into_data() {
            Ok(piece) => Event::Piece(piece),
            Err(frame) => Event::Trailers(frame.trailers_ref().map(list).unwrap_or_default()),
        };
        // Nobody who listens is somebody who has cancelled.
        if events.send(event).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

impl Failure {
    fn of(error: &hyper::Error) -> Self {
        let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        let detail = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self {
            code: h2.and_then(h2::Error::reason).map(u32::from),
            is_goaway: h2.is_some_and(h2::Error::is_go_away),
            text: format!("{error}{detail}"),
        }
    }
}

impl Running {
    #[track_caller]
    fn event(&mut self) -> Option<Event> {
        wait("an answer", self.events.recv())
    }

    /// Whether nothing comes for so long, neither head nor end.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        runtime().block_on(async {
            let waits = self.events.is_empty() && !self.events.is_closed();
            tokio::time::sleep(time).await;
            waits && self.events.is_empty() && !self.events.is_closed()
        })
    }

    /// Waits for the head.
    ///
    /// # Errors
    /// If the stream ends before.
    ///
    /// # Panics
    /// If the head has been read already.
    pub fn head(&mut self) -> Result<Head, Failure> {
        match self.event() {
            Some(Event::Head(head)) => Ok(head),
            Some(Event::Failed(failure)) => Err(failure),
            other => panic!("a head comes first and once, not {other:?}"),
        }
    }

    /// The next piece of the body as it arrives; `None` at its end. Trailers are dropped.
    ///
    /// # Errors
    /// If the stream is reset.
    pub fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        match self.event() {
            Some(Event::Piece(piece)) => Ok(Some(piece)),
            Some(Event::Failed(failure)) => Err(failure),
            _ => Ok(None),
        }
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// If the stream ends before.
    pub fn answer(mut self) -> Result<Answer, Failure> {
        let head = self.head()?;
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        while let Some(event) = self.event() {
            match event {
                Event::Piece(piece) => body.extend_from_slice(&piece),
                Event::Trailers(fields) => trailers = fields,
                Event::Failed(failure) => return Err(failure),
                Event::Head(_) => {}
            }
        }
        Ok(Answer { head, interim: Vec::new(), body, trailers })
    }

    /// Resets it with CANCEL.
    pub fn cancel(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the connection takes no more requests.
///
/// # Panics
/// If it still does after `limit`.
#[track_caller]
pub fn await_closed(client: &Client, limit: Duration) {
    let mut send = client.send.clone();
    let closed = async {
        while send.ready().await.is_ok() && !send.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let closed = runtime().block_on(async { timeout(limit, closed).await });
    closed.unwrap_or_else(|_| panic!("the connection is still open after {limit:?}"));
}
