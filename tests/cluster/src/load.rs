//! Clients under load, in a pod's network: threads that do nothing but HTTP/1.1 requests and count what became of them.
//!
//! They are strict: whatever is not a whole answer of status 200 has failed. One thing is no failure, as every client
//! has to do it: a kept connection that was closed before a byte of the answer came is opened anew for the same request,
//! once; that is counted apart.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

use crate::wait::until;

/// The failures that are kept word by word.
const KEPT: usize = 10;
/// A client needs little: it calls a few functions and has its buffers on the heap.
const STACK: usize = 128 << 10;

/// What requests go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One for each request.
    New,
    /// One for all requests of a client, until the server ends it.
    Kept,
}

/// What is asked for, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// The `Host`, and behind it the path.
    pub host: String,
    /// Such as `/`.
    pub path: String,
    /// What requests go over.
    pub connections: Connections,
    /// How many clients there are, each with one request at a time.
    pub clients: usize,
    /// How long a client waits between an answer and its next request.
    pub pause: Duration,
    /// An answer that takes longer has failed.
    pub patience: Duration,
}

impl Plan {
    /// One client that asks for `/` on new connections, without a pause.
    pub fn of(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.ip().to_string(),
            path: "/".into(),
            connections: Connections::New,
            clients: 1,
            pause: Duration::ZERO,
            patience: Duration::from_secs(60),
        }
    }
}

/// What became of requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Whole answers of status 200.
    pub answered: u64,
    /// All else.
    pub failed: u64,
    /// The first of those, with the time since the load began.
    pub failures: Vec<(Duration, String)>,
    /// Requests that were sent again, as the kept connection had been closed.
    pub resent: u64,
    /// The longest that an answer took.
    pub slowest: Duration,
    /// The bodies that came.
    pub bodies: BTreeSet<String>,
    /// When the first and the last failure came, since the load began.
    pub broken: Option<(Duration, Duration)>,
}

impl Tally {
    fn fail(&mut self, at: Duration, why: String) {
        self.failed += 1;
        self.broken = Some((self.broken.map_or(at, |(first, _)| first.min(at)), at));
        if self.failures.len() < KEPT {
            self.failures.push((at, why));
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.answered += other.answered;
        self.failed += other.failed;
        self.resent += other.resent;
        self.failures.extend(other.failures);
        self.failures.sort();
        self.failures.truncate(KEPT);
        self.slowest = self.slowest.max(other.slowest);
        self.bodies.extend(other.bodies);
        self.broken = match (self.broken, other.broken) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self
    }

    /// As a figure.
    pub fn text(&self) -> String {
        format!(
            "{} answered, {} failed, {} sent again, slowest {:.2} s",
            self.answered,
            self.failed,
            self.resent,
            self.slowest.as_secs_f64()
        )
    }

    /// # Panics
    /// If a request failed, or there was none.
    #[track_caller]
    pub fn assert_whole(&self) {
        assert!(self.failed == 0 && self.answered > 0, "{}: {:?}", self.text(), self.failures);
    }
}

/// Clients that go on until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    /// Whole answers so far.
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts the clients in the network of this file.
    pub(crate) fn start(network: &Path, plan: &Plan) -> Self {
        Self::start_for(network, plan, None)
    }

    /// As many requests as there are clients, one each.
    pub(crate) fn once(network: &Path, plan: &Plan) -> Self {
        Self::start_for(network, plan, Some(1))
    }

    fn start_for(network: &Path, plan: &Plan, requests: Option<u64>) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let started = Instant::now();
        let client = |_| {
            let (network, plan, stop) = (network.to_owned(), plan.clone(), Arc::clone(&stop));
            let answered = Arc::clone(&answered);
            let run = move || {
                Client { plan, started, tally: Tally::default(), answered, kept: None }
                    .run(&network, &stop, requests)
            };
            std::thread::Builder::new().stack_size(STACK).spawn(run).expect("threads can be started")
        };
        let clients = (0..plan.clients).map(client).collect();
        Self { stop, answered, clients }
    }

    /// Returns once that many requests were answered.
    pub async fn until_answered(&self, requests: u64) {
        let what = format!("{requests} requests are answered");
        until(&what, Duration::from_secs(60), async || self.answered.load(Ordering::Relaxed) >= requests)
            .await;
    }

    /// Lets each client finish its request, and adds up.
    pub async fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.join().await
    }

    /// Waits until each client has made its requests, and adds up.
    pub async fn join(self) -> Tally {
        let clients = self.clients;
        let all = move || {
            let one = |client: JoinHandle<Tally>| client.join().expect("a client counts what fails");
            clients.into_iter().map(one).fold(Tally::default(), Tally::and)
        };
        tokio::task::spawn_blocking(all).await.expect("a client counts what fails")
    }
}

struct Client {
    plan: Plan,
    started: Instant,
    tally: Tally,
    answered: Arc<AtomicU64>,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    fn run(mut self, network: &Path, stop: &AtomicBool, requests: Option<u64>) -> Tally {
        let entered = File::open(network).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
        if let Err(error) = entered {
            self.tally.fail(Duration::ZERO, format!("the network cannot be entered: {error}"));
            return self.tally;
        }
        let mut made = 0;
        while !stop.load(Ordering::Relaxed) && requests.is_none_or(|requests| made < requests) {
            made += 1;
            let begun = Instant::now();
            match self.request() {
                Ok(body) => {
                    self.tally.answered += 1;
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    self.tally.slowest = self.tally.slowest.max(begun.elapsed());
                    if self.tally.bodies.len() < KEPT {
                        self.tally.bodies.insert(body);
                    }
                }
                Err(error) => {
                    self.kept = None;
                    let took = begun.elapsed();
                    self.tally
                        .fail(self.started.elapsed(), format!("{error}, after {} ms", took.as_millis()));
                }
            }
            pace(self.plan.pause);
        }
        self.tally
    }

    fn request(&mut self) -> io::Result<String> {
        if let Some(mut kept) = self.kept.take() {
            match exchange(&self.plan, &mut kept) {
                Ok(answer) => return self.keep(kept, answer),
                Err(Broken::BeforeAnswer(_)) => self.tally.resent += 1,
                Err(Broken::Within(error)) => return Err(error),
            }
        }
        let stream = TcpStream::connect_timeout(&self.plan.address, self.plan.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.plan.patience))?;
        stream.set_write_timeout(Some(self.plan.patience))?;
        let mut connection = BufReader::new(stream);
        match exchange(&self.plan, &mut connection) {
            Ok(answer) => self.keep(connection, answer),
            Err(Broken::BeforeAnswer(error) | Broken::Within(error)) => Err(error),
        }
    }

    fn keep(&mut self, connection: BufReader<TcpStream>, answer: Answer) -> io::Result<String> {
        if self.plan.connections == Connections::Kept && !answer.closes {
            self.kept = Some(connection);
        }
        match answer.status {
            200 => Ok(answer.body),
            status => Err(io::Error::other(format!("status {status}: {}", answer.body.trim()))),
        }
    }
}

struct Answer {
    status: u16,
    closes: bool,
    body: String,
}

enum Broken {
    BeforeAnswer(io::Error),
    Within(io::Error),
}

#[allow(clippy::disallowed_methods, reason = "a client's thread has nothing else to do")]
fn pace(pause: Duration) {
    std::thread::sleep(pause);
}

fn exchange(plan: &Plan, connection: &mut BufReader<TcpStream>) -> Result<Answer, Broken> {
    let close = if plan.connections == Connections::New { "Connection: close\r\n" } else { "" };
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n{close}\r\n", plan.path, plan.host);
    connection.get_mut().write_all(head.as_bytes()).map_err(Broken::BeforeAnswer)?;
    let mut line = String::new();
    match connection.read_line(&mut line) {
        Ok(0) => return Err(Broken::BeforeAnswer(io::ErrorKind::UnexpectedEof.into())),
        // A server that had closed already resets what is sent to it.
        Err(error) if line.is_empty() && error.kind() == io::ErrorKind::ConnectionReset => {
            return Err(Broken::BeforeAnswer(error));
        }
        Err(error) => return Err(Broken::Within(error)),
        Ok(_) => {}
    }
    rest_of_answer(&line, connection).map_err(Broken::Within)
}

fn rest_of_answer(first: &str, connection: &mut impl BufRead) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| broken(first))?;
    let (mut length, mut chunked, mut closes) = (None, false, false);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(broken("the head is cut off"));
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            None if line.is_empty() => break,
            Some(("content-length", value)) => length = Some(value.parse().map_err(|_| broken(&line))?),
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(("connection", "close")) => closes = true,
            _ => {}
        }
    }
    let mut body = Vec::new();
    match length {
        _ if chunked => loop {
            let mut size = String::new();
            connection.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(|_| broken("no chunk"))?;
            take(connection, size, &mut body)?;
            let mut end = String::new();
            connection.read_line(&mut end)?;
            if size == 0 {
                break;
            }
        },
        Some(length) => take(connection, length, &mut body)?,
        None => {
            closes = true;
            connection.read_to_end(&mut body)?;
        }
    }
    Ok(Answer { status, closes, body: String::from_utf8_lossy(&body).trim().to_owned() })
}

fn take(connection: &mut impl BufRead, size: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = connection.take(size).read_to_end(body)?;
    if read as u64 == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> io::Result<Answer> {
        let (first, rest) = text.split_once('\n').unwrap();
        rest_of_answer(first, &mut rest.as_bytes())
    }

    #[test]
    fn whole_answers_are_told_from_those_that_are_cut_off() {
        let whole = answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nweb\n").unwrap();
        assert_eq!((whole.status, whole.closes, whole.body.as_str()), (200, false, "web"));
        let chunked = answer(
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nweb\r\n0\r\n\r\n",
        );
        let chunked = chunked.unwrap();
        assert_eq!((chunked.status, chunked.closes, chunked.body.as_str()), (503, true, "web"));
        for cut in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nweb\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nweb\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(answer(cut).is_err(), "{cut:?}");
        }
    }
}
