//! Keys: made by the command, asked for by the API, taken over when their file changes.

use std::{
    io::Read,
    process::{Command, Output, Stdio},
};

use nix::sys::signal::Signal;
use reveille_tests_local::{
    Admin, App, Reveille, app::file, ports, process::Process, product, scratch::Scratch, until, wait::secs,
};
use serde_json::Value;

use crate::support::{SOON, problem};

fn reveille(arguments: &[&str]) -> Output {
    let mut command = Command::new(product::reveille());
    command.args(arguments).env_remove("REVEILLE_KEYS").output().unwrap()
}

/// A new key, and its line.
#[track_caller]
fn make(arguments: &[&str]) -> (String, String) {
    let output = reveille(&[&["key", "new", "--output", "json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["line"].as_str().unwrap().to_owned())
}

fn with(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

fn wake(admin: Admin, key: &str) -> reveille_tests_local::Answer {
    admin.call_with("POST", "/api/v1/apps/local/web/wake", &with(key), "")
}

#[test]
fn the_api_asks_for_a_key_and_follows_the_file() {
    let app = App::slow("web").set("idle: {ttl: never}");
    let folder = Scratch::new("keys");
    let (admin_key, admin_line) = make(&["admin", "--namespace", "*"]);
    let (reader, reader_line) = make(&["grafana", "--namespace", "local", "--read"]);
    let (elsewhere, elsewhere_line) = make(&["ml-ci", "--namespace", "ml"]);
    let keys = folder.write("keys", &format!("# keys\n{admin_line}\n{reader_line}\n{elsewhere_line}\n"));
    let server = Reveille::start_with(&file(&[&app]), &["--keys", keys.to_str().unwrap()]);
    let admin = server.admin;
    for path in ["/livez", "/readyz", "/health", "/ready", "/metrics"] {
        assert_eq!(admin.call("GET", path, None).status(), 200, "{path} is open");
    }
    let answer = admin.call("GET", "/api/v1/apps", None);
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"reveille\""));
    problem(&answer, 401);
    assert_eq!(wake(admin, &admin_key).status(), 202);
    assert!(problem(&wake(admin, &reader), 403).contains("namespace local"));
    assert!(problem(&wake(admin, &elsewhere), 403).contains("namespace local"));
    assert_eq!(admin.call_with("GET", "/api/v1/apps/local/web", &with(&reader), "").status(), 200);
    let seen = admin.call_with("GET", "/api/v1/apps", &with(&elsewhere), "").json();
    assert_eq!(seen["apps"], Value::Array(Vec::new()), "a key sees its namespaces");
    assert_eq!(admin.metric("reveille_api_auth_failures_total", &[("reason", "missing")]), 1.0);
    assert_eq!(admin.metric("reveille_api_auth_failures_total", &[("reason", "forbidden")]), 2.0);
    let audit = server.logged("action");
    assert_eq!((&audit[0].0["who"], &audit[0].1), (&"admin".into(), &"wake".into()));
    assert!(!server.log().contains(&admin_key), "a key is never logged");

    // The commands, by option, by file and by variable.
    let told = server.cli(&["status"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("REVEILLE_KEY_FILE"), "{told:?}");
    assert_eq!(server.cli(&["status", "--key", &reader]).status.code(), Some(0));
    let key_file = folder.write("key", &format!("{reader}\n"));
    assert_eq!(
        server.cli(&["status", "web", "--key-file", key_file.to_str().unwrap()]).status.code(),
        Some(0)
    );
    assert_eq!(server.cli(&["sleep", "web", "--key", &reader]).status.code(), Some(1));

    // A mistake changes nothing; a key that is taken out is good no longer.
    folder.write("keys", &format!("{admin_line}\nnonsense\n"));
    until("the mistake is told", SOON, || server.log().contains("line 2: a key has 4 words"));
    assert_eq!(admin.call_with("GET", "/api/v1/apps", &with(&reader), "").status(), 200);
    folder.write("keys", &format!("{admin_line}\n"));
    until("the key is no longer good", secs(5), || {
        admin.call_with("GET", "/api/v1/apps", &with(&reader), "").status() != 200
    });
    assert_eq!(wake(admin, &admin_key).status(), 202);
    server.stop();
}

#[test]
fn who_fails_too_often_is_told_to_wait() {
    let app = App::slow("web");
    let folder = Scratch::new("keys");
    let (key, line) = make(&["ci", "--namespace", "*"]);
    let keys = folder.write("keys", &line);
    let server = Reveille::start_with(&file(&[&app]), &["--keys", keys.to_str().unwrap()]);
    let statuses: Vec<_> = (0..12).map(|_| wake(server.admin, "reveille_guess").status()).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert!(statuses[10..].contains(&429), "{statuses:?}");
    assert_eq!(wake(server.admin, &key).status(), 202, "a good key passes all the same");
    server.stop();
}

#[test]
fn an_admin_port_that_others_reach_needs_keys_or_the_word_for_it() {
    let app = App::slow("web");
    let folder = Scratch::new("wide");
    let config = folder.write("reveille.yaml", &file(&[&app]));
    let port = ports::free();
    let admin = format!("0.0.0.0:{port}");
    let arguments = ["local", "-c", config.to_str().unwrap(), "--admin", &admin];
    let refused = reveille(&arguments);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("asks for no key") && said.contains("--allow-anonymous"), "{said}");

    let bad_keys = folder.write("keys", "ci abc * scale\n");
    let refused = reveille(&[&arguments[..], &["--keys", bad_keys.to_str().unwrap()]].concat());
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("line 1: the SHA-256 is 64 hexadecimal digits"),
        "{refused:?}"
    );
    assert_eq!(reveille(&[&arguments[..], &["--keys", "/nowhere"]].concat()).status.code(), Some(64));

    let mut child = Command::new(product::reveille())
        .args(arguments)
        .arg("--allow-anonymous")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let anyone = Admin { port };
    until("it serves", secs(20), || anyone.is_ready());
    assert_eq!(anyone.call("GET", "/api/v1/apps", None).status(), 200);
    let process = Process::of(child.id()).unwrap();
    process.signal(Signal::SIGTERM);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(
        said.contains("WARN") && said.contains("--allow-anonymous: the admin port can be reached by others"),
        "{said}"
    );
}

#[test]
fn a_key_is_printed_once_with_its_line() {
    let output = reveille(&["key", "new", "ci", "--namespace", "team-a,ml"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("reveille_") && lines[1].len() == 73, "{text}");
    assert!(lines[4].starts_with("ci ") && lines[4].ends_with(" team-a,ml scale"), "{text}");
    // As anybody can find out.
    let sum =
        Command::new("sh").args(["-c", &format!("printf %s {} | sha256sum", lines[1])]).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(lines[4].split(' ').nth(1), sum.split(' ').next());
    assert_eq!(reveille(&["key", "new", "CI", "--namespace", "a"]).status.code(), Some(2));
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = reveille(&["completions", shell]);
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("reveille") && script.contains("watch"), "{shell}");
    }
    let script = Scratch::new("completions");
    let path =
        script.write("reveille.bash", &String::from_utf8(reveille(&["completions", "bash"]).stdout).unwrap());
    let check = Command::new("bash").arg("-n").arg(path).output().unwrap();
    assert!(check.status.success(), "{check:?}");
}
