//! The client that speaks HTTP/1.1: it sends a case's request byte for byte and takes only an answer without
//! any fault.

use std::{
    io::{self, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    message::Message,
    script::{CASE, Case, Field, Framing, Request},
    wire::{self, Reader},
};

/// An answer that takes longer than this is none.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A client with at most one open connection, which it uses as long as both sides let it.
#[derive(Debug)]
pub struct Client {
    port: u16,
    conn: Option<Reader<TcpStream>>,
}

/// A request's head as it goes on the wire.
pub fn head(request: &Request, case: &str) -> Vec<u8> {
    let version = if request.old { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut fields: Vec<Field> = Vec::new();
    fields.extend(request.host.iter().map(|host| ("Host".into(), host.clone())));
    fields.push((CASE.into(), case.into()));
    fields.extend(request.fields.iter().cloned());
    fields.extend(request.expects.then(|| ("Expect".into(), "100-continue".into())));
    fields.extend(wire::framing_field(&request.body));
    wire::head(&format!("{} {} {version}", request.method, request.target), &fields)
}

impl Client {
    /// A client of a port of 127.0.0.1.
    pub fn new(port: u16) -> Self {
        Self { port, conn: None }
    }

    /// Sends the request of a case and reads the answer to it.
    ///
    /// # Errors
    /// If no answer comes, or what comes is no flawless HTTP message.
    pub fn exchange(&mut self, name: &str, case: &Case) -> Result<Message, String> {
        let reused = self.conn.is_some();
        match self.try_exchange(name, case) {
            // Either side may close an idle connection at any time (RFC 9112, 9.5).
            Err(error) if reused && is_stale(&error) => self.try_exchange(name, case),
            result => result,
        }
        .map_err(|error| error.to_string())
    }

    fn try_exchange(&mut self, name: &str, case: &Case) -> io::Result<Message> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                Reader::new(stream)
            }
        };
        let request = &case.request;
        let mut send_body = !request.expects;
        let mut all = head(request, name);
        if send_body && request.body.pause == 0 {
            // In one write with the head, as most clients do.
            wire::write_body(&mut all, &request.body)?;
            send_body = false;
        }
        // A server may answer and close before it has read all: what it said counts, not how the write ended.
        let mut sent = conn.stream().write_all(&all);
        let mut whole = !request.expects;
        if send_body {
            sent = sent.and_then(|()| wire::write_body(conn.stream(), &request.body));
        }
        let mut interim = Vec::new();
        let (status, mut answer) = loop {
            let (status, answer) = match conn.response() {
                Err(error) if stale_kind(error.kind()) && conn.left().is_empty() && interim.is_empty() => {
                    return Err(io::Error::new(error.kind(), Stale(sent.err().unwrap_or(error))));
                }
                result => result?,
            };
            if status >= 200 {
                break (status, answer);
            }
            interim.push(status);
            if status == 100 && !whole {
                whole = true;
                wire::write_body(conn.stream(), &request.body)?;
            }
        };
        answer.interim = interim;
        if request.method == "HEAD" || matches!(status, 204 | 304) {
            answer.framing = Framing::None;
        }
        conn.body(&mut answer)?;
        if !conn.left().is_empty() {
            return Err(io::Error::other(format!("{} bytes after the end of the answer", conn.left().len())));
        }
        if whole && !request.old && wire::persists(&answer) {
            self.conn = Some(conn);
        }
        Ok(answer)
    }
}

/// The connection ended before any byte of an answer.
#[derive(Debug)]
struct Stale(io::Error);

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer: {}", self.0)
    }
}

impl std::error::Error for Stale {}

fn stale_kind(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn is_stale(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stale>())
}
