//! How the mirror is told what to answer, and tells what it saw: a line of JSON each way, on a port of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde::{Deserialize, Serialize};

use super::{message::Message, script::Response};

/// What the mirror is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Answer the requests of this case so, and forget those that came.
    Put(String, Response),
    /// Which requests of this case came?
    Take(String),
}

/// The test's end of the connection.
#[derive(Debug)]
pub struct Control(BufReader<TcpStream>);

impl Control {
    /// Connects to the control port of a mirror.
    ///
    /// # Panics
    /// If there is none.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the mirror listens");
        stream.set_nodelay(true).expect("a socket has this option");
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, command: &Command) -> Vec<Message> {
        let mut line = serde_json::to_string(command).expect("a script has only strings and numbers");
        line.push('\n');
        self.0.get_mut().write_all(line.as_bytes()).expect("the mirror runs");
        line.clear();
        self.0.read_line(&mut line).expect("the mirror runs");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the mirror said {line:?}: {error}"))
    }

    /// Has the requests of a case answered so.
    pub fn put(&mut self, case: &str, response: &Response) {
        self.ask(&Command::Put(case.to_owned(), response.clone()));
    }

    /// The requests of a case since it was [`put`](Self::put).
    pub fn take(&mut self, case: &str) -> Vec<Message> {
        self.ask(&Command::Take(case.to_owned()))
    }
}
