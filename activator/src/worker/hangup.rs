//! Notices at once that the client of a held request is gone.
//!
//! While a request's body is unread or a pipelined request is buffered, nobody reads the socket, so nobody sees its
//! end. One further epoll instance per worker watches the sockets of held requests for `EPOLLRDHUP` alone,
//! edge-triggered: silent on data, fires on FIN and RST. It is itself watched by the runtime, so it costs nothing while
//! nothing is held.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
};

use super::Leaving;

/// See the [module](self).
pub(crate) struct Hangups {
    epoll: Epoll,
    watched: RefCell<Slab<Option<oneshot::Sender<()>>>>,
}

/// Watches one socket while it lives.
pub(crate) struct Watch {
    hangups: Rc<Hangups>,
    key: usize,
    socket: RawFd,
    gone: oneshot::Receiver<()>,
}

/// Events taken at a time.
const BATCH: usize = 64;

impl Hangups {
    /// Starts watching on the current thread's runtime.
    pub(super) fn start() -> io::Result<Rc<Self>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // SAFETY: an `OwnedFd` is open, and names the same epoll instance, until the `AsyncFd` drops it.
        #[allow(unsafe_code, reason = "tokio asks for the promise that OwnedFd's type makes")]
        let watched_by_runtime = unsafe { AsyncFd::register_with_interest(dup(&epoll)?, Interest::READABLE) }
            .map_err(|error| error.into_parts().1)?;
        let hangups = Rc::new(Self { epoll, watched: RefCell::default() });
        tokio::task::spawn_local(hangups.clone().run(watched_by_runtime));
        Ok(hangups)
    }

    /// Watches a socket. It must stay open for as long as the watch lives.
    ///
    /// # Errors
    /// If the kernel takes no further watch.
    pub(crate) fn watch(self: &Rc<Self>, socket: BorrowedFd<'_>, leaving: Leaving) -> io::Result<Watch> {
        let (sender, gone) = oneshot::channel();
        let key = self.watched.borrow_mut().insert(Some(sender));
        // A FIN that came before is reported at once.
        let flags = match leaving {
            Leaving::EndOrReset => EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET,
            // Errors are reported unasked.
            Leaving::Reset => EpollFlags::EPOLLET,
        };
        let event = EpollEvent::new(flags, key as u64);
        if let Err(error) = self.epoll.add(socket, event) {
            self.watched.borrow_mut().remove(key);
            return Err(error.into());
        }
        Ok(Watch { hangups: self.clone(), key, socket: socket.as_raw_fd(), gone })
    }

    async fn run(self: Rc<Self>, readable: AsyncFd<OwnedFd>) {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let Ok(mut guard) = readable.readable().await else { return };
            let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            for event in &events[..count] {
                let key = usize::try_from(event.data()).expect("keys are usize");
                if let Some(sender) = self.watched.borrow_mut().get_mut(key).and_then(Option::take) {
                    let _ = sender.send(());
                }
            }
            if count < BATCH {
                guard.clear_ready();
            }
        }
    }
}

/// A second descriptor of the same epoll instance: the runtime wants to own the one it watches.
fn dup(epoll: &Epoll) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    epoll.0.as_fd().try_clone_to_owned()
}

impl Watch {
    /// Completes when the client has closed its side.
    pub(crate) async fn gone(&mut self) {
        poll_fn(|cx| self.poll_gone(cx)).await;
    }

    /// The same, polled.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.gone).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // The sender is taken only to be used.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hangups.watched.borrow_mut().remove(self.key);
        // SAFETY: the descriptor is only compared by the kernel with those of this epoll instance; if it were
        // closed by now, or even another socket's, the call would do nothing but fail.
        #[allow(unsafe_code, reason = "nix wants a BorrowedFd, the owner is the connection's own task")]
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        let _ = self.hangups.epoll.delete(socket);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use futures_util::FutureExt;
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
        task::LocalSet,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn fires_on_fin_and_reset_and_not_on_data() {
        let test = async {
            let hangups = Hangups::start().unwrap();
            for reset in [false, true] {
                let (mut client, server) = pair().await;
                let mut watch = hangups.watch(server.as_fd(), Leaving::EndOrReset).unwrap();
                client.write_all(&[0; 1000]).await.unwrap();
                server.readable().await.unwrap();
                assert!(watch.gone().now_or_never().is_none(), "unread data is silent");
                if reset {
                    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                }
                drop(client);
                watch.gone().await;
            }
            assert!(hangups.watched.borrow().is_empty());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn an_end_alone_is_no_leaving_where_it_is_passed_on() {
        let test = async {
            let hangups = Hangups::start().unwrap();
            let (mut client, server) = pair().await;
            let mut watch = hangups.watch(server.as_fd(), Leaving::Reset).unwrap();
            client.shutdown().await.unwrap();
            server.readable().await.unwrap();
            assert!(watch.gone().now_or_never().is_none(), "half-closed");
            socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            drop(client);
            watch.gone().await;
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_fin_that_came_before_the_watch_fires_too() {
        let test = async {
            let hangups = Hangups::start().unwrap();
            let (client, server) = pair().await;
            drop(client);
            server.readable().await.unwrap();
            hangups.watch(server.as_fd(), Leaving::EndOrReset).unwrap().gone().await;
        };
        LocalSet::new().run_until(test).await;
    }
}
