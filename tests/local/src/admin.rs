//! The admin port as its users see it: JSON, plain text, and metrics.

use std::time::Duration;

use serde_json::Value;

use crate::{
    http::{Answer, Conn},
    wait::until,
};

/// The admin port of one Reveille.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    /// Its port.
    pub port: u16,
}

impl Admin {
    /// Sends a request as it is, with the Host that belongs to this port.
    ///
    /// # Panics
    /// If no answer comes.
    #[track_caller]
    pub fn call(self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut conn = Conn::open(self.port);
        let host = format!("127.0.0.1:{}", self.port);
        let body = body.map_or_else(
            || "Content-Length: 0\r\n\r\n".to_owned(),
            |body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        );
        conn.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{body}"));
        conn.answer()
    }

    /// Sends a request with these fields besides, such as a key.
    ///
    /// # Panics
    /// If no answer comes.
    #[track_caller]
    pub fn call_with(self, method: &str, path: &str, fields: &str, body: &str) -> Answer {
        let mut conn = Conn::open(self.port);
        let fields = format!(
            "Host: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}",
            self.port,
            body.len()
        );
        conn.send(format!("{method} {path} HTTP/1.1\r\n{fields}\r\n{body}"));
        conn.answer()
    }

    /// Whether it says that it is ready; false too while nobody listens.
    pub fn is_ready(self) -> bool {
        let Ok(mut conn) = Conn::try_open(self.port) else { return false };
        let request = format!("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        conn.try_send(request).is_ok() && conn.try_answer("GET").is_ok_and(|answer| answer.status() == 200)
    }

    /// The status of one app.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn app(self, name: &str) -> Value {
        let answer = self.call("GET", &format!("/api/v1/apps/local/{name}"), None);
        assert_eq!(answer.status(), 200, "status of {name}: {}", answer.text());
        answer.json()
    }

    /// The names of all apps.
    ///
    /// # Panics
    /// If the list does not come.
    #[track_caller]
    pub fn names(self) -> Vec<String> {
        let list = self.call("GET", "/api/v1/apps", None).json();
        let apps = list["apps"].as_array().cloned().unwrap_or_default();
        apps.iter().filter_map(|app| Some(app["name"].as_str()?.to_owned())).collect()
    }

    /// The phase of one app.
    #[track_caller]
    pub fn phase(self, name: &str) -> String {
        self.app(name)["phase"].as_str().expect("a status has a phase").to_owned()
    }

    /// The number of requests that one app holds.
    #[track_caller]
    pub fn held(self, name: &str) -> u64 {
        self.app(name)["held"].as_u64().expect("a status counts what is held")
    }

    /// The number of one app's requests in flight, held ones included.
    #[track_caller]
    pub fn in_flight(self, name: &str) -> u64 {
        self.app(name)["inFlight"].as_u64().expect("a status counts what is in flight")
    }

    /// Waits until one app is in a phase.
    #[track_caller]
    pub fn await_phase(self, name: &str, phase: &str, limit: Duration) -> Duration {
        until(&format!("{name} is {phase}"), limit, || self.phase(name) == phase)
    }

    /// Waits until one app holds so many requests.
    #[track_caller]
    pub fn await_held(self, name: &str, held: u64, limit: Duration) -> Duration {
        until(&format!("{name} holds {held}"), limit, || self.held(name) == held)
    }

    /// Asks for a wake.
    #[track_caller]
    pub fn wake(self, name: &str) -> Answer {
        self.call("POST", &format!("/api/v1/apps/local/{name}/wake"), None)
    }

    /// Asks for a sleep; the body may be left out.
    #[track_caller]
    pub fn sleep(self, name: &str, body: Option<&str>) -> Answer {
        self.call("POST", &format!("/api/v1/apps/local/{name}/sleep"), body)
    }

    /// The metrics as text.
    #[track_caller]
    pub fn metrics(self) -> String {
        let answer = self.call("GET", "/metrics", None);
        assert_eq!(answer.status(), 200, "metrics: {}", answer.text());
        answer.text()
    }

    /// The sum of all series of a metric that carry these labels.
    #[track_caller]
    pub fn metric(self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.metrics(), name, labels)
    }

    /// The values of one label of a metric of one app, with their series' values.
    #[track_caller]
    pub fn by_label(self, name: &str, app: &str, label: &str) -> Vec<(String, f64)> {
        let text = self.metrics();
        let mut values: Vec<(String, f64)> = Vec::new();
        for line in series(&text, name).filter(|line| line.contains(&format!("app=\"{app}\""))) {
            let Some(value) = line.split(&format!("{label}=\"")).nth(1) else { continue };
            let value = value.split('"').next().unwrap_or_default();
            values.push((value.to_owned(), number(line)));
        }
        values
    }
}

fn series<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(move |line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    })
}

fn number(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let carries =
        |line: &&str| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")));
    series(text, name).filter(carries).map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_by_name_and_labels() {
        let text = "# TYPE a counter\na{app=\"x\",outcome=\"ready\"} 2\na{app=\"x\",outcome=\"deadline\"} 1\n\
                    a_bucket{app=\"x\"} 9\na{app=\"y\",outcome=\"ready\"} 4\nb 7\n";
        assert_eq!(sum(text, "a", &[("app", "x")]), 3.0);
        assert_eq!(sum(text, "a", &[("outcome", "ready")]), 6.0);
        assert_eq!(sum(text, "b", &[]), 7.0);
        assert_eq!(sum(text, "c", &[]), 0.0);
    }
}
