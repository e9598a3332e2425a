//! A real Prometheus that scrapes one Reveille, with the rules of this repository.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::SystemTime,
};

use serde_json::Value;

use crate::{
    admin::Admin,
    http::Conn,
    ports, product,
    scratch::Scratch,
    wait::{secs, until},
};

/// A running Prometheus. It is killed when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    child: Child,
    scratch: Scratch,
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Seconds since the epoch, as its API takes them.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970").as_secs_f64()
}

impl Prometheus {
    /// Starts it, if this machine has one, and waits until it has scraped Reveille. It scrapes twice a second and looks
    /// at the rules once a second.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn start(admin: Admin) -> Option<Self> {
        let program = product::find("prometheus")?;
        let scratch = Scratch::new("prometheus");
        let config = serde_json::json!({ // JSON is YAML
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "rule_files": [repository("deploy/prometheus/rules.yaml")],
            "scrape_configs": [{
                "job_name": "reveille",
                "honor_labels": true,
                "static_configs": [{"targets": [format!("127.0.0.1:{}", admin.port)]}],
            }],
        });
        let port = ports::free();
        let log = File::create(scratch.file("log")).expect("the test's own folder can be written");
        let child = Command::new(program)
            .arg(format!("--config.file={}", scratch.write("prometheus.yaml", &config.to_string()).display()))
            .arg(format!("--storage.tsdb.path={}", scratch.file("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect("prometheus can be started");
        let mut this = Self { port, child, scratch };
        until("prometheus has scraped reveille", secs(30), || {
            let ended = this.child.try_wait().expect("it is a child of this process");
            assert!(ended.is_none(), "prometheus ended instead of starting: {}", this.log());
            this.is_ready() && this.now(r#"up{job="reveille"} == 1"#) == 1
        });
        Some(this)
    }

    fn is_ready(&self) -> bool {
        let Ok(mut conn) = Conn::try_open(self.port) else { return false };
        conn.try_send("GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok()
            && conn.try_answer("GET").is_ok_and(|answer| answer.status() == 200)
    }

    /// How many series a query finds at this moment.
    #[track_caller]
    pub fn now(&self, query: &str) -> usize {
        let answer = self.ask("query", &[("query", query)]);
        answer["result"].as_array().map_or(0, Vec::len)
    }

    /// All numbers that a query finds from a moment until now, second by second.
    #[track_caller]
    pub fn since(&self, start: f64, query: &str) -> Vec<f64> {
        let (start, end) = (start.to_string(), now().to_string());
        let answer =
            self.ask("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", "1")]);
        let series = answer["result"].as_array().into_iter().flatten();
        let samples = series.filter_map(|series| series["values"].as_array()).flatten();
        samples.filter_map(|sample| sample[1].as_str()?.parse().ok()).collect()
    }

    /// What it knows of all rules: name, health, and what kept one from being evaluated.
    #[track_caller]
    pub fn rules(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answer = self.ask("rules", &[]);
        let groups = answer["groups"].as_array().into_iter().flatten();
        let rules = groups.filter_map(|group| group["rules"].as_array()).flatten();
        rules.map(|rule| (text(&rule["name"]), text(&rule["health"]), text(&rule["lastError"]))).collect()
    }

    /// The alerts that fire, each with the app that it names.
    #[track_caller]
    pub fn firing(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answer = self.ask("alerts", &[]);
        let alerts = answer["alerts"].as_array().into_iter().flatten();
        let firing = alerts.filter(|alert| alert["state"] == "firing").map(|alert| &alert["labels"]);
        firing.map(|labels| (text(&labels["alertname"]), text(&labels["app"]))).collect()
    }

    #[track_caller]
    fn ask(&self, call: &str, parameters: &[(&str, &str)]) -> Value {
        let mut path = format!("/api/v1/{call}?");
        for (key, value) in parameters {
            path += &format!("{key}={}&", encoded(value));
        }
        let mut conn = Conn::open(self.port);
        conn.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = conn.answer();
        assert_eq!(answer.status(), 200, "{call} {parameters:?}: {}", answer.text());
        answer.json()["data"].take()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.file("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}
