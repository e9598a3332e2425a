//! Files that are refused: every problem named with its line, exit 64, nothing started.

use std::{
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Instant,
};

use reveille_tests_local::{
    App,
    app::file,
    pause, ports, product,
    scratch::Scratch,
    wait::{ms, secs},
};

/// Runs `reveille local` or `check` with this file to its end; returns exit code and output.
#[track_caller]
fn run(command: &str, yaml: &str) -> (Option<i32>, String) {
    let scratch = Scratch::new("badfile");
    let path = scratch.write("reveille.yaml", yaml);
    let mut child = Command::new(product::reveille())
        .args([command, "-c"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > secs(10) {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!("reveille {command} did not end: {output:?}\n{yaml}");
        }
        pause(ms(10));
    }
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

fn with_admin(yaml: &str) -> String {
    format!("admin: \"127.0.0.1:{}\"\n{yaml}", ports::free())
}

/// What a file must be refused with: what is wrong, its text, and words that name the problem.
fn bad_files() -> Vec<(&'static str, String, Vec<String>)> {
    let (web, api) = (App::slow("web"), App::slow("api"));
    let mut same_listen = api.again();
    same_listen.listen = web.listen;
    let mut same_upstream = api.again();
    same_upstream.upstream = web.upstream;
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    vec![
        ("no YAML", "apps: [".into(), words(&["reveille.yaml"])),
        ("nothing", String::new(), words(&["apps"])),
        ("an unknown field", file(&[&web.again().set("idel: {ttl: 1s}")]), words(&["idel"])),
        ("an unknown field within", file(&[&web.again().set("idle: {tll: 1s}")]), words(&["tll"])),
        ("a value out of range", file(&[&web.again().set("idle: {ttl: 1ms}")]), words(&["ttl", "100ms"])),
        ("a duration without a unit", file(&[&web.again().set("idle: {ttl: 30}")]), words(&["30", "unit"])),
        ("a name that is none", file(&[&App::slow("Web_1")]), words(&["name", "'W'"])),
        ("one name twice", file(&[&web, &App::slow("web")]), words(&["web"])),
        ("two apps on one port", file(&[&web, &same_listen]), vec![web.listen.to_string()]),
        ("two apps on one upstream port", file(&[&web, &same_upstream]), vec![web.upstream.to_string()]),
        (
            "a missing program",
            file(&[&web.again().command(&["/no/such/program"])]),
            words(&["/no/such/program"]),
        ),
        ("no command", file(&[&web.again().command(&[])]), words(&["command"])),
        ("no ports", file(&[&web.again().set("ports: []")]), words(&["ports"])),
        (
            "an address that is none",
            file(&[&web.again().set("ports: [{listen: \"nowhere\", upstream: \"127.0.0.1:9\"}]")]),
            words(&["nowhere"]),
        ),
        (
            "one host for two apps",
            file(&[&web.again().set("hosts: [x.localhost]"), &api.again().set("hosts: [X.localhost]")]),
            words(&["x.localhost"]),
        ),
    ]
}

#[test]
fn bad_files_are_refused_with_the_problem_and_its_line() {
    for (what, yaml, words) in bad_files() {
        let yaml = with_admin(&yaml);
        for command in ["local", "check"] {
            let (code, said) = run(command, &yaml);
            let expected: &[i32] = if command == "local" { &[64] } else { &[1, 64] };
            assert!(code.is_some_and(|code| expected.contains(&code)), "{what}, {command}: {code:?} {said}");
            for word in &words {
                assert!(
                    said.to_lowercase().contains(&word.to_lowercase()),
                    "{what}, {command}: no {word:?} in {said}"
                );
            }
            assert!(said.contains("reveille.yaml"), "{what}, {command}: the file is not named: {said}");
        }
    }
}

#[test]
fn every_problem_of_a_file_is_named_at_once_with_its_line() {
    let broken =
        App::slow("web").set("idle: {ttl: 1ms}").set("concurrency: 0").command(&["/no/such/program"]);
    let other = App::slow("api").set("wake: {deadline: 1ms}");
    let yaml = with_admin(&file(&[&broken, &other]));
    for command in ["check", "local"] {
        let (_, said) = run(command, &yaml);
        for word in ["idle.ttl", "concurrency", "/no/such/program", "wake.deadline"] {
            assert!(said.contains(word), "{command}: no {word} in {said}");
        }
        let line = yaml.lines().position(|line| line.contains("deadline")).unwrap() + 1;
        assert!(
            said.contains(&format!("reveille.yaml:{line}")),
            "{command}: line {line} is not named: {said}"
        );
    }
}

#[test]
fn a_port_in_use_is_refused_and_nothing_is_started() {
    let (web, api) = (App::slow("web"), App::slow("api"));
    let squatter = TcpListener::bind(("127.0.0.1", api.listen)).unwrap();
    let (code, said) = run("local", &with_admin(&file(&[&web, &api])));
    assert_eq!(code, Some(64), "{said}");
    assert!(
        said.contains(&api.listen.to_string()) && said.contains("apps[1]"),
        "it names port and app: {said}"
    );
    assert_eq!(web.starts() + api.starts(), 0);
    assert!(TcpStream::connect(("127.0.0.1", web.listen)).is_err());
    drop(squatter);
}

#[test]
fn a_missing_file_is_named() {
    let output =
        Command::new(product::reveille()).args(["local", "-c", "/no/such/file.yaml"]).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("/no/such/file.yaml"), "{said}");
}

#[test]
fn a_good_file_is_good() {
    let app = App::slow("web").set("idle: {ttl: 30s}").set("hosts: [web.localhost]");
    let yaml = format!("gateway: \"127.0.0.1:{}\"\n{}", ports::free(), file(&[&app]));
    let (code, said) = run("check", &with_admin(&yaml));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(app.starts(), 0, "a check starts nothing");
}
