//! WebSocket: sends each message back.
//!
//! | asked for by | does |
//! |---|---|
//! | path `/deny` | 403 instead of the upgrade |
//! | `Sec-WebSocket-Protocol` | the first one offered is taken |
//! | text `!close CODE REASON` | closes with that |
//! | text `!ping TEXT` | pings |
//! | text `!send COUNT BYTES MS` | sends so many binary messages of that size, one every MS milliseconds |
//! | text `!drop` | ends the connection without a word |
//! | a request without an upgrade | 426 |
//!
//! The log gets `request METHOD PATH FIELDS`, `text`, `binary`, `ping` and `pong` with what was in them (cut short),
//! `close CODE REASON`, and `end` after a proper close or `broken` without one.

use std::{
    io::{self, Write},
    net::TcpStream,
    time::Duration,
};

use http::{HeaderValue, StatusCode, header};
use reveille_tests_local::{pause, server::Log};
use tungstenite::{
    Error, HandshakeError, Message, WebSocket,
    handshake::server::{ErrorResponse, Request, Response},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

const PLAIN: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
                       Content-Length: 0\r\n\r\n";

pub(crate) fn serve(stream: TcpStream, log: &Log) -> io::Result<()> {
    let mut plain = stream.try_clone()?;
    #[expect(clippy::result_large_err, reason = "the library asks for this type")]
    let decide = |request: &Request, mut response: Response| {
        let fields: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let fields = serde_json::json!(fields);
        log.write("request", &format!("{} {} {fields}", request.method(), request.uri()));
        if request.uri().path() == "/deny" {
            let mut denied = ErrorResponse::new(Some("denied".to_owned()));
            *denied.status_mut() = StatusCode::FORBIDDEN;
            denied.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("6"));
            return Err(denied);
        }
        let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).map(text).unwrap_or_default();
        let first = offered.split(',').next().unwrap_or_default().trim();
        if let (false, Ok(first)) = (first.is_empty(), HeaderValue::from_str(first)) {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, first);
        }
        Ok(response)
    };
    match tungstenite::accept_hdr(stream, decide) {
        Ok(mut socket) => match converse(&mut socket, log) {
            Err(Error::ConnectionClosed) => {
                log.write("end", "");
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        },
        Err(HandshakeError::Failure(Error::Protocol(_))) => plain.write_all(PLAIN),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn converse(socket: &mut WebSocket<TcpStream>, log: &Log) -> Result<(), Error> {
    loop {
        let message = socket.read()?;
        match &message {
            Message::Text(said) => {
                log.write("text", &said.chars().take(100).collect::<String>());
                if let Some(order) = said.strip_prefix('!') {
                    if obey(order, socket)? {
                        return Ok(());
                    }
                    continue;
                }
            }
            Message::Binary(bytes) => log.write("binary", &bytes.len().to_string()),
            // The library answers these by itself.
            Message::Ping(bytes) => log.write("ping", &String::from_utf8_lossy(bytes)),
            Message::Pong(bytes) => log.write("pong", &String::from_utf8_lossy(bytes)),
            Message::Close(frame) => {
                let said = frame.as_ref().map(|frame| format!("{} {}", u16::from(frame.code), frame.reason));
                log.write("close", said.unwrap_or_default().trim_end());
            }
            Message::Frame(_) => {}
        }
        if message.is_text() || message.is_binary() {
            socket.send(message)?;
        }
    }
}

/// Returns whether the connection is to end without a word.
fn obey(order: &str, socket: &mut WebSocket<TcpStream>) -> Result<bool, Error> {
    let mut words = order.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let (first, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let number = |word: &str| word.parse().unwrap_or(0);
    match name {
        "close" => {
            let code = CloseCode::from(first.parse().unwrap_or(1000));
            socket.close(Some(CloseFrame { code, reason: rest.to_owned().into() }))?;
        }
        "ping" => socket.send(Message::Ping(first.to_owned().into()))?,
        "send" => {
            let (bytes, millis) = rest.split_once(' ').unwrap_or((rest, "0"));
            for _ in 0..number(first) {
                socket.send(Message::Binary(vec![b'w'; number(bytes)].into()))?;
                pause(Duration::from_millis(number(millis) as u64));
            }
        }
        "drop" => return Ok(true),
        _ => socket.send(Message::text(format!("what is {name}?")))?,
    }
    Ok(false)
}
