//! HTTP/2 frame by frame (RFC 9113), in either role: for what no library would send, floods above all. The fields of a
//! head are written as literals without indexing (RFC 7541, 6.2.2); of a head that came only the status is read.

mod frame;
mod hpack;

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

pub use frame::{ACK, END_HEADERS, END_STREAM, Frame, kind};
pub use hpack::fields;

use crate::tcp::is_timeout;

/// What takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By END_STREAM.
    Properly,
    /// By RST_STREAM with this code.
    Reset(u32),
    /// By the end of the connection, with the code of its GOAWAY if there was one.
    Connection(Option<u32>),
}

/// What came on one stream.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status, if a head came.
    pub status: Option<u16>,
    /// The statuses of the interim answers (1xx) before it.
    pub interim: Vec<u16>,
    /// The data.
    pub body: Vec<u8>,
    /// How it ended.
    pub ended: Ended,
}

/// A connection.
#[derive(Debug)]
pub struct H2 {
    stream: TcpStream,
    unread: Vec<u8>,
    next_stream: u32,
    /// Whether SETTINGS and PING are acknowledged as they are read.
    pub acknowledges: bool,
}

impl H2 {
    /// Connects to a port of 127.0.0.1, and sends preface and SETTINGS without waiting for the server's.
    ///
    /// # Panics
    /// If nobody listens there.
    #[track_caller]
    pub fn open(port: u16) -> Self {
        let mut connection = Self { acknowledges: true, ..Self::bare(port) };
        connection.send(PREFACE);
        // No table: each head that comes can be read by itself.
        connection.settings(&[(1, 0)]);
        connection
    }

    /// Connects to a port of 127.0.0.1, and sends nothing, acknowledgements neither.
    ///
    /// # Panics
    /// If nobody listens there.
    #[track_caller]
    pub fn bare(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port));
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to port {port}: {error}"));
        stream.set_nodelay(true).expect("a socket can be set");
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        Self { stream, unread: Vec::new(), next_stream: 1, acknowledges: false }
    }

    /// Is the server of a connection: reads the preface and sends SETTINGS.
    ///
    /// # Errors
    /// If something else comes.
    pub fn accept(mut stream: TcpStream) -> io::Result<Self> {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface)?;
        if preface != PREFACE {
            return Err(io::Error::other("the client does not speak HTTP/2"));
        }
        let mut connection = Self { acknowledges: true, ..Self::over(stream) };
        connection.try_send_frame(kind::SETTINGS, 0, 0, &[])?;
        Ok(connection)
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// Sends a frame, sensible or not.
    ///
    /// # Errors
    /// If the other side is gone, as it should be in a flood.
    pub fn try_send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a frame is shorter than 16 MiB").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.stream.write_all(&bytes)
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send_frame(kind, flags, stream, payload).expect("the connection is open");
    }

    /// Sends a request's head on the next stream and returns that. `:authority` is `a` unless told otherwise.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, more: &[(&str, &str)], end: bool) -> u32 {
        let mut list = vec![(":method", method), (":scheme", "http"), (":path", path)];
        if !more.iter().any(|(name, _)| *name == ":authority") {
            list.push((":authority", "a"));
        }
        list.splice(3..3, more.iter().copied().filter(|(name, _)| name.starts_with(':')));
        list.extend(more.iter().copied().filter(|(name, _)| !name.starts_with(':')));
        let stream = self.take_stream();
        self.headers(stream, &list, end);
        stream
    }

    /// Sends a GET on the next stream and returns that.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> u32 {
        self.request("GET", path, &[], true)
    }

    /// The next stream of a client.
    pub fn take_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// Sends HEADERS with exactly these fields: a head, or trailers.
    #[track_caller]
    pub fn headers(&mut self, stream: u32, list: &[(&str, &str)], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.send_frame(kind::HEADERS, flags, stream, &fields(list));
    }

    /// Sends DATA, whatever the window is.
    #[track_caller]
    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send_frame(kind::DATA, if end { END_STREAM } else { 0 }, stream, bytes);
    }

    /// Sends RST_STREAM.
    #[track_caller]
    pub fn rst(&mut self, stream: u32, code: u32) {
        self.send_frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Sends SETTINGS: identifiers and values.
    #[track_caller]
    pub fn settings(&mut self, list: &[(u16, u32)]) {
        let one = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        self.send_frame(kind::SETTINGS, 0, 0, &list.iter().flat_map(one).collect::<Vec<u8>>());
    }

    /// Sends PING.
    #[track_caller]
    pub fn ping(&mut self, bytes: [u8; 8]) {
        self.send_frame(kind::PING, 0, 0, &bytes);
    }

    /// Sends WINDOW_UPDATE.
    #[track_caller]
    pub fn window_update(&mut self, stream: u32, more: u32) {
        self.send_frame(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    }

    /// Sends GOAWAY.
    #[track_caller]
    pub fn goaway(&mut self, last: u32, code: u32) {
        self.send_frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
    }

    /// Sends CONTINUATION with a part of a block of fields.
    #[track_caller]
    pub fn continuation(&mut self, stream: u32, block: &[u8], end: bool) {
        self.send_frame(kind::CONTINUATION, if end { END_HEADERS } else { 0 }, stream, block);
    }

    /// Reads the next frame; `None` at the end of the connection.
    ///
    /// # Errors
    /// If the connection was reset, or nothing comes.
    pub fn try_next(&mut self) -> io::Result<Option<Frame>> {
        let length = |unread: &[u8]| match unread {
            [a, b, c, _, _, _, _, _, _, ..] => 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize,
            _ => 9,
        };
        let mut piece = [0; 16 * 1024];
        while self.unread.len() < length(&self.unread) || self.unread.len() < 9 {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut bytes: Vec<u8> = self.unread.drain(..length(&self.unread)).collect();
        let payload = bytes.split_off(9);
        let stream = u32::from_be_bytes([bytes[5] & 0x7f, bytes[6], bytes[7], bytes[8]]);
        let frame = Frame { kind: bytes[3], flags: bytes[4], stream, payload };
        if self.acknowledges && !frame.has(ACK) && matches!(frame.kind, kind::SETTINGS | kind::PING) {
            let payload = if frame.kind == kind::PING { &frame.payload[..] } else { &[] };
            // A connection that has just ended has still been read.
            let _ = self.try_send_frame(frame.kind, ACK, 0, payload);
        }
        Ok(Some(frame))
    }

    /// Reads frames until one is as asked for.
    ///
    /// # Panics
    /// If the connection ends before.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            match self.try_next() {
                Ok(Some(frame)) if wanted(&frame) => return frame,
                Ok(Some(_)) => {}
                end => panic!("the connection ended before {what}: {end:?}"),
            }
        }
    }

    /// Reads one stream to its end, giving back window for what came; frames of other streams are dropped.
    pub fn answer(&mut self, stream: u32) -> RawAnswer {
        let mut answer =
            RawAnswer { status: None, interim: Vec::new(), body: Vec::new(), ended: Ended::Connection(None) };
        while let Ok(Some(frame)) = self.try_next() {
            if frame.kind == kind::GOAWAY {
                answer.ended = Ended::Connection(frame.code());
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                kind::RST_STREAM => {
                    answer.ended = Ended::Reset(frame.code().unwrap_or_default());
                    return answer;
                }
                kind::HEADERS => match frame.status() {
                    Some(interim) if interim < 200 => answer.interim.push(interim),
                    status => answer.status = status.or(answer.status),
                },
                kind::DATA if !frame.payload.is_empty() => {
                    answer.body.extend_from_slice(&frame.payload);
                    let more = u32::try_from(frame.payload.len()).expect("a frame is shorter than 16 MiB");
                    for stream in [0, stream] {
                        let _ = self.try_send_frame(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
                    }
                }
                _ => {}
            }
            if matches!(frame.kind, kind::HEADERS | kind::DATA) && frame.has(END_STREAM) {
                answer.ended = Ended::Properly;
                return answer;
            }
        }
        answer
    }

    /// Reads to the end of the connection, for at most so long. Whether it ended, and the code of its last GOAWAY.
    pub fn ends_within(&mut self, time: Duration) -> (bool, Option<u32>) {
        let started = Instant::now();
        let mut code = None;
        loop {
            let left = time.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a time-out can be set");
            let next = self.try_next();
            self.stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
            match next {
                Ok(Some(frame)) => code = frame.code().filter(|_| frame.kind == kind::GOAWAY).or(code),
                Ok(None) => return (true, code),
                Err(error) => return (!is_timeout(&error), code),
            }
            if started.elapsed() >= time {
                return (false, code);
            }
        }
    }
}
