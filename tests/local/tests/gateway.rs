//! The shared port: hosts choose the app.

use reveille_tests_local::{App, Conn, Reveille, app::file, ports};

use crate::support::problem;

struct Gateway {
    port: u16,
    reveille: Reveille,
    web: App,
    _other: App,
}

fn gateway() -> Gateway {
    let port = ports::free();
    let web = App::slow("web").env("SLOW_NAME", "web").set("hosts: [web.localhost, www.example.org]");
    let other = App::slow("other").env("SLOW_NAME", "other").set("hosts: [other.localhost]");
    let yaml = format!("gateway: \"127.0.0.1:{port}\"\n{}", file(&[&web, &other]));
    Gateway { port, reveille: Reveille::start(&yaml), web, _other: other }
}

impl Gateway {
    fn ask(&self, host: &str) -> reveille_tests_local::Answer {
        let mut conn = Conn::open(self.port);
        conn.send(format!("GET /name HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        conn.answer()
    }
}

#[test]
fn the_host_chooses_the_app_in_any_case_and_with_any_port() {
    let gateway = gateway();
    for (host, name) in [
        ("web.localhost", "web"),
        ("WEB.Localhost", "web"),
        ("www.example.org:8080", "web"),
        ("other.localhost", "other"),
    ] {
        let answer = gateway.ask(host);
        assert_eq!(answer.status(), 200, "{host}: {}", answer.text());
        assert_eq!(answer.json()["name"], name, "{host}");
    }
    gateway.reveille.stop();
}

#[test]
fn one_connection_may_ask_several_apps() {
    let gateway = gateway();
    let mut conn = Conn::open(gateway.port);
    for (host, name) in [("web.localhost", "web"), ("other.localhost", "other"), ("web.localhost", "web")] {
        conn.send(format!("GET /name HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(conn.answer().json()["name"], name);
    }
    gateway.reveille.stop();
}

#[test]
fn an_absolute_target_chooses_the_app_too() {
    let gateway = gateway();
    let mut conn = Conn::open(gateway.port);
    conn.send("GET http://other.localhost/name HTTP/1.1\r\nHost: other.localhost\r\n\r\n");
    assert_eq!(conn.answer().json()["name"], "other");
    gateway.reveille.stop();
}

#[test]
fn an_unknown_host_is_a_404_that_names_it_escaped() {
    let gateway = gateway();
    let answer = gateway.ask("nosuch.example");
    let detail = problem(&answer, 404);
    assert!(detail.contains("nosuch.example"), "{detail}");
    for host in ["%3Cscript%3Ealert(1)%3C/script%3E", "a'b&c;d.example", "xn--.example", "localhost"] {
        let answer = gateway.ask(host);
        assert!(matches!(answer.status(), 400 | 404), "{host}: {:?}", answer.head);
        assert!(!answer.text().contains("<script>"), "{host}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{host}");
        answer.json();
    }
    let long = gateway.ask(&format!("{}.example", "a".repeat(2_000)));
    assert!(matches!(long.status(), 400 | 404), "{:?}", long.head);
    assert_eq!(gateway.web.starts(), 0, "an unknown host wakes nobody");
    gateway.reveille.stop();
}
