//! The load: wrk for HTTP/1.1, h2load for HTTP/2. Both keep a fixed number of requests on their way.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    messages::Carrier,
};

/// What a run came to.
pub(crate) struct Load {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Further ones, before those that count.
    pub(crate) warm_up: u64,
    pub(crate) took: Duration,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// A load on one port.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    Wrk {
        connections: u32,
        path: &'static str,
        script: Option<&'static str>,
    },
    H2load {
        clients: u32,
        streams: u32,
        path: &'static str,
        grpc: bool,
    },
    /// Not a fixed number on their way, but so many requests a second: `steady.rs`.
    Steady {
        rate: u32,
    },
    /// Messages back and forth: `messages.rs`.
    Messages(Carrier),
}

/// What wrk does for each request, in its own words.
pub(crate) const UPLOAD: &str = "wrk.method = 'POST'\nwrk.body = string.rep('u', 1048576)\n";
pub(crate) const CLOSE: &str = "wrk.headers['Connection'] = 'close'\n";

/// wrk's or h2load's run on one core.
pub(crate) fn run(tool: Tool, port: u16, seconds: u64, folder: &Path, core: usize) -> Result<Load> {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]);
    match tool {
        Tool::Wrk { connections, path, script } => {
            command.args(["wrk", "-t1", "-c", &connections.to_string(), "-d", &format!("{seconds}s")]);
            if let Some(script) = script {
                let file = folder.join("wrk.lua");
                std::fs::write(&file, script).map_err(Error::of("wrk's script cannot be written"))?;
                command.arg("-s").arg(file);
            }
            command.arg(format!("http://127.0.0.1:{port}{path}"));
            wrk(&mut command)
        }
        Tool::H2load { clients, streams, path, grpc } => {
            let (clients, streams) = (clients.to_string(), streams.to_string());
            command.args(["h2load", "-t1", "-c", &clients, "-m", &streams, "-D", &seconds.to_string()]);
            if grpc {
                let file = folder.join("message");
                // A message of 100 bytes behind its prefix.
                let message = [&[0, 0, 0, 0, 100][..], &[b'm'; 100]].concat();
                std::fs::write(&file, message).map_err(Error::of("the message cannot be written"))?;
                command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
                command.arg("-d").arg(file);
            }
            command.arg(format!("http://127.0.0.1:{port}{path}"));
            h2load(&mut command)
        }
        Tool::Steady { .. } | Tool::Messages(_) => Err(Error::new("this load has a runner of its own")),
    }
}

/// Runs it, and gives what it said and how long it took.
fn said(command: &mut Command) -> Result<(String, Duration)> {
    let begun = Instant::now();
    let output = command.output().map_err(Error::of("the load cannot be started"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::new(format!("the load ended with {}: {text}{why}", output.status)));
    }
    Ok((text, begun.elapsed()))
}

fn wrk(command: &mut Command) -> Result<Load> {
    let (text, took) = said(command)?;
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return Err(Error::new(format!("wrk saw errors:\n{text}")));
    }
    let requests = text.lines().find(|line| line.contains(" requests in "));
    let requests = requests.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let requests = requests.ok_or_else(|| Error::new(format!("wrk said no number:\n{text}")))?;
    Ok(Load { requests, warm_up: 0, took })
}

fn h2load(command: &mut Command) -> Result<Load> {
    let (text, took) = said(command)?;
    // "requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout"
    let line = text.lines().find(|line| line.starts_with("requests: ")).unwrap_or_default();
    let count = |word: &str| {
        let part = line.split(", ").find(|part| part.ends_with(word))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    match (count("succeeded"), count("failed"), count("errored")) {
        (Some(requests), Some(0), Some(0)) if requests > 0 => Ok(Load { requests, warm_up: 0, took }),
        _ => Err(Error::new(format!("h2load saw errors:\n{text}"))),
    }
}
