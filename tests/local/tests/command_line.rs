//! The commands and their exit codes: 0, 1 (refused or failed), 2 (usage), 3 (server out of reach).

use std::process::{Command, Output};

use reveille_tests_local::{App, get, ports, product, report};

use crate::support::{SOON, start};

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "standard output:\n{out}\nstandard error:\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    format!("{out}{err}")
}

fn reveille(arguments: &[&str]) -> Output {
    Command::new(product::reveille()).args(arguments).env_remove("REVEILLE_SERVER").output().unwrap()
}

#[test]
fn status_shows_apps_as_a_table_or_as_json() {
    let (web, api) = (App::slow("web"), App::slow("api-with-a-rather-long-name-that-fills-the-table"));
    let server = start(&[&web, &api]);
    let table = expect(&server.cli(&["status"]), 0);
    assert!(table.contains("web") && table.contains("Asleep"), "{table}");
    assert!(table.contains(&api.name) && !table.contains('…'), "cut, though no terminal reads it:\n{table}");
    assert!(!table.contains('\u{1b}'), "colours only on a terminal: {table:?}");
    let one = expect(&server.cli(&["status", "web"]), 0);
    assert!(one.contains("web") && !one.contains("api-with"), "{one}");

    let output = server.cli(&["status", "--output", "json"]);
    expect(&output, 0);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let apps = json["apps"].as_array().or_else(|| json.as_array()).expect("a list of apps");
    assert_eq!(apps.len(), 2, "{json}");
    let output = server.cli(&["status", "web", "--output", "json"]);
    expect(&output, 0);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let app = if json["phase"].is_string() { &json } else { &json["apps"][0] };
    assert_eq!(app["phase"], "Asleep", "{json}");

    let said = expect(&server.cli(&["status", "none"]), 1);
    assert!(said.contains("none"), "{said}");
    server.stop();
}

#[test]
fn wake_waits_if_told_to() {
    let app = App::starting_in("web", 600);
    let server = start(&[&app]);
    expect(&server.cli(&["wake", "web"]), 0);
    expect(&server.cli(&["wake", "web", "--wait"]), 0);
    assert_eq!(server.admin.phase("web"), "Awake");
    assert_eq!(app.starts(), 1);
    expect(&server.cli(&["wake", "none"]), 1);
    server.stop();
}

#[test]
fn a_wake_that_is_waited_for_shows_its_steps() {
    let app = App::starting_in("web", 600);
    let server = start(&[&app]);
    let said = expect(&server.cli(&["wake", "web", "--wait"]), 0);
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what}: {said}"));
    assert!(at("Starting") < at("Probing") && at("Probing") < at("is awake after"), "{said}");
    let output = server.cli(&["wake", "web", "--wait", "--output", "json"]);
    expect(&output, 0);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["phase"], "Awake", "{json}");
    server.stop();
}

#[test]
fn what_completes_commands_is_a_script_of_its_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = reveille(&["completions", shell]);
        let script = expect(&output, 0);
        for command in ["status", "watch", "wake", "sleep"] {
            assert!(script.contains(command), "{shell}: no {command}");
        }
        // Bash is there wherever these tests run; of the others only where somebody has put them.
        let path = std::env::temp_dir().join(format!("reveille-completions-{}-{shell}", std::process::id()));
        std::fs::write(&path, &output.stdout).unwrap();
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(parsed) => assert!(parsed.status.success(), "{shell}: {parsed:?}"),
            Err(error) => {
                assert!(shell != "bash", "bash -n: {error}");
                report::skipped("command_line completions", &format!("{shell} -n: {error}"));
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_wake_that_fails_shows_its_owner_what_the_app_printed() {
    let app = App::starting_in("broken", 200).env("SLOW_EXIT", "3");
    let server = start(&[&app]);
    let said = expect(&server.cli(&["wake", "broken", "--wait"]), 1);
    assert!(said.contains("the-secret-output-of-the-app"), "{said}");
    assert!(said.contains('3'), "it names the exit code: {said}");
    server.stop();
}

#[test]
fn sleep_puts_it_to_sleep() {
    let app = App::slow("web").set("idle: {ttl: never}");
    let server = start(&[&app]);
    assert_eq!(get(app.listen, "/").status(), 200);
    expect(&server.cli(&["sleep", "web"]), 0);
    server.admin.await_phase("web", "Asleep", SOON);
    expect(&server.cli(&["sleep", "none"]), 1);
    server.stop();
}

#[test]
fn a_server_out_of_reach_is_exit_3_and_named() {
    let url = format!("http://127.0.0.1:{}", ports::free());
    for command in
        [&["status"][..], &["watch"], &["wake", "web"], &["wake", "web", "--wait"], &["sleep", "web"]]
    {
        let arguments = [command, &["--server", &url]].concat();
        let said = expect(&reveille(&arguments), 3);
        assert!(said.contains(&url[7..]), "{command:?}: {said}");
    }
}

#[test]
fn wrong_usage_is_exit_2() {
    for arguments in [
        &["stauts"][..],
        &["wake"],
        &["status", "--output", "xml"],
        &["status", "--server", "not a url"],
        &[],
    ] {
        let said = expect(&reveille(arguments), 2);
        assert!(!said.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_exit_0() {
    assert!(expect(&reveille(&["--version"]), 0).contains("reveille"));
    for command in ["local", "status", "wake", "sleep", "check"] {
        let help = expect(&reveille(&[command, "--help"]), 0);
        assert!(help.contains("Usage"), "{command}: {help}");
    }
}
