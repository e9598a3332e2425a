//! Which protocol a client speaks, told from its first bytes.

use std::process::Command;

use reveille_tests_local::{
    App, Conn, Reveille,
    app::file,
    h2raw::{H2, PREFACE},
    pause, ports,
    report::skipped,
    tcp::Tcp,
    wait::{ms, secs},
};

use crate::support::{start, start_awake};

#[test]
fn it_does_not_matter_how_the_first_bytes_are_cut() {
    let app = App::slow("cut");
    let reveille = start_awake(&app);
    let conn = Tcp::open(app.listen);
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
        conn.send([*byte]);
        pause(ms(5));
    }
    assert!(conn.read(12).starts_with(b"HTTP/1.1 200"));
    let mut raw = H2::bare(app.listen);
    for byte in PREFACE {
        raw.send(&[*byte]);
        pause(ms(5));
    }
    raw.settings(&[]);
    let stream = raw.get("/");
    assert_eq!(raw.answer(stream).status, Some(200));
    reveille.stop();
}

#[test]
fn what_is_no_text_passes_as_bytes_and_what_is_text_is_refused() {
    let app = App::tcp("bytes", "echo");
    let reveille = start(&[&app]);
    for bytes in [&b"\0\x01\x02binary"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"*1\r\n$4\r\nPING\r\n"] {
        assert_eq!(Tcp::open(app.listen).exchange(bytes).unwrap(), bytes);
    }
    let mut conn = Conn::open(app.listen);
    conn.send("HELO example.org\r\n\r\n");
    assert_eq!(conn.answer().status(), 400);
    assert_eq!(app.count("end", "received=18"), 0);
    reveille.stop();
}

#[test]
fn a_first_byte_and_then_silence_is_closed_in_time() {
    let app = App::slow("silent");
    let reveille = start_awake(&app);
    let conn = Tcp::open(app.listen);
    conn.send("P");
    assert!(conn.is_quiet_for(secs(8)), "10 s for a head");
    assert!(conn.ends_within(secs(6)).is_some());
    reveille.stop();
}

#[test]
fn tls_passes_to_the_app_and_not_through_the_gateway() {
    let test = "detection::tls_passes_to_the_app_and_not_through_the_gateway";
    if Command::new("openssl").arg("version").output().is_err() {
        return skipped(test, "openssl is not there (`apt-get install openssl`)");
    }
    let app = App::new("tls", Vec::new());
    let (key, cert) = (app.folder().join("key.pem"), app.folder().join("cert.pem"));
    let (key, cert) = (key.display().to_string(), cert.display().to_string());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-keyout", &key, "-out", &cert])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let accept = format!("127.0.0.1:{}", app.upstream);
    let app = app.command(&["openssl", "s_server", "-accept", &accept, "-key", &key, "-cert", &cert, "-www"]);
    let app = app.set("hosts: [tls.localhost]");
    let gateway = ports::free();
    let reveille = Reveille::start(&format!("gateway: 127.0.0.1:{gateway}\n{}", file(&[&app])));
    for _ in 0..2 {
        let url = format!("https://127.0.0.1:{}/", app.listen);
        let got =
            Command::new("curl").args(["-sSk", "--noproxy", "*", "--max-time", "20", &url]).output().unwrap();
        assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
        assert!(String::from_utf8_lossy(&got.stdout).contains("s_server"), "the app's own page");
    }
    let url = format!("https://127.0.0.1:{gateway}/");
    let got =
        Command::new("curl").args(["-sSk", "--noproxy", "*", "--max-time", "20", &url]).output().unwrap();
    assert!(String::from_utf8_lossy(&got.stderr).contains("alert handshake failure"), "{got:?}");
    let conn = Tcp::open(gateway);
    conn.send([0, 1, 2, 3]);
    let answer = String::from_utf8(conn.read_to_end().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("the gateway routes HTTP"), "{answer}");
    assert!(reveille.log().contains("TLS came on the gateway"));
    reveille.stop();
}
