//! One call: the head of its answer, its messages, its trailers, and how it ended.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reveille_tests_local::{grpc::Note, server::Log};
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap, server::StreamingService};

use super::ask::Ask;

type Answers = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    Bidi,
}

impl Kind {
    pub(super) fn of(method: &str) -> Option<Self> {
        Some(match method {
            "Unary" => Self::Unary,
            "ClientStream" => Self::ClientStream,
            "ServerStream" => Self::ServerStream,
            "Bidi" => Self::Bidi,
            _ => return None,
        })
    }
}

/// Logs how a call ended: dropped before its end, it was cancelled.
struct End {
    log: Log,
    path: String,
    sent: u64,
    open: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let kind = if self.open { "cancelled" } else { "end" };
        self.log.write(kind, &format!("{} sent={}", self.path, self.sent));
    }
}

/// A call whose request has not been read yet; taken when it is.
pub(super) struct Call(Option<(Kind, Ask, End)>);

impl Call {
    pub(super) fn new(kind: Kind, ask: Ask, log: &Log, path: String) -> Self {
        Self(Some((kind, ask, End { log: log.clone(), path, sent: 0, open: true })))
    }
}

impl StreamingService<Note> for Call {
    type Response = Note;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Note>>) -> Self::Future {
        let (kind, ask, end) = self.0.take().expect("a call is made once");
        Box::pin(answer(kind, ask, end, request.into_inner()))
    }
}

async fn answer(
    kind: Kind,
    mut ask: Ask,
    mut end: End,
    mut requests: Streaming<Note>,
) -> Result<Response<Answers>, Status> {
    let first = match kind {
        Kind::Bidi => Bytes::new(),
        Kind::Unary | Kind::ServerStream => {
            let first = requests.message().await?;
            first.ok_or_else(|| Status::invalid_argument("a message is missing"))?.payload
        }
        Kind::ClientStream => {
            let (mut messages, mut bytes) = (0, 0);
            while let Some(note) = requests.message().await? {
                messages += 1;
                bytes += note.payload.len();
            }
            format!("{messages} {bytes}").into()
        }
    };
    if ask.never {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(ask.delay).await;
    if ask.fail_after.is_none()
        && let Some(status) = ask.status.take()
    {
        end.open = false;
        return Err(status);
    }
    if kind != Kind::ServerStream {
        ask.messages = 1;
    }
    let head = std::mem::take(&mut ask.head);
    let first = ask.size.map_or(first, |size| vec![b'g'; size].into());
    let state = State { kind, ask, end, requests, first };
    let mut response: Response<Answers> = Response::new(Box::pin(stream::unfold(state, State::next)));
    *response.metadata_mut() = head;
    Ok(response)
}

/// A call after its head.
struct State {
    kind: Kind,
    ask: Ask,
    end: End,
    requests: Streaming<Note>,
    /// What is answered, unless it is an echo.
    first: Bytes,
}

impl State {
    async fn next(mut self) -> Option<(Result<Note, Status>, Self)> {
        if !self.end.open {
            return None;
        }
        if self.ask.fail_after.is_some_and(|after| self.end.sent >= after)
            && let Some(status) = self.ask.status.take()
        {
            return Some(self.finish(status));
        }
        let payload = match self.kind {
            Kind::Bidi => match self.requests.message().await {
                Ok(Some(note)) if self.ask.size.is_none() => note.payload,
                Ok(Some(_)) => self.first.clone(),
                Ok(None) => return Some(self.succeed()),
                // The client is gone: `end` says so when it is dropped.
                Err(status) => return Some((Err(status), self)),
            },
            _ if self.end.sent < self.ask.messages => {
                let wait = if self.end.sent > 0 { self.ask.interval } else { Duration::ZERO };
                tokio::time::sleep(wait).await;
                self.first.clone()
            }
            _ => return Some(self.succeed()),
        };
        self.end.sent += 1;
        Some((Ok(Note { payload }), self))
    }

    /// The library has no other way to add trailers to a success.
    fn succeed(mut self) -> (Result<Note, Status>, Self) {
        let trailers: MetadataMap = std::mem::take(&mut self.ask.trailers);
        self.finish(Status::with_metadata(Code::Ok, "", trailers))
    }

    fn finish(mut self, status: Status) -> (Result<Note, Status>, Self) {
        self.end.open = false;
        (Err(status), self)
    }
}
