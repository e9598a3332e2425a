//! An HTTP/1.1 client that can send any bytes, cut off anywhere, and shows the answer as it came: the tests
//! are about what no well-behaved client library would let through.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};
use serde_json::Value;

/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// The fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// The statuses of the interim answers (1xx) before it.
    pub interim: Vec<u16>,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// By an empty chunk.
    Chunked,
    /// By the connection's end.
    Close,
}

/// A connection, with what was read too far.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    unread: Vec<u8>,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Head {
    /// The first field of that name (in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }

    /// How the body of an answer to `method` ends.
    ///
    /// # Errors
    /// If the length is no number.
    pub fn framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || self.status < 200 || matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Framing::Chunked);
        }
        match self.field("content-length") {
            Some(length) => Ok(Framing::Length(length.parse().map_err(|_| broken("content-length"))?)),
            None => Ok(Framing::Close),
        }
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first field of that name (in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The first trailer of that name (in lower case).
    pub fn trailer(&self, name: &str) -> Option<&str> {
        find(&self.trailers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("no JSON ({error}) in the body of {:?}: {:?}", self.head, self.text())
        })
    }

    /// The seconds of `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        self.field("retry-after")?.parse().ok()
    }
}

impl Conn {
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
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection is open");
    }

    /// Sends a request without a body.
    #[track_caller]
    pub fn send_get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test.localhost\r\n\r\n"));
    }

    /// Sends a request with a body of known length.
    #[track_caller]
    pub fn send_post(&mut self, path: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test.localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Another handle of the same socket, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can be duplicated")
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16_384];
        let count = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn fill_more(&mut self) -> io::Result<()> {
        match self.fill()? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut off")),
            _ => Ok(()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").ok_or_else(|| broken("a line without CR"))?;
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            self.fill_more()?;
        }
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(line.clone()))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one head, an interim one (1xx) too.
    ///
    /// # Errors
    /// If the connection ends before it is whole, or it is none.
    pub fn head(&mut self) -> io::Result<Head> {
        let line = self.line()?;
        let mut words = line.splitn(3, ' ');
        let version = words.next().filter(|word| word.starts_with("HTTP/1.")).map(str::to_owned);
        let status = words.next().and_then(|word| word.parse().ok());
        let (Some(version), Some(status)) = (version, status) else { return Err(broken(line)) };
        Ok(Head { version, status, fields: self.fields()? })
    }

    /// Reads the next piece of a body as it arrives; `None` at its end. The end of a chunked body is read
    /// up to its trailers.
    ///
    /// # Errors
    /// If the connection ends before the body does.
    pub fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.unread.is_empty() {
                    self.fill_more()?;
                }
                let count = self.unread.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                Ok(Some(self.unread.drain(..count).collect()))
            }
            Framing::Chunked => {
                let line = self.line()?;
                let digits = line.split(';').next().unwrap_or_default();
                let size = usize::from_str_radix(digits, 16).map_err(|_| broken(line.clone()))?;
                if size == 0 {
                    return Ok(None);
                }
                while self.unread.len() < size + 2 {
                    self.fill_more()?;
                }
                let piece = self.unread.drain(..size).collect();
                self.unread.drain(..2);
                Ok(Some(piece))
            }
            Framing::Close => {
                if self.unread.is_empty() && self.fill()? == 0 {
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.unread)))
            }
        }
    }

    /// Reads a whole answer to `method`.
    ///
    /// # Errors
    /// If the connection ends before it is whole, or it is none.
    pub fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head()?;
            if head.status >= 200 {
                break head;
            }
            interim.push(head.status);
        };
        let mut framing = head.framing(method)?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing)? {
            body.extend_from_slice(&piece);
        }
        let trailers = if framing == Framing::Chunked { self.fields()? } else { Vec::new() };
        Ok(Answer { head, interim, body, trailers })
    }

    /// Reads a whole answer to a request other than HEAD.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.try_answer("GET").unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a GET and reads its answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.send_get(path);
        self.answer()
    }

    /// Whether nothing at all arrives for so long.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        if !self.unread.is_empty() {
            return false;
        }
        self.stream.set_read_timeout(Some(time)).expect("a time-out can be set");
        let quiet = matches!(self.fill(), Err(error) if is_timeout(&error));
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        quiet
    }

    /// Whether the other side closes within so long, whatever it still sends.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let started = std::time::Instant::now();
        let mut piece = [0; 4096];
        loop {
            let left = time.saturating_sub(started.elapsed());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a time-out can be set");
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return !is_timeout(&error),
            }
        }
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes by a reset instead of a FIN.
    pub fn reset(self) {
        let at_once = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.stream, Linger, &at_once).expect("a socket can be told to reset");
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// One GET over a connection of its own.
///
/// # Panics
/// If no answer comes.
#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    Conn::open(port).get(path)
}

/// One POST over a connection of its own.
///
/// # Panics
/// If no answer comes.
#[track_caller]
pub fn post(port: u16, path: &str, body: &str) -> Answer {
    let mut conn = Conn::open(port);
    conn.send_post(path, body);
    conn.answer()
}
