//! Requests to send over HTTP/2.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Frame;
use tokio::sync::mpsc;
use tonic::body::Body;

use crate::runtime::wait;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    authority: Option<String>,
    fields: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

/// The body of a request, sent by hand. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub struct Upload(Option<mpsc::Sender<Piece>>);

type Piece = Result<Frame<Bytes>, &'static str>;

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path, "")
    }

    /// A POST.
    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", path, body)
    }

    /// Any request.
    ///
    /// # Panics
    /// If the method is none.
    pub fn new(method: &str, path: &str, body: impl Into<Bytes>) -> Self {
        Self {
            method: method.parse().expect("the method is valid"),
            path: path.to_owned(),
            authority: None,
            fields: HeaderMap::new(),
            body: body.into(),
            trailers: HeaderMap::new(),
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        add(&mut self.fields, name, value);
        self
    }

    /// Adds a field after the body.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        add(&mut self.trailers, name, value);
        self
    }

    /// Sets `:authority`, which is otherwise the address.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    pub(super) fn http(&self, port: u16, body: Body) -> http::Request<Body> {
        let authority = self.authority.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let request =
            http::Request::builder().method(&self.method).uri(format!("http://{authority}{}", self.path));
        let mut request = request.body(body).expect("path and authority are valid");
        *request.headers_mut() = self.fields.clone();
        request
    }

    /// Its body as far as it is known beforehand.
    pub(super) fn body(&self) -> Body {
        if self.trailers.is_empty() {
            return Body::new(http_body_util::Full::new(self.body.clone()));
        }
        let frames =
            [Frame::data(self.body.clone()), Frame::trailers(self.trailers.clone())].map(Ok::<_, &str>);
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    }
}

fn add(map: &mut HeaderMap, name: &str, value: &str) {
    let name: HeaderName = name.parse().expect("the field's name is valid");
    map.append(name, HeaderValue::from_str(value).expect("the field is valid"));
}

/// What [`Upload`] feeds.
struct Fed(mpsc::Receiver<Piece>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(cx)
    }
}

impl Upload {
    pub(super) fn new() -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(Some(sender)), Body::new(Fed(receiver)))
    }

    /// Sends a piece; blocks while the other side gives no window. Returns whether anybody still wants it.
    pub fn send(&mut self, piece: impl Into<Bytes>) -> bool {
        let Some(sender) = &self.0 else { return false };
        wait("room for a piece of the body", sender.send(Ok(Frame::data(piece.into())))).is_ok()
    }

    /// Whether a piece would go without waiting.
    pub fn has_room(&self) -> bool {
        self.0.as_ref().is_some_and(|sender| sender.capacity() > 0)
    }

    /// Ends the body.
    pub fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.try_send(Err("the body was given up"));
        }
    }
}
