//! A TCP client that has each half of a connection in its hand.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};

/// What takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub struct Tcp(TcpStream);

impl Tcp {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Panics
    /// If nobody listens there.
    #[track_caller]
    pub fn open(port: u16) -> Self {
        Self::try_open(port).unwrap_or_else(|error| panic!("cannot connect to port {port}: {error}"))
    }

    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn try_open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Its own port, by which it is found in other lists.
    pub fn own_port(&self) -> u16 {
        self.0.local_addr().expect("an open socket has an address").port()
    }

    /// Sends bytes; blocks while the other side does not read.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn try_send(&self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        (&self.0).write_all(bytes.as_ref())
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection is open");
    }

    /// Sends as much as goes without waiting longer than `time` for room, and returns how much that was: what a server
    /// that does not read lets pile up on the way.
    pub fn send_until_full(&self, limit: usize, time: Duration) -> usize {
        let piece = [b'f'; 16 * 1024];
        self.0.set_write_timeout(Some(time)).expect("a time-out can be set");
        let mut sent = 0;
        while sent < limit {
            match (&self.0).write(&piece[..piece.len().min(limit - sent)]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        self.0.set_write_timeout(None).expect("a time-out can be set");
        sent
    }

    /// Reads what is there, waiting for some; `None` when the other side has finished.
    ///
    /// # Errors
    /// If the connection was reset, or nothing comes.
    pub fn try_read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match (&self.0).read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Ok(None),
                result => {
                    piece.truncate(result?);
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// If fewer come.
    #[track_caller]
    pub fn read(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        (&self.0).read_exact(&mut bytes).unwrap_or_else(|error| panic!("no {count} bytes: {error}"));
        bytes
    }

    /// Reads until the other side finishes.
    ///
    /// # Errors
    /// If the connection was reset.
    pub fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.0).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends all of it and finishes, reading at the same time until the other side finishes, too.
    ///
    /// # Errors
    /// If the connection ends otherwise.
    pub fn exchange(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                self.try_send(bytes)?;
                self.0.shutdown(Shutdown::Write)
            });
            let answer = self.read_to_end();
            writer.join().expect("the writer does not panic")?;
            answer
        })
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn finish(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Closes by a reset instead of a FIN.
    pub fn reset(self) {
        let at_once = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.0, Linger, &at_once).expect("a socket can be told to reset");
    }

    /// Whether nothing at all arrives for so long, the end neither.
    pub fn is_quiet_for(&self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).expect("a time-out can be set");
        let quiet = matches!(self.0.peek(&mut [0]), Err(error) if is_timeout(&error));
        self.0.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        quiet
    }

    /// How the connection ends within so long, whatever still comes: `Some(true)` by a FIN, `Some(false)` by a reset,
    /// `None` not at all.
    pub fn ends_within(&self, time: Duration) -> Option<bool> {
        let started = std::time::Instant::now();
        let mut piece = [0; 16 * 1024];
        loop {
            let left = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
            self.0.set_read_timeout(Some(left)).expect("a time-out can be set");
            match (&self.0).read(&mut piece) {
                Ok(0) => return Some(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return None,
                Err(_) => return Some(false),
            }
        }
    }
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
