//! What is to be answered to each case, and what came of it.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reveille_tests_local::differential::{
    control::Command,
    message::Message,
    script::{Body, CASE, Case, Framing, Response},
};

/// Shared by all connections. The lock guards the map alone and is held for one look at it.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<HashMap<String, Page>>>);

struct Page {
    response: Response,
    seen: Vec<Message>,
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, HashMap<String, Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request is to be answered, by its head.
    pub(crate) fn response(&self, request: &Message) -> Response {
        let case = request.values(CASE).concat();
        self.pages().get(&case).map_or_else(unknown, |page| page.response.clone())
    }

    /// Notes a request that has come whole.
    pub(crate) fn note(&self, request: Message) {
        let case = request.values(CASE).concat();
        if let Some(page) = self.pages().get_mut(&case) {
            page.seen.push(request);
        }
    }

    /// Serves a connection to the control port.
    pub(crate) fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let seen = match serde_json::from_str(&line)? {
                Command::Put(case, response) => {
                    self.pages().insert(case, Page { response, seen: Vec::new() });
                    Vec::new()
                }
                Command::Take(case) => self.pages().remove(&case).map_or_else(Vec::new, |page| page.seen),
            };
            let mut answer = serde_json::to_string(&seen)?;
            answer.push('\n');
            reader.get_mut().write_all(answer.as_bytes())?;
            line.clear();
        }
        Ok(())
    }
}

/// The answer to a case that nobody has put, such as a health check.
fn unknown() -> Response {
    let mut response = Case::plain().response;
    (response.status, response.reason) = (410, "No such case".into());
    response.body = Body::of(Framing::Length, 0);
    response
}
