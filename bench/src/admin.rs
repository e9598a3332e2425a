//! The admin port of a Reveille, as far as the bench needs it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clock,
    error::{Error, Result},
};

/// How long it is waited for anything.
const WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked in between. Each time costs CPU time of what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub(crate) struct Admin {
    pub(crate) port: u16,
}

impl Admin {
    /// Whether it serves.
    pub(crate) fn is_ready(self) -> bool {
        self.call("GET", "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    /// The status of an app.
    pub(crate) fn app(self, name: &str) -> Result<Value> {
        self.ask("GET", &format!("/api/v1/apps/local/{name}"))
    }

    /// Wakes an app, and waits until it is awake.
    pub(crate) fn wake(self, name: &str) -> Result<()> {
        self.ask_to_wake(name)?;
        self.wait(name, "is awake", LOOK_EVERY, |app| app["phase"] == "Awake")
    }

    /// Wakes an app, and does not wait.
    pub(crate) fn ask_to_wake(self, name: &str) -> Result<()> {
        self.ask("POST", &format!("/api/v1/apps/local/{name}/wake")).map(drop)
    }

    /// Puts an app to sleep, and waits until its process is gone.
    pub(crate) fn sleep(self, name: &str) -> Result<()> {
        self.ask("POST", &format!("/api/v1/apps/local/{name}/sleep"))?;
        let asleep = |app: &Value| app["phase"] == "Asleep" && app["replicas"] == 0;
        self.wait(name, "sleeps", LOOK_EVERY, asleep)
    }

    /// Waits until an app holds so many requests.
    pub(crate) fn wait_held(self, name: &str, count: usize) -> Result<()> {
        let what = format!("holds {count} requests");
        self.wait(name, &what, LOOK_EVERY, |app| app["held"].as_u64() == Some(count as u64))
    }

    /// Waits until its status is as wanted; asks again after `every`.
    pub(crate) fn wait(
        self,
        name: &str,
        what: &str,
        every: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let app = self.app(name)?;
            if holds(&app) {
                return Ok(());
            }
            if begun.elapsed() > WITHIN {
                return Err(Error::new(format!("it cannot be seen that {name} {what}: {app}")));
            }
            clock::pause(every);
        }
    }

    fn ask(self, method: &str, path: &str) -> Result<Value> {
        let (status, body) = self.call(method, path).map_err(Error::of(format!("{method} {path}")))?;
        if !(200..300).contains(&status) {
            return Err(Error::new(format!("{method} {path} got {status}: {body}")));
        }
        serde_json::from_str(&body).map_err(Error::of(format!("the answer to {method} {path} is no JSON")))
    }

    fn call(self, method: &str, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(WITHIN))?;
        let port = self.port;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status.zip(body).ok_or_else(|| io::Error::other("the answer is cut off"))
    }
}
