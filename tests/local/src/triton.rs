//! A real Triton as an app, as `scripts/need.sh triton` has installed it, and its own clients.
//!
//! It runs on a CPU with models of `tests/triton/`: the one named `resnet50` has the real one's tensors and
//! random weights, which the clients know, too, so that a wrong answer shows.

mod client;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    app::{Alone, App},
    ports,
    process::Process,
    report,
    reveille::Reveille,
};

pub use client::{Call, Client, Failure, Said};

/// A Triton to declare.
#[derive(Debug)]
pub struct Triton {
    /// As an app: three ports, preset `triton`.
    pub app: App,
    /// Where clients reach its HTTP port.
    pub http: u16,
    /// Where clients reach its gRPC port.
    pub grpc: u16,
    /// Where its metrics are scraped.
    pub metrics: u16,
}

/// The root of this repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package lies two folders deep")
}

/// The Python of the `server` or of the `client`.
fn python(whose: &str) -> PathBuf {
    root().join("target/tools/triton").join(whose).join("bin/python")
}

/// Whether Triton can run here; if not, `test` is reported as skipped, with the reason.
pub fn is_missing(test: &str) -> bool {
    let folder = root().join("target/tools/triton");
    if folder.join("complete").exists() {
        return false;
    }
    let reason = fs::read_to_string(folder.join("missing")).unwrap_or_default();
    let reason = match reason.trim() {
        "" => "Triton is not installed",
        reason => reason,
    };
    report::skipped(test, &format!("{reason} (`scripts/need.sh triton` installs it)"));
    true
}

impl Triton {
    /// One with these models of `tests/triton/models`. Each costs it a process.
    ///
    /// # Panics
    /// If they cannot be made.
    pub fn new(name: &str, models: &[&str]) -> Self {
        let app = App::new(name, Vec::new());
        let folder = app.folder().join("models");
        make_models(&folder, std::process::id(), models);
        let command = [&root().join("tests/triton/serve.sh"), &folder].map(|path| path.display().to_string());
        let [http, grpc, metrics] = [app.listen, ports::free(), ports::free()];
        let app = app.command(&command.each_ref().map(String::as_str)).set("preset: triton").set(&format!(
            "ports: [{}, {}, {}]",
            port("http", http),
            port("grpc", grpc),
            port("metrics", metrics)
        ));
        Self { app, http, grpc, metrics }
    }

    /// Sets a line of its entry, as [`App::set`] does.
    #[must_use]
    pub fn set(self, line: &str) -> Self {
        Self { app: self.app.set(line), ..self }
    }

    /// Has it load its models for so long: it needs the model `slow`.
    #[must_use]
    pub fn loading_for(self, millis: u64) -> Self {
        Self { app: self.app.env("LOAD_MS", &millis.to_string()), ..self }
    }

    /// Runs it without Reveille, on the ports where its clients look for it.
    #[must_use]
    pub fn run_alone(self) -> (Self, Alone) {
        let Self { mut app, http, grpc, metrics } = self;
        for (key, port) in [("PORT_HTTP", http), ("PORT_GRPC", grpc), ("PORT_METRICS", metrics)] {
            app = app.env(key, &port.to_string());
        }
        let alone = app.run_alone();
        (Self { app, http, grpc, metrics }, alone)
    }

    /// Starts Triton's own clients for it.
    pub fn client(&self) -> Client {
        Client::start(&python("client"), &self.app.folder().join("models/weights.npy"))
    }

    /// Starts clients that take other weights for the right ones.
    ///
    /// # Panics
    /// If those cannot be made.
    pub fn mistaken_client(&self) -> Client {
        let folder = self.app.folder().join("other");
        make_models(&folder, std::process::id() + 1, &["resnet50"]);
        Client::start(&python("client"), &folder.join("weights.npy"))
    }

    /// The Tritons that run below this Reveille.
    pub fn running(reveille: &Reveille) -> Vec<Process> {
        let is_server = |process: &Process| {
            let line = process.command_line();
            line.split(' ').next().is_some_and(|program| program.ends_with("/bin/tritonserver"))
        };
        reveille.process().descendants().into_iter().filter(is_server).collect()
    }
}

fn make_models(folder: &Path, seed: u32, models: &[&str]) {
    let made = Command::new(python("server"))
        .arg(root().join("tests/triton/make_models.py"))
        .arg(folder)
        .arg(seed.to_string())
        .args(models)
        .output()
        .expect("the server's Python can be run");
    assert!(made.status.success(), "no models: {}", String::from_utf8_lossy(&made.stderr));
}

fn port(name: &str, listen: u16) -> String {
    format!("{{name: {name}, listen: \"127.0.0.1:{listen}\"}}")
}
