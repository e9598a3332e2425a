//! HTTP/1.1 as RFC 9112 has it, each feature with the app awake and with the request held.

use std::process::Command;

use reveille_tests_local::{App, Conn, get, product};

use crate::support::{SOON, sleep, start, start_awake};

/// Runs a check twice: with the app awake, and with the app asleep at the first request.
fn warm_and_held(check: impl Fn(&App)) {
    let app = App::starting_in("web", 300);
    let reveille = start_awake(&app);
    check(&app);
    reveille.admin.await_phase("web", "Awake", SOON);
    sleep(&reveille, "web");
    check(&app);
    assert_eq!(app.starts(), 2);
    reveille.stop();
}

#[test]
fn a_connection_carries_many_requests() {
    warm_and_held(|app| {
        let before = app.events("connection").len();
        let mut conn = Conn::open(app.listen);
        for number in 0..20 {
            let path = format!("/many/{number}");
            let answer = conn.get(&path);
            assert_eq!((answer.status(), answer.text()), (200, "ok".into()), "{path}");
        }
        // The probes of a wake are connections too.
        let opened = app.events("connection").len() - before;
        assert!(opened <= 4, "{opened} connections to the app for 20 requests of one client");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        let requests: String =
            (0..10).map(|n| format!("GET /echo?n={n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        conn.send(requests);
        for number in 0..10 {
            assert_eq!(conn.answer().json()["target"], format!("/echo?n={number}"));
        }
    });
}

#[test]
fn pipelined_requests_with_bodies_are_told_apart() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        conn.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none\
             POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
             GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        for body in ["one", "two", ""] {
            assert_eq!(conn.answer().json()["body"], body);
        }
    });
}

#[test]
fn a_request_may_come_in_pieces() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbyte" {
            conn.send([*byte]);
        }
        assert_eq!(conn.answer().json()["body"], "byte");
    });
}

#[test]
fn trailers_pass_both_ways() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        conn.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             4\r\ndata\r\n0\r\nX-Sum: 42\r\n\r\n",
        );
        let echo = conn.answer().json();
        assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "42"]]), "{echo}");

        conn.send("GET /chunked HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        let answer = conn.answer();
        assert_eq!(answer.text(), "one two three");
        assert_eq!((answer.trailer("x-sum"), answer.trailer("x-end")), (Some("13"), Some("yes")));

        // Without the client's consent they may be left out (RFC 9110, 6.5.1); the body is the same.
        assert_eq!(conn.get("/chunked").text(), "one two three");
    });
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    warm_and_held(|app| {
        for path in ["/big?bytes=5000", "/chunked", "/echo"] {
            let mut conn = Conn::open(app.listen);
            conn.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let through = conn.try_answer("HEAD").unwrap();
            assert_eq!((through.status(), through.body.len()), (200, 0), "{path}");
            assert_eq!(conn.get("/next").text(), "ok", "{path}: nothing was left on the connection");

            let mut direct = Conn::open(app.upstream);
            direct.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let direct = direct.try_answer("HEAD").unwrap();
            // Transfer-Encoding concerns one hop, and may be left out of an answer to HEAD (RFC 9110, 9.3.2).
            for name in ["content-length", "content-type"] {
                if name == "content-length" && path == "/echo" {
                    assert!(through.field(name).is_some()); // its own fields are in the body, so it varies
                } else {
                    assert_eq!(through.field(name), direct.field(name), "{path}: {name}");
                }
            }
        }
    });
}

#[test]
fn answers_without_a_body_end_at_once() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        for code in [204, 304] {
            let answer = conn.get(&format!("/status?code={code}"));
            assert_eq!((answer.status(), answer.field("x-app")), (code, Some("1")));
            assert_eq!(answer.field("transfer-encoding"), None, "{:?}", answer.head);
        }
        assert_eq!(conn.get("/next").text(), "ok");
    });
}

#[test]
fn a_client_of_http_1_0_gets_what_it_understands() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        conn.send("GET /echo HTTP/1.0\r\n\r\n");
        let answer = conn.answer();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["version"], "HTTP/1.1", "towards the app it is 1.1");
        assert!(conn.is_closed_within(SOON), "a connection of 1.0 ends after its answer");

        let mut conn = Conn::open(app.listen);
        conn.send("GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n");
        let answer = conn.answer();
        assert_eq!(answer.field("transfer-encoding"), None, "1.0 knows no chunks");
        assert_eq!(answer.text(), "one two three");

        let mut conn = Conn::open(app.listen);
        conn.send("GET /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(conn.answer().text(), "ok");
    });
}

#[test]
fn connection_close_of_either_side_is_kept_on_its_side() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        assert_eq!(conn.get("/close").text(), "closing");
        assert_eq!(conn.get("/next").text(), "ok", "that the app closes is not the client's business");
        conn.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(conn.answer().text(), "ok");
        assert!(conn.is_closed_within(SOON));
    });
}

#[test]
fn every_method_passes() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-OWN"] {
            conn.send(format!("{method} /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
            let echo = conn.answer().json();
            assert_eq!((&echo["method"], &echo["body"]), (&method.into(), &"hi".into()));
        }
    });
}

#[test]
fn targets_pass_unchanged() {
    warm_and_held(|app| {
        let mut conn = Conn::open(app.listen);
        for target in ["/echo?a=%20b&c=%2F&d=+", "/echo?", "/echo?x=//y/../z&%7e", "/echo?q=a|b"] {
            assert_eq!(conn.get(target).json()["target"], target);
        }
    });
}

#[test]
fn the_first_app_connection_is_used_again_after_reuse_was_refused() {
    // An app that closes while Reveille keeps the connection: a bodyless GET is repeated, unseen.
    warm_and_held(|app| {
        for _ in 0..20 {
            assert_eq!(get(app.listen, "/close").status(), 200);
            assert_eq!(get(app.listen, "/next").status(), 200);
        }
    });
}

#[test]
fn curl_is_content() {
    let curl = product::find("curl").expect("curl is missing: `apt-get install curl`");
    let upload = std::iter::repeat_n(b'u', 300_000).collect::<Vec<u8>>();
    warm_and_held(|app| {
        let path = app.folder().join("upload");
        std::fs::write(&path, &upload).unwrap();
        let file = format!("@{}", path.display());
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", app.listen);
        let run = |arguments: &[&str]| {
            let output = Command::new(&curl)
                .args(["-q", "--silent", "--show-error", "--fail", "--http1.1", "--max-time", "20"])
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "curl {arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&[&url("/")]), "ok");
        assert_eq!(run(&[&url("/a"), &url("/b"), &url("/chunked")]), "okokone two three");
        // Over 1 MiB curl asks first; here it is told to.
        let sunk = run(&["-H", "Expect: 100-continue", "--data-binary", &file, &url("/sink")]);
        assert!(sunk.contains("\"length\":300000"), "{sunk}");
        let sunk =
            run(&["-H", "Transfer-Encoding: chunked", "-T", &path.display().to_string(), &url("/sink")]);
        assert!(sunk.contains("\"length\":300000"), "{sunk}");
        assert!(run(&["--head", &url("/big?bytes=10")]).to_lowercase().contains("content-length: 10"));
    });
}

#[test]
fn nginx_serves_files_ranges_and_conditions() {
    let app = App::nginx("files");
    std::fs::write(app.folder().join("files/page"), "0123456789").unwrap();
    let reveille = start(&[&app]);
    let mut conn = Conn::open(app.listen);
    let page = conn.get("/files/page");
    assert_eq!((page.status(), page.text()), (200, "0123456789".into()));
    let tag = page.field("etag").expect("nginx tags its files").to_owned();
    conn.send("GET /files/page HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n");
    let part = conn.answer();
    assert_eq!(
        (part.status(), part.text(), part.field("content-range")),
        (206, "234".into(), Some("bytes 2-4/10"))
    );
    conn.send(format!("GET /files/page HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"));
    assert_eq!(conn.answer().status(), 304);
    assert_eq!(conn.get("/files/none").status(), 404, "the app's own refusals pass");
    reveille.stop();
}
