//! A WebSocket client on a blocking socket.

use std::{
    io,
    net::{Shutdown, TcpStream},
    time::Duration,
};

use tungstenite::{
    Error, HandshakeError, Message, WebSocket,
    client::IntoClientRequest,
    handshake::client::Response,
    http::{HeaderValue, header},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::tcp::is_timeout;

/// A message that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket.
#[derive(Debug)]
pub struct Ws {
    socket: WebSocket<TcpStream>,
    /// The head of the answer to the upgrade.
    pub head: Response,
}

/// Why there is none.
#[derive(Debug)]
pub enum Refused {
    /// Another status than 101, with the body as far as it was read.
    Status(Box<Response>),
    /// No answer.
    Broken(String),
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// A ping, which has been answered.
    Ping(Vec<u8>),
    /// The end as it should be, with code and reason if they were told.
    Close(Option<(u16, String)>),
    /// The end without a word.
    Broken(String),
}

impl Ws {
    /// Opens one on a port of 127.0.0.1.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn open(port: u16, path: &str) -> Self {
        Self::try_open(port, path, &[])
            .unwrap_or_else(|refused| panic!("no WebSocket at port {port}: {refused:?}"))
    }

    /// Opens one with these fields in the request, such as `sec-websocket-protocol`, `host` or `origin`.
    ///
    /// # Errors
    /// If it is refused.
    pub fn try_open(port: u16, path: &str, fields: &[(&'static str, &str)]) -> Result<Self, Refused> {
        let broken = |error: &dyn std::fmt::Display| Refused::Broken(error.to_string());
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| broken(&error))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| broken(&error))?;
        stream.set_nodelay(true).map_err(|error| broken(&error))?;
        let mut request = format!("ws://127.0.0.1:{port}{path}")
            .into_client_request()
            .expect("the path belongs to a valid address");
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("the field is valid");
            request.headers_mut().insert(header::HeaderName::from_static(name), value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, head)) => Ok(Self { socket, head }),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(Refused::Status(response)),
            Err(error) => Err(broken(&error)),
        }
    }

    /// A field of the answer to the upgrade.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }

    /// Sends a text.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.try_send(Message::text(text)).expect("the WebSocket is open");
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn binary(&mut self, bytes: &[u8]) {
        self.try_send(Message::Binary(bytes.to_vec().into())).expect("the WebSocket is open");
    }

    /// Sends a ping.
    ///
    /// # Panics
    /// If the other side is gone.
    #[track_caller]
    pub fn ping(&mut self, bytes: &[u8]) {
        self.try_send(Message::Ping(bytes.to_vec().into())).expect("the WebSocket is open");
    }

    /// Sends any message.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn try_send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message)
    }

    /// What comes next.
    pub fn read(&mut self) -> Came {
        match self.socket.read() {
            Ok(Message::Text(text)) => Came::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Came::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Came::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Came::Pong(bytes.to_vec()),
            Ok(Message::Close(frame)) => {
                // Sends the answer to it and reads the end of the connection.
                let _ = self.socket.flush();
                Came::Close(frame.map(|frame| (frame.code.into(), frame.reason.to_string())))
            }
            Ok(Message::Frame(_)) => Came::Broken("a bare frame".to_owned()),
            Err(error) => Came::Broken(error.to_string()),
        }
    }

    /// Sends a text and returns what comes next.
    #[track_caller]
    pub fn ask(&mut self, text: &str) -> Came {
        self.text(text);
        self.read()
    }

    /// Whether nothing at all arrives for so long, the end neither.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.set_patience(time);
        let quiet = matches!(self.socket.read(), Err(Error::Io(error)) if is_timeout(&error));
        self.set_patience(PATIENCE);
        quiet
    }

    /// Closes as it should be and waits for the other side to do the same; returns what it said.
    pub fn close(&mut self, code: u16, reason: &str) -> Came {
        let _ = self
            .socket
            .close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() }));
        loop {
            if let end @ (Came::Close(_) | Came::Broken(_)) = self.read() {
                return end;
            }
        }
    }

    /// Vanishes: a FIN without a close frame.
    pub fn vanish(self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
    }

    /// The socket itself, to send what no WebSocket would.
    pub fn raw(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    fn set_patience(&self, time: Duration) {
        let set: io::Result<()> = self.socket.get_ref().set_read_timeout(Some(time));
        set.expect("a time-out can be set");
    }
}
