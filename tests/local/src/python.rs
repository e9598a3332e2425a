//! gRPC by Python's own client, whose core is the one of most languages but Go, Java and Rust.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::report::skipped;

/// Makes these calls at once over one channel to a port of 127.0.0.1, as `python/grpc_client.py` has them, and returns
/// their replies in order. `None`, and a line in the report, where there is no such client.
///
/// # Panics
/// If the client itself fails.
#[track_caller]
pub fn grpc(test: &str, port: u16, calls: &[Value]) -> Option<Vec<Value>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../../target/tools/grpcio/bin/python");
    if !python.exists() {
        skipped(test, "Python's grpcio is not there (`scripts/need.sh grpcio`)");
        return None;
    }
    let mut client = Command::new(python)
        .arg(here.join("python/grpc_client.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let order = json!({"address": format!("127.0.0.1:{port}"), "calls": calls}).to_string();
    let mut stdin = client.stdin.take().expect("it was asked for");
    stdin.write_all(order.as_bytes()).expect("Python reads its order");
    drop(stdin);
    let output = client.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "grpc_client.py: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("it answers in JSON");
    Some(answer["replies"].as_array().expect("it lists the replies").clone())
}
