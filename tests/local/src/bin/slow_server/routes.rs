//! What each path answers.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | method, target, version, fields, body and trailers as JSON |
//! | `/sink` | length and hash of the body as JSON |
//! | `/name` | `SLOW_NAME` and the pid |
//! | `/slow?ms=N` | `slow` after N ms |
//! | `/big?bytes=N` | N bytes |
//! | `/drip?bytes=N&ms=M` | N bytes of known length, one every M ms |
//! | `/sse?events=N&ms=M` | N events, each with the time at which it was sent |
//! | `/chunked` | three chunks and the trailers `x-sum`, `x-end` |
//! | `/hop` | fields that concern only this connection |
//! | `/hop-trailers` | trailers that concern only this connection, and `x-public` |
//! | `/hints` | 103 without end |
//! | `/status?code=N` | that status, without a body |
//! | `/early?ms=N` | 413 after N ms, without asking for the body, as nginx does it: what still comes is dropped |
//! | `/abrupt?ms=N` | the same, but the connection is reset by what still comes |
//! | `/close` | `Connection: close` |
//! | `/reset` | the connection's end instead of an answer |
//! | all else | `ok` |

use std::{
    env,
    io::{self, BufReader, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use reveille_tests_local::{
    pause,
    server::{Log, now_micros},
};
use serde_json::json;

use crate::request::{Body, Request};

/// What large bodies are made of.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Serves one connection to its end.
pub(crate) fn serve(stream: TcpStream, log: &Log) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let think = env::var("SLOW_REQUEST_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(0);
    let mut reader = BufReader::with_capacity(16 * 1024, stream);
    while let Some(request) = Request::read(&mut reader)? {
        log.write("request", &format!("{} {}", request.method, request.target));
        pause(Duration::from_millis(think));
        if !answer(&request, &mut reader)? {
            break;
        }
        log.write("answered", &format!("{} {}", request.method, request.target));
    }
    Ok(())
}

/// Answers one request. Returns whether the connection goes on.
fn answer(request: &Request, reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let wait = Duration::from_millis(request.query("ms").unwrap_or(0));
    if matches!(request.path(), "/early" | "/abrupt") {
        pause(wait);
        send(request, reader.get_mut(), "413 Content Too Large", "Connection: close\r\n", b"too large")?;
        if request.path() == "/early" {
            linger(reader)?;
        }
        return Ok(false);
    }
    if request.path() == "/reset" {
        return Ok(false);
    }
    let body = request.body(reader)?;
    let stream = reader.get_mut();
    match request.path() {
        "/echo" => send_json(request, stream, &echo(request, &body))?,
        "/sink" => send_json(request, stream, &body.seen.json())?,
        "/name" => {
            let name = env::var("SLOW_NAME").unwrap_or_default();
            send_json(request, stream, &json!({"name": name, "pid": std::process::id()}))?;
        }
        "/slow" => {
            pause(wait);
            send(request, stream, "200 OK", "", b"slow")?;
        }
        "/big" => big(request, stream)?,
        "/drip" => drip(request, stream, wait)?,
        "/sse" => events(request, stream, wait)?,
        "/chunked" => chunked(request, stream)?,
        "/hop" => {
            let fields = "Connection: x-private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
                          Proxy-Authenticate: Basic\r\nX-Public: 1\r\n";
            send(request, stream, "200 OK", fields, b"hop")?;
        }
        "/hop-trailers" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhop\r\n0\r\nConnection: x-private\r\n\
              X-Private: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 9\r\nX-Public: 1\r\n\r\n",
        )?,
        "/hints" => loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")?;
        },
        "/status" => {
            let code = request.query("code").unwrap_or(204);
            let length = if matches!(code, 204 | 304) { "" } else { "Content-Length: 0\r\n" };
            stream.write_all(format!("HTTP/1.1 {code} As Told\r\nX-App: 1\r\n{length}\r\n").as_bytes())?;
        }
        "/close" => {
            send(request, stream, "200 OK", "Connection: close\r\n", b"closing")?;
            return Ok(false);
        }
        _ => send(request, stream, "200 OK", "", b"ok")?,
    }
    let close = request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(!close && request.version == "HTTP/1.1")
}

/// Drops what the client still sends until it closes, so that the kernel does not reset the connection.
fn linger(reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    reader.get_ref().shutdown(Shutdown::Write)?;
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(2)))?;
    io::copy(reader, &mut io::sink())?;
    Ok(())
}

fn send(request: &Request, out: &mut TcpStream, status: &str, fields: &str, body: &[u8]) -> io::Result<()> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n", body.len()).into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    out.write_all(&bytes)
}

fn send_json(request: &Request, out: &mut TcpStream, value: &serde_json::Value) -> io::Result<()> {
    let fields = "Content-Type: application/json\r\n";
    send(request, out, "200 OK", fields, value.to_string().as_bytes())
}

fn echo(request: &Request, body: &Body) -> serde_json::Value {
    json!({
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "fields": lower(&request.fields),
        "body": String::from_utf8_lossy(&body.seen.start),
        "length": body.seen.length,
        "trailers": lower(&body.trailers),
        "pid": std::process::id(),
    })
}

fn lower(fields: &[(String, String)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

fn big(request: &Request, out: &mut TcpStream) -> io::Result<()> {
    let mut left = request.query("bytes").unwrap_or(0);
    out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").as_bytes())?;
    while left > 0 && request.method != "HEAD" {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        out.write_all(&PIECE[..count])?;
        left -= count as u64;
    }
    Ok(())
}

fn drip(request: &Request, out: &mut TcpStream, wait: Duration) -> io::Result<()> {
    let bytes = request.query("bytes").unwrap_or(0);
    out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
    for _ in 0..bytes {
        pause(wait);
        out.write_all(b"d")?;
    }
    Ok(())
}

fn events(request: &Request, out: &mut TcpStream, wait: Duration) -> io::Result<()> {
    out.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for number in 0..request.query("events").unwrap_or(0) {
        pause(wait);
        let event = format!("data: {number} {}\n\n", now_micros());
        out.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    out.write_all(b"0\r\n\r\n")
}

fn chunked(request: &Request, out: &mut TcpStream) -> io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-End\r\n\r\n")?;
    if request.method != "HEAD" {
        out.write_all(
            b"4\r\none \r\n4;note=1\r\ntwo \r\n5\r\nthree\r\n0\r\nX-Sum: 13\r\nX-End: yes\r\n\r\n",
        )?;
    }
    Ok(())
}
