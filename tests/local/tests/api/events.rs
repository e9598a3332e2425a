//! The stream of events, by raw HTTP and by `reveille watch`.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use reveille_tests_local::{App, Conn, Reveille, get, product, until, wait::secs};
use serde_json::Value;

use crate::support::{SOON, start};

/// A reader of the stream.
struct Stream {
    conn: Conn,
    text: String,
}

impl Stream {
    #[track_caller]
    fn open(reveille: &Reveille, fields: &str) -> Self {
        let mut conn = Conn::open(reveille.admin.port);
        let host = format!("127.0.0.1:{}", reveille.admin.port);
        conn.send(format!("GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        let head = conn.head().unwrap();
        assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
        Self { conn, text: String::new() }
    }

    /// Reads until an event of this name (any, if it is empty) with this in its data has come; returns its id.
    #[track_caller]
    fn until(&mut self, name: &str, says: &str) -> String {
        let started = std::time::Instant::now();
        loop {
            // Comments come without end.
            assert!(started.elapsed() < secs(30), "never told: {name} {says}");
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                if (name.is_empty() || field("event: ") == name) && field("data: ").contains(says) {
                    return field("id: ").to_owned();
                }
            }
            let piece = self.conn.piece(&mut reveille_tests_local::http::Framing::Chunked).unwrap();
            let piece = piece.unwrap_or_else(|| panic!("the stream ended before {name} {says}"));
            self.text += std::str::from_utf8(&piece).unwrap();
        }
    }
}

#[test]
fn what_happens_is_told_and_nothing_is_missed_over_a_lost_connection() {
    let app = App::starting_in("web", 700).set("idle: {ttl: 300ms}");
    let reveille = start(&[&app]);
    let mut stream = Stream::open(&reveille, "");
    stream.until("apps", r#""phase":"Asleep""#);
    let listen = app.listen;
    let request = thread::spawn(move || get(listen, "/").status());
    stream.until("phase", r#""phase":"Waking""#);
    stream.until("", r#""held":1"#);
    let last = stream.until("phase", r#""phase":"Awake""#);
    drop(stream);
    assert_eq!(request.join().unwrap(), 200);
    reveille.admin.await_phase("web", "Asleep", SOON);
    let mut stream = Stream::open(&reveille, &format!("Last-Event-ID: {last}\r\n"));
    stream.until("phase", r#""phase":"FallingAsleep""#);
    stream.until("phase", r#""phase":"Asleep""#);
    let other = App::slow("other");
    reveille.reload(&reveille_tests_local::app::file(&[&other]));
    // In this order or the other.
    stream.until("gone", r#""name":"web""#);
    let mut anew = Stream::open(&reveille, "");
    anew.until("apps", r#""name":"other""#);
    reveille.stop();
}

#[test]
fn a_reader_that_reads_nothing_disturbs_nobody() {
    let app = App::slow("web").set("idle: {ttl: never}");
    let reveille = start(&[&app]);
    let deaf: Vec<_> = (0..20).map(|_| Stream::open(&reveille, "")).collect();
    let mut stream = Stream::open(&reveille, "");
    for _ in 0..20 {
        assert_eq!(reveille.admin.wake("web").status(), 202);
        reveille.admin.await_phase("web", "Awake", SOON);
        assert!(reveille.admin.sleep("web", None).status() < 300);
        reveille.admin.await_phase("web", "Asleep", SOON);
    }
    for _ in 0..20 {
        stream.until("phase", r#""phase":"Awake""#);
    }
    // An end does not wait for those who read.
    let started = std::time::Instant::now();
    reveille.stop();
    assert!(started.elapsed() < secs(5), "{:?}", started.elapsed());
    drop(deaf);
}

/// `reveille watch`, its lines as they come.
struct Watch {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Watch {
    fn start(reveille: &Reveille, arguments: &[&str]) -> Self {
        let mut child = Command::new(product::reveille())
            .arg("watch")
            .args(arguments)
            .env("REVEILLE_SERVER", format!("http://127.0.0.1:{}", reveille.admin.port))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { lines: lines(out), errors: lines(err), child }
    }

    #[track_caller]
    fn until(from: &mpsc::Receiver<String>, says: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line =
                from.recv_timeout(SOON).unwrap_or_else(|_| panic!("never said: {says}; but {seen:#?}"));
            if line.contains(says) {
                return line;
            }
            seen.push(line);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_writes_a_line_for_each_event() {
    let app = App::starting_in("web", 200).set("idle: {ttl: 300ms}");
    let reveille = start(&[&app]);
    let watch = Watch::start(&reveille, &[]);
    let json = Watch::start(&reveille, &["--output", "json"]);
    Watch::until(&watch.lines, " web Asleep");
    Watch::until(&json.lines, r#""event":"apps""#);
    assert_eq!(get(app.listen, "/").status(), 200);
    for says in [
        " web Waking (wake web-000001, by 1 request)",
        "wake web-000001: Probing after",
        " web Awake",
        " web Asleep",
    ] {
        Watch::until(&watch.lines, says);
    }
    let line = Watch::until(&json.lines, r#""phase":"Awake""#);
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["data"]["app"]["name"], event["id"].is_string()), (&"web".into(), true));
    reveille.stop();
}

#[test]
fn watch_says_that_the_connection_is_lost_and_comes_back() {
    let app = App::slow("web");
    let mut reveille = start(&[&app]);
    let mut watch = Watch::start(&reveille, &[]);
    Watch::until(&watch.lines, " web Asleep");
    let port = reveille.admin.port;
    reveille.signal(nix::sys::signal::Signal::SIGTERM);
    reveille.await_end(secs(40));
    Watch::until(&watch.errors, "connection lost: ");
    let folder = reveille_tests_local::scratch::Scratch::new("again");
    let yaml = format!("admin: \"127.0.0.1:{port}\"\n{}", reveille_tests_local::app::file(&[&app]));
    let config = folder.write("reveille.yaml", &yaml);
    let mut again = Command::new(product::reveille())
        .args(["local", "-c"])
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Watch::until(&watch.errors, "connected again");
    Watch::until(&watch.lines, " web Asleep");
    assert!(watch.child.try_wait().unwrap().is_none(), "it goes on");
    reveille_tests_local::process::Process::of(again.id()).unwrap().signal(nix::sys::signal::Signal::SIGTERM);
    until("it has ended", secs(20), || again.try_wait().unwrap().is_some());
}
