//! Other people's clients: curl and h2load.

use std::process::Command;

use crate::{product, report::skipped};

/// What curl made of a request.
#[derive(Clone, Debug)]
pub struct Curled {
    /// `2` or `1.1`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The head and, after it, the trailers, as curl prints them.
    pub head: String,
    /// What curl complained of.
    pub said: String,
    /// How it ended: 0 if all was well.
    pub exit: i32,
}

/// Runs curl over HTTP/2 with prior knowledge: more arguments, then a path.
///
/// # Panics
/// If there is no curl.
pub fn curl(port: u16, path: &str, more: &[&str]) -> Curled {
    let curl = product::find("curl").expect("curl is missing: `apt-get install curl`");
    let output = Command::new(curl)
        .args([
            "--silent",
            "--show-error",
            "--http2-prior-knowledge",
            "--include",
            "--max-time",
            "60",
            "--noproxy",
            "*",
        ])
        .args(["--write-out", "%{stderr}\n%{http_version} %{http_code} %{size_header}"])
        .args(more)
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("curl can be started");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let (said, last) = stderr.rsplit_once('\n').unwrap_or(("", &stderr));
    let words: Vec<&str> = last.split(' ').collect();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let (head, body) = output.stdout.split_at(end);
    Curled {
        version: words.first().copied().unwrap_or_default().to_owned(),
        status: words.get(1).and_then(|code| code.parse().ok()).unwrap_or(0),
        body: body.to_vec(),
        head: String::from_utf8_lossy(head).into_owned(),
        said: said.to_owned(),
        exit: output.status.code().unwrap_or(-1),
    }
}

/// What h2load counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that it was to make.
    pub total: u64,
    /// Those that got a status below 400.
    pub succeeded: u64,
    /// Those that failed, errors and time-outs among them.
    pub failed: u64,
    /// Those that got a status of 2xx.
    pub ok: u64,
    /// All that it printed.
    pub said: String,
}

/// Runs h2load: so many requests in all, over so many connections with so many streams each. `None`, and a line in the
/// report, where there is none.
///
/// # Panics
/// If it does not end well, or prints something else than it does.
pub fn h2load(test: &str, port: u16, path: &str, [requests, clients, streams]: [u32; 3]) -> Option<Load> {
    let Some(h2load) = product::find("h2load") else {
        skipped(test, "h2load is not installed (`apt-get install nghttp2-client`)");
        return None;
    };
    let output = Command::new(h2load)
        .args([format!("-n{requests}"), format!("-c{clients}"), format!("-m{streams}")])
        .args(["--connection-active-timeout=60", &format!("http://127.0.0.1:{port}{path}")])
        .output()
        .expect("h2load can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "h2load: {said} {}", String::from_utf8_lossy(&output.stderr));
    let number = |line: &str, label: &str| -> u64 {
        let line = said.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
        let part = line.split(", ").find_map(|part| part.trim().strip_suffix(label));
        part.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no {label}: {said}"))
    };
    Some(Load {
        total: number("requests: ", " total"),
        succeeded: number("requests: ", " succeeded"),
        failed: number("requests: ", " failed"),
        ok: number("status codes: ", " 2xx"),
        said,
    })
}
