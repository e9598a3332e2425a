//! Bytes both ways between two peers, for whatever is no HTTP message: raw TCP, TLS, WebSocket.
//!
//! Each way is of its own: the end of one is passed on while the other goes on (half-close), and nothing is
//! read from a peer whose other side does not take it. An idle relay owns no buffer: what is read goes
//! through the worker's scratch space, and only what could not be written at once is kept.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Pieces passed on in one way before others get their turn.
const PIECES: u32 = 8;

/// Passes bytes on between a client and an app until both ways have ended or one has failed.
pub(crate) struct Relay<C, A> {
    client: C,
    app: A,
    to_app: Way,
    to_client: Way,
}

/// One way of a relay.
struct Way {
    stage: Stage,
    /// Read, and not yet written.
    pending: BytesMut,
    counter: IntCounter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Passing,
    /// The reader has ended; the writer is to be told.
    Ending,
    Ended,
}

impl<C, A> Relay<C, A>
where
    C: AsyncRead + AsyncWrite + Unpin,
    A: AsyncRead + AsyncWrite + Unpin,
{
    /// A relay whose bytes are counted by these.
    pub(crate) fn new(client: C, app: A, to_app: IntCounter, to_client: IntCounter) -> Self {
        Self { client, app, to_app: Way::new(to_app), to_client: Way::new(to_client) }
    }

    /// Passes on what there is. Says through `progress` whether anything moved.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &RefCell<Box<[u8]>>,
        progress: &mut bool,
    ) -> Poll<io::Result<()>> {
        let there = self.to_app.poll(cx, &mut self.client, &mut self.app, scratch, progress)?;
        let back = self.to_client.poll(cx, &mut self.app, &mut self.client, scratch, progress)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Whether the app has ended its side and the client was told.
    pub(crate) fn app_has_ended(&self) -> bool {
        self.to_client.stage == Stage::Ended
    }

    /// Whether the client has ended its side and the app was told.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.to_app.stage == Stage::Ended
    }

    pub(crate) fn client_mut(&mut self) -> &mut C {
        &mut self.client
    }

    pub(crate) fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }
}

impl Way {
    fn new(counter: IntCounter) -> Self {
        Self { stage: Stage::Passing, pending: BytesMut::new(), counter }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        scratch: &RefCell<Box<[u8]>>,
        progress: &mut bool,
    ) -> Poll<io::Result<()>> {
        if self.stage == Stage::Passing {
            std::task::ready!(self.pass(cx, from, to, scratch, progress))?;
        }
        if self.stage == Stage::Ending {
            std::task::ready!(Pin::new(to).poll_shutdown(cx)).or_else(ignore_gone)?;
            self.stage = Stage::Ended;
            *progress = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reader has ended and all it sent is written.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        scratch: &RefCell<Box<[u8]>>,
        progress: &mut bool,
    ) -> Poll<io::Result<()>> {
        for _ in 0..PIECES {
            while !self.pending.is_empty() {
                let n = std::task::ready!(write(Pin::new(&mut *to), cx, &self.pending))?;
                self.pending.advance(n);
                *progress = true;
            }
            self.pending = BytesMut::new();
            let mut scratch = scratch.borrow_mut();
            let mut buf = ReadBuf::new(&mut scratch);
            if Pin::new(&mut *from).poll_read(cx, &mut buf)?.is_pending() {
                std::task::ready!(Pin::new(&mut *to).poll_flush(cx))?;
                return Poll::Pending;
            }
            let mut read = buf.filled();
            if read.is_empty() {
                self.stage = Stage::Ending;
                return Poll::Ready(Ok(()));
            }
            *progress = true;
            self.counter.inc_by(read.len() as u64);
            while !read.is_empty() {
                match write(Pin::new(&mut *to), cx, read)? {
                    Poll::Ready(n) => read = &read[n..],
                    Poll::Pending => {
                        self.pending.extend_from_slice(read);
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn write(to: Pin<&mut impl AsyncWrite>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match std::task::ready!(to.poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        n => Poll::Ready(Ok(n)),
    }
}

/// A peer that is gone cannot be told that the other has ended, and need not be.
fn ignore_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn counters() -> (IntCounter, IntCounter) {
        let counter = |name| IntCounter::new(name, "-").unwrap();
        (counter("to_app"), counter("to_client"))
    }

    async fn run(relay: &mut Relay<DuplexStream, DuplexStream>) -> io::Result<()> {
        let scratch = RefCell::new(vec![0; 1 << 10].into_boxed_slice());
        poll_fn(|cx| relay.poll(cx, &scratch, &mut false)).await
    }

    #[tokio::test]
    async fn the_end_of_one_way_leaves_the_other_open() {
        let ((mut client, near), (far, mut app)) = (duplex(64), duplex(64));
        let (up, down) = counters();
        let mut relay = Relay::new(near, far, up.clone(), down.clone());
        let peers = async {
            let sent = vec![7; 100_000];
            let (upload, received) = tokio::join!(
                async {
                    client.write_all(&sent).await.unwrap();
                    client.shutdown().await.unwrap();
                },
                async {
                    let mut received = Vec::new();
                    app.read_to_end(&mut received).await.unwrap();
                    received
                }
            );
            assert_eq!(received, sent);
            let () = upload;
            app.write_all(b"all came").await.unwrap();
            app.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "all came");
        };
        let (ended, ()) = tokio::join!(run(&mut relay), peers);
        ended.unwrap();
        assert_eq!((up.get(), down.get()), (100_000, 8));
    }

    #[tokio::test]
    async fn nothing_is_read_from_a_peer_whose_other_side_takes_nothing() {
        let ((mut client, near), (far, app)) = (duplex(1 << 20), duplex(64));
        let (up, down) = counters();
        let mut relay = Relay::new(near, far, up.clone(), down);
        client.write_all(&vec![0; 1 << 20]).await.unwrap();
        tokio::select! {
            biased;
            ended = run(&mut relay) => panic!("{ended:?}"),
            // The relay has had its turn and waits for the app.
            () = std::future::ready(()) => {}
        }
        assert!(up.get() <= 2 << 10, "{} bytes were read for an app that reads none", up.get());
        drop(app);
    }
}
