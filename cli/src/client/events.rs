//! The stream of events of a Reveille: a connection that stays open, and what comes on it.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{task::AbortHandle, time::timeout};

use super::{
    Client, ClientError, MAX_ANSWER, TIMEOUT,
    sse::{Parser, SseEvent},
};

/// A stream on which nothing came for so long is dead: there is a comment every 10 s.
const SILENCE: Duration = Duration::from_secs(25);

/// Events as they come. The connection ends when this is dropped.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    body: Incoming,
    parser: Parser,
    ready: VecDeque<SseEvent>,
    connection: AbortHandle,
}

impl Client {
    /// What happens from now on, or after the event of that id.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn events(&self, after: Option<&str>) -> Result<EventStream, ClientError> {
        let mut request = self.request(Method::GET, "/api/v1/events", None::<&()>)?;
        if let Some(id) = after.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let open = async {
            let stream = self.connect().await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
            // It must be driven for as long as the body is read.
            let connection = tokio::spawn(async move {
                // How it ended is told by the body.
                let _ = connection.await;
            });
            let connection = connection.abort_handle();
            let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            if !response.status().is_success() {
                let status = response.status();
                let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                return Err(self.refused(status, &body));
            }
            let client = self.clone();
            let (parser, ready) = (Parser::default(), VecDeque::new());
            Ok(EventStream { client, body: response.into_body(), parser, ready, connection })
        };
        let late = |_| self.unreachable(format!("no answer within {} s", TIMEOUT.as_secs()));
        timeout(TIMEOUT, open).await.map_err(late)?
    }
}

impl EventStream {
    /// The next event; `None` once the other side has ended the stream. Cancel-safe.
    ///
    /// # Errors
    /// If the connection broke, or nothing came for too long.
    pub async fn next(&mut self) -> Result<Option<SseEvent>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let bytes: Bytes = match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => {
                    return Err(self.client.unreachable(format!("the stream broke off: {error}")));
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    let silence = format!("nothing came for {} s", SILENCE.as_secs());
                    return Err(self.client.unreachable(silence));
                }
            };
            let events = self.parser.push(&bytes).map_err(|why| self.client.not_reveille(why))?;
            self.ready.extend(events);
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
