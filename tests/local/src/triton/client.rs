//! Triton's own clients: one Python process, told by lines of JSON what to call (`python/triton_client.py`).

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::wait::{secs, until_some};

/// A call that takes longer than this hangs.
const PATIENCE: Duration = secs(70);

/// The clients' process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Client {
    child: Child,
    /// Commands are whole lines, one writer at a time.
    input: Mutex<ChildStdin>,
    /// What was said and not yet fetched, by number.
    said: Arc<Mutex<HashMap<u64, Said>>>,
    next: AtomicU64,
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub struct Call(u64);

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What the client library returned, or raised.
    pub outcome: Result<Value, Failure>,
}

/// What the client library raised.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exception's type.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// The status that it carries, such as `503` or `StatusCode.UNAVAILABLE`.
    pub status: Option<String>,
}

impl Said {
    fn parse(line: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let outcome = match line.get("error") {
            None => Ok(line["value"].clone()),
            Some(error) => Err(Failure {
                kind: text(&error["type"]).unwrap_or_default(),
                message: text(&error["message"]).unwrap_or_default(),
                status: text(&error["status"]),
            }),
        };
        Self { ms: line["ms"].as_f64().unwrap_or(0.0), outcome }
    }

    /// What was returned.
    ///
    /// # Panics
    /// If an exception was raised.
    #[track_caller]
    pub fn value(self) -> Value {
        self.outcome.unwrap_or_else(|failure| panic!("the client raised {failure:?}"))
    }

    /// What was raised.
    ///
    /// # Panics
    /// If there was no exception.
    #[track_caller]
    pub fn failure(self) -> Failure {
        match self.outcome {
            Ok(value) => panic!("the client raised nothing, but returned {value}"),
            Err(failure) => failure,
        }
    }
}

impl Client {
    pub(super) fn start(python: &Path, weights: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/triton_client.py");
        let mut child = Command::new(python)
            .args(["-B", script]) // nothing is written beside the scripts
            .arg(weights)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the clients' Python can be run");
        let input = Mutex::new(child.stdin.take().expect("its input is a pipe"));
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let said = Arc::new(Mutex::new(HashMap::new()));
        let this = Self { child, input, said: Arc::clone(&said), next: AtomicU64::new(1) };
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("it says JSON");
                let number = line["id"].as_u64().expect("it says which call");
                said.lock().expect("nobody panics with it").insert(number, Said::parse(&line));
            }
        });
        this.end(Call(0));
        this
    }

    /// Begins a call, such as `http.infer` of `{"port": 8000}`.
    ///
    /// # Panics
    /// If the clients have ended.
    #[track_caller]
    pub fn begin(&self, command: &str, arguments: Value) -> Call {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut line = arguments;
        line["id"] = json!(number);
        line["do"] = json!(command);
        let mut input = self.input.lock().expect("nobody panics with it");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the clients run");
        Call(number)
    }

    /// How a call ended, if it has.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    pub fn ended(&self, call: Call) -> Option<Said> {
        self.said.lock().expect("nobody panics with it").remove(&call.0)
    }

    /// Waits for the end of a call.
    ///
    /// # Panics
    /// If it hangs.
    #[track_caller]
    pub fn end(&self, call: Call) -> Said {
        until_some("the client's call ends", PATIENCE, || self.ended(call))
    }

    /// Calls and waits.
    ///
    /// # Panics
    /// If it hangs.
    #[track_caller]
    pub fn ask(&self, command: &str, arguments: Value) -> Said {
        self.end(self.begin(command, arguments))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
