//! HTTP/1.1 read strictly and written literally.
//!
//! The reader takes what RFC 9112 has a sender generate, and nothing of what it lets a recipient forgive: what
//! the activator writes has to be right, not merely readable.

use std::io::{self, Read, Write};

use super::{
    message::{Message, Start},
    script::{Body, Field, Framing, bytes, has_token, latin1, members},
};
use crate::wait::{ms, pause};

/// Bytes from a connection, with what was read too far.
#[derive(Debug)]
pub struct Reader<S> {
    stream: S,
    unread: Vec<u8>,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn is_token(text: &str) -> bool {
    let special = |c: char| "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || special(c))
}

impl<S: Read> Reader<S> {
    /// Reads from the start of a connection.
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// What is read from.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Bytes that were read, but belong to no message yet.
    pub fn left(&self) -> &[u8] {
        &self.unread
    }

    /// Reads more; how much, 0 at the connection's end.
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
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the message was cut off")),
            _ => Ok(()),
        }
    }

    /// Reads a line that ends with CRLF.
    fn line(&mut self) -> io::Result<String> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.unread[looked..].iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=looked + end).collect();
                let line = line.strip_suffix(b"\r\n").ok_or_else(|| broken("a line without CR"))?;
                if line.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
                    return Err(broken(format!("a control character in {:?}", latin1(line))));
                }
                return Ok(latin1(line));
            }
            looked = self.unread.len();
            self.fill_more()?;
        }
    }

    /// Reads field lines up to the empty line.
    fn fields(&mut self) -> io::Result<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(format!("no field: {line:?}")))?;
            if !is_token(name) {
                return Err(broken(format!("no field name: {name:?}")));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// Reads the head of a request; `None` if the connection ended before it.
    ///
    /// # Errors
    /// If it is none.
    pub fn request(&mut self) -> io::Result<Option<Message>> {
        if self.unread.is_empty() && self.fill()? == 0 {
            return Ok(None);
        }
        let line = self.line()?;
        let words: Vec<&str> = line.split(' ').collect();
        let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
            return Err(broken(format!("no request line: {line:?}")));
        };
        if !is_token(method) || target.is_empty() {
            return Err(broken(format!("no request line: {line:?}")));
        }
        let start = Start::Request { method: method.to_owned(), target: target.to_owned() };
        let mut message = Message::new(version, start, self.fields()?);
        message.framing = match framing(&message)? {
            Framing::Close => Framing::None,
            framing => framing,
        };
        Ok(Some(message))
    }

    /// Reads the head of a response, an interim one too. Its framing is that of a response that may have a body.
    ///
    /// # Errors
    /// If it is none.
    pub fn response(&mut self) -> io::Result<(u16, Message)> {
        let line = self.line()?;
        let mut words = line.splitn(3, ' ');
        let version = words.next().filter(|&word| word == "HTTP/1.1" || word == "HTTP/1.0");
        let digits = words.next().filter(|word| word.len() == 3);
        let status = digits.and_then(|digits| digits.parse().ok());
        let (Some(version), Some(status), Some(reason)) = (version, status, words.next()) else {
            return Err(broken(format!("no status line: {line:?}")));
        };
        let start = Start::Response { status, reason: reason.to_owned() };
        let mut message = Message::new(version, start, self.fields()?);
        message.framing = framing(&message)?;
        Ok((status, message))
    }

    /// Reads the body that the head describes.
    ///
    /// # Errors
    /// If it is malformed or cut off.
    pub fn body(&mut self, message: &mut Message) -> io::Result<()> {
        match message.framing {
            Framing::None => Ok(()),
            Framing::Length => {
                let length = message.values("content-length").concat();
                self.pass(message, length.parse().map_err(|_| broken("a length too long"))?)
            }
            Framing::Chunked => {
                loop {
                    let line = self.line()?;
                    let digits = line.split(';').next().unwrap_or_default();
                    let size = u64::from_str_radix(digits, 16);
                    match size.map_err(|_| broken(format!("no chunk: {line:?}")))? {
                        0 => break,
                        size => self.pass(message, size)?,
                    }
                    if !self.line()?.is_empty() {
                        return Err(broken("a chunk longer than it says"));
                    }
                }
                message.trailers = self.fields()?;
                Ok(())
            }
            Framing::Close => loop {
                let piece = std::mem::take(&mut self.unread);
                message.add(&piece);
                if self.fill()? == 0 {
                    return Ok(());
                }
            },
        }
    }

    fn pass(&mut self, message: &mut Message, mut left: u64) -> io::Result<()> {
        while left > 0 {
            if self.unread.is_empty() {
                self.fill_more()?;
            }
            let count = self.unread.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            message.add(&self.unread[..count]);
            self.unread.drain(..count);
            left -= count as u64;
        }
        Ok(())
    }
}

/// How the end of the body is told (RFC 9112, 6.3), if there is a body.
fn framing(message: &Message) -> io::Result<Framing> {
    let (codings, lengths) = (message.values("transfer-encoding"), message.values("content-length"));
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(Framing::Close),
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], [length]) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Framing::Length)
        }
        _ => Err(broken(format!("Transfer-Encoding {codings:?}, Content-Length {lengths:?}"))),
    }
}

/// Whether the connection goes on after this message.
pub fn persists(message: &Message) -> bool {
    message.version == "HTTP/1.1"
        && message.framing != Framing::Close
        && !has_token(&message.fields, "connection", "close")
}

/// Whether the client waits to be asked for the body.
pub fn expects(message: &Message) -> bool {
    members(&message.fields, "expect").any(|member| member.eq_ignore_ascii_case("100-continue"))
}

/// The field that frames a body.
pub fn framing_field(body: &Body) -> Option<Field> {
    match body.framing {
        Framing::Length => Some(("Content-Length".into(), body.length.to_string())),
        Framing::Chunked => Some(("Transfer-Encoding".into(), "chunked".into())),
        Framing::None | Framing::Close => None,
    }
}

/// A head as it goes on the wire.
pub fn head<'a>(first: &str, fields: impl IntoIterator<Item = &'a Field>) -> Vec<u8> {
    let mut text = format!("{first}\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    bytes(&text)
}

/// Writes a body piece by piece, pausing in between.
///
/// # Errors
/// If the other side is gone.
pub fn write_body(stream: &mut impl Write, body: &Body) -> io::Result<()> {
    for (index, piece) in body.split().into_iter().enumerate() {
        if index > 0 && body.pause > 0 {
            pause(ms(body.pause));
        }
        if body.framing == Framing::Chunked {
            let extension = if body.extensions { ";a=\"b;c\"" } else { "" };
            let mut chunk = format!("{:x}{extension}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(&piece);
            chunk.extend_from_slice(b"\r\n");
            stream.write_all(&chunk)?;
        } else {
            stream.write_all(&piece)?;
        }
    }
    if body.framing == Framing::Chunked {
        stream.write_all(&head("0", &body.trailers))?;
    }
    stream.flush()
}
