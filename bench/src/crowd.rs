//! Many requests at once, each as long as a browser's: sent, and then waited for. They run on the load's core, in a thread
//! of their own, so that connections are looked after while the bench measures.

use std::{convert::Infallible, io, thread};

use bytes::Bytes;
use http::Request;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
};

use crate::{
    clock, cpu,
    error::{Error, Result},
    sleeper_server::Stamps,
};

/// What carries them.
#[derive(Clone, Copy)]
pub(crate) enum Over {
    /// A connection each.
    Http1,
    /// So many on each connection.
    Http2 { streams: usize },
}

/// One that was answered.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    /// When it was sent, in microseconds of [`clock::now`].
    pub(crate) sent: u64,
    /// When its answer was complete.
    pub(crate) came: u64,
    pub(crate) server: Stamps,
}

pub(crate) struct Crowd {
    /// Dropped, it ends all of them.
    leave: oneshot::Sender<Infallible>,
    thread: thread::JoinHandle<Result<Vec<Answer>>>,
}

/// What a browser sends: with the request's line about 500 bytes.
const FIELDS: [(&str, &str); 7] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "http://bench.localhost/index.html"),
    ("cookie", "session=0f8e2a5c6b7d4e1f9a3c5b7d8e2f4a6c; theme=dark; consent=1"),
    ("sec-fetch-mode", "navigate"),
];
const PATH: &str = "/articles/2026/how-to-sleep?from=newsletter&page=2";

impl Crowd {
    pub(crate) fn start(over: Over, port: u16, count: usize) -> Self {
        let (leave, left) = oneshot::channel();
        let thread = thread::spawn(move || {
            cpu::stay_on_load_core().map_err(Error::of("the load cannot be kept on its core"))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(Error::of("no runtime"))?.block_on(async {
                tokio::select! {
                    answers = send(over, port, count) => answers,
                    _ = left => Ok(Vec::new()),
                }
            })
        });
        Self { leave, thread }
    }

    /// Waits until all have been answered.
    pub(crate) fn answers(self) -> Result<Vec<Answer>> {
        let Self { leave, thread } = self;
        let answers = thread.join().map_err(|_| Error::new("the load's thread panicked"))?;
        drop(leave);
        answers
    }

    /// Ends all of them, answered or not.
    pub(crate) fn leave(self) -> Result<()> {
        drop(self.leave);
        self.thread.join().map_err(|_| Error::new("the load's thread panicked"))?.map(drop)
    }
}

/// As many files as this process and those that it starts may ever have.
pub(crate) fn raise_open_files() -> Result<usize> {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (_, hard) = limits.map_err(Error::of("the limit on open files is unknown"))?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(Error::of("the limit on open files stays"))?;
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}

async fn send(over: Over, port: u16, count: usize) -> Result<Vec<Answer>> {
    let mut all: JoinSet<Result<Answer>> = JoinSet::new();
    // Connections are made one after the other: a listener's queue has its limit.
    match over {
        Over::Http1 => {
            let head = head();
            for _ in 0..count {
                let stream = connect(port).await?;
                let head = head.clone();
                all.spawn(async move { exchange(stream, &head).await.map_err(Error::of("a request broke")) });
            }
        }
        Over::Http2 { streams } => {
            for first in (0..count).step_by(streams) {
                let here = streams.min(count - first);
                connection(port, here, &mut all).await.map_err(Error::of("an HTTP/2 connection broke"))?;
            }
        }
    }
    let mut answers = Vec::with_capacity(count);
    while let Some(one) = all.join_next().await {
        answers.push(one.map_err(Error::of("a request's task ended"))??);
    }
    Ok(answers)
}

async fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(Error::of("no connection"))?;
    stream.set_nodelay(true).map_err(Error::of("the socket has no TCP_NODELAY"))?;
    Ok(stream)
}

fn head() -> Bytes {
    let fields: String = FIELDS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Bytes::from(format!("GET {PATH} HTTP/1.1\r\nhost: bench.localhost\r\n{fields}\r\n"))
}

async fn exchange(mut stream: TcpStream, head: &[u8]) -> io::Result<Answer> {
    let sent = clock::now();
    stream.write_all(head).await?;
    // Waiting takes no space: only what came does.
    stream.readable().await?;
    let mut answer = Vec::with_capacity(512);
    // The body, of a server that has no other, ends with a line's end; a head has two of them.
    while !answer.ends_with(b"\n") || answer.ends_with(b"\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let came = clock::now();
    let text = String::from_utf8_lossy(&answer);
    let body = text.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
    let server = body.and_then(|(_, body)| Stamps::read(body));
    let server = server.ok_or_else(|| io::Error::other(text.clone().into_owned()))?;
    Ok(Answer { sent, came, server })
}

/// Sends so many requests on one connection.
async fn connection(port: u16, streams: usize, all: &mut JoinSet<Result<Answer>>) -> Result<()> {
    let (mut client, connection) =
        h2::client::handshake(connect(port).await?).await.map_err(Error::of("no HTTP/2"))?;
    // It ends with the last of its streams.
    tokio::spawn(connection);
    for _ in 0..streams {
        client = client.ready().await.map_err(Error::of("no stream can be opened"))?;
        let request = Request::get(format!("http://bench.localhost{PATH}"));
        let request = FIELDS.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).map_err(Error::of("the request is none"))?;
        let sent = clock::now();
        let (response, _) = client.send_request(request, true).map_err(Error::of("it is not sent"))?;
        all.spawn(async move { answer(response, sent).await.map_err(Error::of("a stream broke")) });
    }
    Ok(())
}

async fn answer(response: h2::client::ResponseFuture, sent: u64) -> Result<Answer> {
    let (head, mut body) = response.await.map_err(Error::of("no answer"))?.into_parts();
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        text.extend_from_slice(&piece.map_err(Error::of("the body"))?);
    }
    let came = clock::now();
    let text = String::from_utf8_lossy(&text);
    let server = Stamps::read(&text).filter(|_| head.status == 200);
    let server = server.ok_or_else(|| Error::new(format!("{}: {text}", head.status)))?;
    Ok(Answer { sent, came, server })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_a_browsers() {
        assert!((480..=620).contains(&head().len()), "{}", head().len());
    }
}
