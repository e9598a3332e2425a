//! The Scale API, schedules, keys and events, and the commands for them: by real HTTP against the real program.

mod events;
mod keys;
mod saving;
mod scale;
mod schedule;

use std::{path::Path, process::Command};

use reveille_tests_local::{App, report::skipped};

use crate::support::start;

/// schemathesis makes requests from the description: right ones, wrong ones, and some after each other. None may end in a
/// server error, in a status that is not described for it, or in a body that is not as described.
#[test]
fn every_call_that_the_description_allows_is_answered_as_it_says() {
    let test = "every_call_that_the_description_allows_is_answered_as_it_says";
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = here.join("../../target/tools/schemathesis/bin/st");
    if !here.join("../../target/tools/schemathesis/complete").exists() {
        skipped(test, "schemathesis is not there (`scripts/need.sh schemathesis`)");
        return;
    }
    let app = App::slow("web").set("idle: {ttl: never}");
    let reveille = start(&[&app]);
    let url = format!("http://127.0.0.1:{}/openapi.json", reveille.admin.port);
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let output = Command::new(program)
        .args(["--no-color", "run", &url, "--checks", checks, "--max-examples", "30"])
        // A stream of events has no end; it has tests of its own.
        .args([
            "--exclude-path",
            "/api/v1/events",
            "--suppress-health-check",
            "all",
            "--request-timeout",
            "30",
        ])
        // It keeps what it found in the folder that it runs in.
        .current_dir(app.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "schemathesis: {}\n{said}", output.status);
    assert!(said.contains("13 selected"), "it saw every call:\n{said}");
    reveille.stop();
}
