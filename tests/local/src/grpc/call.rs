//! A call on its way.

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tonic::{Code, Request, Status, Streaming, client::Grpc, metadata::MetadataMap};
use tonic_prost::ProstCodec;

use super::{Call, Note, Over, Reply};
use crate::{
    h2,
    runtime::{runtime, wait},
};

/// Who says how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The trailers after a head.
    Trailers,
    /// A head that is the end, too, or an answer that is not gRPC and was translated.
    TrailersOnly,
    /// This client: the stream was reset, or the connection ended.
    Broken,
}

/// A call on its way. Dropped before its end, it is reset with CANCEL.
#[derive(Debug)]
pub struct Running {
    requests: Option<mpsc::UnboundedSender<Bytes>>,
    messages: mpsc::UnboundedReceiver<Bytes>,
    taken: Vec<Bytes>,
    head: Option<oneshot::Receiver<MetadataMap>>,
    cancel: Option<oneshot::Sender<()>>,
    task: JoinHandle<Reply>,
}

impl Running {
    pub(super) fn new(client: h2::Client, call: &Call) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel::<Bytes>();
        for message in &call.messages {
            let _ = requests.send(message.clone());
        }
        let notes = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|payload| (Note { payload }, receiver))
        });
        let mut request = Request::new(notes);
        *request.metadata_mut() = call.metadata.clone();
        let authority = call.authority.clone().unwrap_or_else(|| format!("127.0.0.1:{}", client.port));
        let origin = format!("http://{authority}").parse().expect("the authority is valid");
        let path = call.path.parse().expect("the path is valid");
        let (incoming, messages) = mpsc::unbounded_channel();
        let (tell_head, head) = oneshot::channel();
        let (cancel, cancelled) = oneshot::channel();
        let task = runtime().spawn(async move {
            let begun = Instant::now();
            let mut grpc = Grpc::with_origin(Over { client, cancel: Some(cancelled) }, origin)
                .max_decoding_message_size(usize::MAX);
            let answer = match grpc.ready().await {
                Ok(()) => grpc.streaming(request, path, ProstCodec::<Note, Note>::default()).await,
                Err(error) => Err(Status::from_error(Box::new(error))),
            };
            match answer {
                Err(status) => Reply::of(&status, Source::TrailersOnly, MetadataMap::new(), begun.elapsed()),
                Ok(answer) => {
                    let (head, body, _) = answer.into_parts();
                    let _ = tell_head.send(head.clone());
                    let status = read(body, &incoming).await;
                    Reply::of(&status, Source::Trailers, head, begun.elapsed())
                }
            }
        });
        Self {
            requests: Some(requests),
            messages,
            taken: Vec::new(),
            head: Some(head),
            cancel: Some(cancel),
            task,
        }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// If the request was finished.
    pub fn send(&mut self, message: impl Into<Bytes>) {
        let requests = self.requests.as_ref().expect("the request is open");
        let _ = requests.send(message.into()); // a call that has ended says so in its reply
    }

    /// Says that no more messages follow.
    pub fn finish(&mut self) {
        self.requests = None;
    }

    /// Waits for the metadata of the head; `None` if the call ended without one.
    pub fn head(&mut self) -> Option<MetadataMap> {
        wait("the head of a call", self.head.take()?).ok()
    }

    /// Waits for the next message; `None` if the call ended.
    pub fn message(&mut self) -> Option<Bytes> {
        let message = wait("a message", self.messages.recv())?;
        self.taken.push(message.clone());
        Some(message)
    }

    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        self.task.is_finished()
    }

    /// Finishes the request and waits for what the call comes to.
    ///
    /// # Panics
    /// If it comes to nothing within a minute.
    #[track_caller]
    pub fn reply(mut self) -> Reply {
        self.finish();
        let mut reply = wait("the end of a call", &mut self.task).expect("a call does not panic");
        reply.messages = std::mem::take(&mut self.taken);
        while let Ok(message) = self.messages.try_recv() {
            reply.messages.push(message);
        }
        reply
    }

    /// Resets it with CANCEL.
    pub fn cancel(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            let _ = cancel.send(()); // before the senders are dropped, which would end the request
        }
        self.task.abort();
    }
}

/// Reads all messages; the status has the trailers' metadata.
async fn read(mut body: Streaming<Note>, messages: &mpsc::UnboundedSender<Bytes>) -> Status {
    loop {
        match body.message().await {
            Ok(Some(note)) => _ = messages.send(note.payload),
            Ok(None) => {
                let trailers = body.trailers().await.ok().flatten().unwrap_or_default();
                return Status::with_metadata(Code::Ok, "", trailers);
            }
            Err(status) => return status,
        }
    }
}

impl Reply {
    fn of(status: &Status, source: Source, head: MetadataMap, took: Duration) -> Self {
        let source = if status.source().is_some() { Source::Broken } else { source };
        let (head, trailers) = match source {
            Source::TrailersOnly => (status.metadata().clone(), MetadataMap::new()),
            _ => (head, status.metadata().clone()),
        };
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            details: Bytes::copy_from_slice(status.details()),
            messages: Vec::new(),
            head,
            trailers,
            source,
            took,
        }
    }
}
