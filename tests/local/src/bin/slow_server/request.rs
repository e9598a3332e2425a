//! Reading requests: heads, bodies of known length, chunked bodies with trailers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use reveille_tests_local::server::Seen;

/// A request's head.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// What a body was.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) seen: Seen,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Request {
    /// Reads the next head; `None` when the client closed in between.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let Some(first) = line(reader)? else { return Ok(None) };
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = words[..] else { return Err(io::Error::other(first)) };
        let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
        Ok(Some(Self { method, target, version, fields: fields(reader)? }))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A number from the query.
    pub(crate) fn query(&self, name: &str) -> Option<u64> {
        let query = self.target.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// Whether the client waits to be told to send its body.
    pub(crate) fn expects(&self) -> bool {
        self.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    /// Reads the body, asking for it if the client waits to be asked.
    pub(crate) fn body(&self, reader: &mut BufReader<TcpStream>) -> io::Result<Body> {
        if self.expects() {
            reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Body::default();
        if self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let size = size.split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
                if size == 0 {
                    body.trailers = fields(reader)?;
                    return Ok(body);
                }
                body.take(reader, size)?;
                line(reader)?;
            }
        }
        let length = self.field("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        body.take(reader, length)?;
        Ok(body)
    }
}

impl Body {
    fn take(&mut self, reader: &mut BufReader<TcpStream>, mut left: u64) -> io::Result<()> {
        let mut piece = [0; 16_384];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let count = match reader.read(&mut piece[..want]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.seen.add(&piece[..count]);
            left -= count as u64;
        }
        Ok(())
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let line = bytes.strip_suffix(b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

fn fields(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(line.clone()))?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}
